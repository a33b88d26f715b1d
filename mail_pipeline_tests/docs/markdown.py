"""The project's Markdown, taken apart: its snippets, its words in code, its links and its headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")),
    key=lambda page: (page.name != "README.md", str(page)),
)
NOT_RUN = "not run by the tests"
"""Stands in a comment at the head of a snippet that cannot run here, with the reason."""
_PARSER = MarkdownIt("commonmark").enable("table")
_SPACES = re.compile(r"\s")
_NO_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Snippet:
    """A block of code; one without a language, indented or fenced, is of the shell."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Return where it stands, as the name of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """Tell whether the tests run it."""
        return NOT_RUN not in self.text.partition("\n")[0]


@cache
def _tokens(page: Path) -> tuple[Token, ...]:
    return tuple(_PARSER.parse(page.read_text(encoding="utf-8")))


def snippets(*languages: str) -> list[Snippet]:
    """Return the blocks of code of all pages, in these languages or in all."""
    return [
        snippet
        for page in PAGES
        for snippet in _snippets(page)
        if not languages or snippet.language in languages
    ]


def _snippets(page: Path) -> Iterator[Snippet]:
    for token in _tokens(page):
        if token.type in {"fence", "code_block"}:
            line = token.map[0] + 1 if token.map else 0
            yield Snippet(page, line, token.info.strip() or "sh", token.content)


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


def words(page: Path) -> list[str]:
    """Return what stands in the text in code."""
    return [token.content for token in _inline(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Return where links and pictures lead."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(page)]
    return [str(target) for target in found if target]


def headings(page: Path) -> list[str]:
    """Return the headings as they read."""
    tokens = _tokens(page)
    return [
        "".join(child.content for child in tokens[place + 1].children or ())
        for place, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {_SPACES.sub("-", _NO_ANCHOR.sub("", heading.lower())) for heading in headings(page)}
