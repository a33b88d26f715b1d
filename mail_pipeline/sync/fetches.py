"""What is still to be asked of the API: a queue in the lake, filled in the commit that finds the need."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from mail_pipeline.lake import queries
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.writer import Lake

MESSAGE = "message"
FOLDERS = "folders"
GRANTS = "grants"

TRUNCATED = "truncated"
NO_BODY = "no body"
NO_CALENDAR = "no calendar"
PARTIAL = "partial"
DISPUTED = "disputed"
CHANGED = "changed"
UNKNOWN = "unknown"
MISSING = "missing"
"""A sweep did not see it: not found on top of that means gone."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request to come; `not_before` is unix seconds of the provider's clock."""

    object: str
    grant_id: str | None
    object_id: str | None
    reason: str
    folder_id: str | None = None
    not_before: int = 0


def disputes(messages: Iterable[tuple[str, str, int]]) -> list[Fetch]:
    """Return the requests that settle disputes: (grant id, message id, the second in which they are)."""
    return [
        Fetch(MESSAGE, grant_id, identity, DISPUTED, not_before=at + 1) for grant_id, identity, at in messages
    ]


def fetch_rows(fetches: Iterable[Fetch], at: float | None = None) -> pa.Table:
    """Return requests as rows to append, asked for at `at` (unix seconds) or else now.

    With the time at which they were sent they are what FORGET_FETCHES takes.
    """
    asked_at = time.time() if at is None else at
    return arrow_table(
        "fetches",
        [
            (
                each.object,
                each.grant_id,
                each.object_id,
                each.folder_id,
                each.reason,
                each.not_before,
                asked_at,
            )
            for each in fetches
        ],
    )


def waiting_fetches(lake: Lake) -> list[Fetch]:
    """Return all requests that wait, each once."""
    return [Fetch(**row) for row in lake.table(queries.DUE_FETCHES).to_pylist()]
