"""How fresh and how complete is what the lake answers? To be said beside each number."""

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from mail_pipeline.lake import reports


@dataclass(frozen=True, slots=True)
class Freshness:
    """What is true of every number asked in the same snapshot; as text it is one line."""

    as_of: datetime | None
    """The newest word on the mailbox heard of least recently; None where none was ever fetched. UTC."""
    mailboxes: int
    complete: int
    """Mailboxes listed to their end."""
    gaps_open: int
    """Times in which notifications may be missing, not repaired."""
    lists: int
    """Lists of contacts, calendars, events and provider's threads that were asked for."""
    lists_complete: int
    marts_as_of: datetime | None
    """Up to when the marts have counted every account that has mail; None where one was never counted."""

    @property
    def of_marts(self) -> "Freshness":
        """Return the same for numbers that come from marts: no fresher than these."""
        if self.as_of is None or self.marts_as_of is None:
            return replace(self, as_of=None)
        return replace(self, as_of=min(self.as_of, self.marts_as_of))

    def __str__(self) -> str:
        """Return such as `as of 2026-11-26 21:40 UTC, 41 of 42 mailboxes complete, 1 gap open`."""
        when = "nothing here yet" if self.as_of is None else f"as of {self.as_of:%Y-%m-%d %H:%M} UTC"
        gaps = "1 gap" if self.gaps_open == 1 else f"{self.gaps_open:,} gaps"
        return f"{when}, {self.complete:,} of {self.mailboxes:,} mailboxes complete, {gaps} open"


def freshness(connection: duckdb.DuckDBPyConnection) -> Freshness:
    """Return how fresh and complete the lake is; inside a transaction, of the snapshot that reads.

    A mailbox is known up to its last page, its last whole sweep, or, where a webhook has been there since its
    first page, the newest notification applied to any. What a gap hides is not known before its repair.
    """
    [row] = connection.execute(reports.FRESHNESS).fetchall()
    return Freshness(*row)
