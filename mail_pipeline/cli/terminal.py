"""What people see: consoles, tables, numbers."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import IO, Any

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 240
"""Columns of a table that no terminal shows, so that nothing is cut off."""


def results() -> Console:
    """Return the console for results: standard output."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=_PLAIN_WIDTH)


def notes(screen: IO[str] | None = None) -> Console:
    """Return the console for progress and notes: standard error, or a duplicate of it."""
    return Console(file=screen, stderr=screen is None, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object as one line; times in RFC 3339."""
    click.echo(as_json(value))


def as_json(value: object) -> str:
    """Return a value as JSON in one line; what JSON has no type for becomes a number or a text."""
    try:
        return orjson.dumps(value, default=_json_value).decode()
    except orjson.JSONEncodeError:
        # A whole number of more than 64 bits, as a sum in DuckDB is, or a map that is not keyed by text.
        return json.dumps(_with_text_keys(value), default=_json_value, ensure_ascii=False)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(_json_value(key)): _with_text_keys(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(each) for each in value]
    # JSON has no name for these.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_value(value: object) -> float | str:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Print a table; numbers to the right, None as nothing; no header where all columns are nameless."""
    if title:
        console.print(title)
    table = Table(box=box.SIMPLE_HEAD, show_header=any(columns), show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        numeric = any(isinstance(row[position], int | float) for row in rows)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 40 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    for unit, size, smaller, smaller_size in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def sized(count: float) -> str:
    """Return a number of bytes as people say it: 12 B, 3.4 MB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:.0f} B"


def explained(reason: str | None, next_step: str | None) -> str:
    """Return why something did not go on and what to do about it, as sentences."""
    return " ".join(f"{part.rstrip('.')}." for part in (reason, next_step) if part)


def counted(states: Iterable[str]) -> str:
    """Return how many there are of each: 3 complete, 1 failed."""
    counts = Counter(states)
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "none"
