"""What the ledger says of all mailboxes at once, for those who decide what to run."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mail_pipeline.lake import queries
from mail_pipeline.lake.connection import catalog_path, connect


@dataclass(frozen=True, slots=True)
class Ledger:
    """The mailboxes that exist now, as partition keys, those of a grant side by side.

    `refreshed_at` is when the grants were last listed (provider's clock), None while there are none.
    """

    active: tuple[str, ...] = ()
    incomplete: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    """Complete down to the first message, so that a backfill has nothing to do there."""
    refreshed_at: datetime | None = None


def read_ledger(data: Path) -> Ledger:
    """Read the ledger of a data folder; one without a lake has an empty ledger."""
    if not catalog_path(data).exists():
        return Ledger()
    with connect(data) as connection:
        rows = connection.execute(queries.ACTIVE_MAILBOXES).fetchall()
        refreshed = connection.execute(queries.GRANTS_LISTED_AT).fetchone()
    return Ledger(
        active=tuple(key for key, _, _ in rows),
        incomplete=frozenset(key for key, state, _ in rows if state != "complete"),
        whole=frozenset(key for key, state, since in rows if state == "complete" and since is None),
        refreshed_at=refreshed[0] if refreshed else None,
    )
