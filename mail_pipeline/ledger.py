"""What the ledger says of all mailboxes at once, for those who decide what to run."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries, reports
from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.settings import Settings
from mail_pipeline.sync.checkpoints import FAILED, PAUSED
from mail_pipeline.sync.plan import thread_cost


@dataclass(frozen=True, slots=True)
class Ledger:
    """The mailboxes that exist now, as partition keys, those of a grant side by side.

    `refreshed_at` is when the grants were last listed (provider's clock), None while there are none.
    """

    active: tuple[str, ...] = ()
    incomplete: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    """Those that failed, or wait for a provider."""
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
        stopped=frozenset(key for key, state, _ in rows if state in {FAILED, PAUSED}),
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


def newcomer_grants(data: Path) -> frozenset[str]:
    """Return the grants connected while notifications arrived whose contacts and events were never listed."""
    if not catalog_path(data).exists():
        return frozenset()
    with connect(data) as connection:
        return frozenset(grant for (grant,) in connection.execute(queries.NEWCOMER_GRANTS).fetchall())


def thread_costs(data: Path, grant_ids: Collection[str]) -> str:
    """Say what the provider's own list of threads will cost for these grants, by the mail that is stored."""
    with connect(data) as connection:
        rows = connection.execute(reports.THREADS_TO_LIST).fetchall()
    wanted = set(grant_ids)
    found = [(provider, count) for grant_id, provider, count in rows if grant_id in wanted]
    costs = [thread_cost(provider, count) for provider, count in found]
    threads = sum(count for _, count in found)
    requests = sum(pages for pages, _ in costs)
    units = sum(spent for _, spent in costs)
    return f"About {threads:,} threads in {requests:,} requests, {units:,} of Gmail's quota units"


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
