"""On which line of a TOML text each key stands: `tomllib` reads values and forgets their places."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Return the line, from 1, on which each key of a valid TOML text first stands, tables included.

    An item of a list has no line of its own; its list has.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    statement, began = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            began = number
        statement += line + "\n"
        # The reader itself tells where a statement ends and what its keys are, however they are quoted.
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        is_header = statement.lstrip().startswith("[")
        paths = list(_paths(read))
        if is_header:
            table = paths[-1]
        for path in paths:
            found.setdefault(path if is_header else (*table, *path), began)
        statement = ""
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int | None:
    """Return the line of the nearest there is: the key itself, or else the table around it."""
    return next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), None)


def _paths(table: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in table.items():
        path = (*above, key)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)
