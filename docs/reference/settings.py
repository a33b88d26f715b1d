"""The page of every environment variable."""

import dataclasses
from collections.abc import Iterable, Iterator

from docs.reference.blocks import page, paragraph, table
from mail_pipeline.marts import reporting
from mail_pipeline.settings import VARIABLES, Settings, Variable


def settings() -> str:
    """Return the page of every environment variable."""
    return page(
        [
            "# Settings",
            paragraph(
                "Settings are environment variables, or lines of `.env` in the project folder; the "
                "environment wins, with an empty value too, and what is unset or empty has its default. What "
                "is wrong with one is said by every command, with its name and what was expected, before "
                "anything is done. A relative folder counts from the current folder, and one in `.env` from "
                "that file's."
            ),
            table(
                ("variable", "default", ""),
                [
                    *_rows(VARIABLES, Settings),
                    *_rows(reporting.VARIABLES, reporting.Reporting),
                ],
            ),
            paragraph(
                "How Dagster runs (runs at once, retries, how long its history is kept) is set in "
                "`dagster.yaml`, of which the commands keep a copy in the data folder. No setting of ours is "
                "part of a run's configuration, so that no secret can be."
            ),
        ]
    )


def _rows(variables: Iterable[Variable], read_into: type) -> Iterator[tuple[str, str, str]]:
    defaults = {field.name: field.default for field in dataclasses.fields(read_into)}
    for variable in variables:
        default = variable.default or _default(defaults[variable.field])
        yield f"`{variable.name}`", default, variable.description


def _default(value: object) -> str:
    if value in (None, "", b"", ()):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
