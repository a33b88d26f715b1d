"""What the ledger says of all mailboxes at once, for those who decide what to run."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries
from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.settings import Settings


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
    grants: tuple[str, ...] = ()
    """The grants that exist now."""
    unlisted: frozenset[str] = frozenset()
    """Grants some stream of which is not complete."""


def read_ledger(data: Path) -> Ledger:
    """Read the ledger of a data folder; one without a lake has an empty ledger."""
    if not catalog_path(data).exists():
        return Ledger()
    with connect(data) as connection:
        rows = connection.execute(queries.ACTIVE_MAILBOXES).fetchall()
        refreshed = connection.execute(queries.GRANTS_LISTED_AT).fetchone()
        grants = [grant for (grant,) in connection.execute(queries.ACTIVE_GRANTS).fetchall()]
        unlisted = connection.execute(queries.UNLISTED_GRANTS).fetchall()
    return Ledger(
        active=tuple(key for key, _, _ in rows),
        incomplete=frozenset(key for key, state, _ in rows if state != "complete"),
        whole=frozenset(key for key, state, since in rows if state == "complete" and since is None),
        refreshed_at=refreshed[0] if refreshed else None,
        grants=tuple(grants),
        unlisted=frozenset(grant for (grant,) in unlisted),
    )


def newcomers(data: Path) -> frozenset[str]:
    """Return the mailboxes never listed whose backfill nobody has to ask for, as partition keys.

    They are those of grants that were connected, and of folders that were made, while notifications arrived.
    """
    if not catalog_path(data).exists():
        return frozenset()
    with connect(data) as connection:
        return frozenset(key for (key,) in connection.execute(queries.NEWCOMERS).fetchall())


def applied_up_to(data: Path) -> int:
    """Return the number of the last notification that a data folder's lake has applied; 0 for none."""
    if not catalog_path(data).exists():
        return 0
    with connect(data) as connection:
        row = connection.execute(queries.APPLIED_UP_TO).fetchone()
    return int(row[0]) if row else 0


def newest_landed(settings: Settings) -> int:
    """Return the number of the notification that landed last; 0 for none."""
    with Landing.open(settings) as landing:
        return landing.newest()
