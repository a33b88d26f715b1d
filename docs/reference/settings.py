"""The page of every environment variable."""

import dataclasses

from docs.reference.blocks import page, paragraph, table
from mail_pipeline.settings import VARIABLES, Settings


def settings() -> str:
    """Return the page of every environment variable."""
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    return page(
        [
            "# Settings",
            paragraph(
                "Settings are environment variables, or lines of `.env` in the project folder; the "
                "environment wins, and what is unset or empty has its default. What is wrong with one is "
                "said by every command, with its name and what was expected, before anything is done. A "
                "relative folder counts from the current folder, and one in `.env` from that file's."
            ),
            table(
                ("variable", "default", ""),
                [
                    (f"`{variable.name}`", _default(defaults[variable.field]), variable.description)
                    for variable in VARIABLES
                ],
            ),
            paragraph(
                "How Dagster runs (runs at once, retries, how long its history is kept) is set in "
                "`dagster.yaml`, of which the commands keep a copy in the data folder. No setting of ours is "
                "part of a run's configuration, so that no secret can be."
            ),
        ]
    )


def _default(value: object) -> str:
    if value in (None, "", b"", ()):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
