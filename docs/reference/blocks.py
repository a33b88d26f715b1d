"""Blocks of Markdown that the reference pages are made of."""

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 112
"""Where lines of text end."""
_NOTE = "<!-- Made from the code by `make docs`; a change belongs there. -->"


def page(parts: Iterable[str]) -> str:
    """Return a page of blocks, headed by a note on where it comes from."""
    return "\n\n".join((_NOTE, *parts)) + "\n"


def paragraph(text: str) -> str:
    """Return a text in lines, each word whole."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def code(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell may hold Markdown of one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def listed(names: Iterable[str]) -> str:
    """Return names as code, in order."""
    return ", ".join(f"`{name}`" for name in sorted(names))
