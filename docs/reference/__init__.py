"""The reference pages in `docs/`, made from the code.

What they say stands once, where it is used: columns in the lake's schema, options at their commands,
variables in the settings, assets and all that runs them in the definitions, questions beside the marts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference.assets import assets
from docs.reference.commands import commands
from docs.reference.questions import questions
from docs.reference.settings import settings
from docs.reference.tables import tables

FOLDER = Path(__file__).parents[1]
PAGES: Mapping[str, Callable[[], str]] = {
    "tables.md": tables,
    "commands.md": commands,
    "settings.md": settings,
    "assets.md": assets,
    "questions.md": questions,
}
"""The pages that are made, by file name."""
