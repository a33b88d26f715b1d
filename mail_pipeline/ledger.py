"""What the ledger says of all mailboxes at once, for those who decide what to run."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries, reports
from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.settings import Settings
from mail_pipeline.sync.checkpoints import FAILED, PAUSED
from mail_pipeline.sync.plan import thread_cost
from mail_pipeline.sync.streams import CALENDARS, CONTACTS, EVENTS


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


def read_ledger(data: Path) -> Ledger:
    """Read the ledger of a data folder; one without a lake has an empty ledger."""
    if not catalog_path(data).exists():
        return Ledger()
    with connect(data) as connection:
        rows = connection.execute(queries.ACTIVE_MAILBOXES).fetchall()
        refreshed = connection.execute(queries.GRANTS_LISTED_AT).fetchone()
        grants = [grant for (grant,) in connection.execute(queries.ACTIVE_GRANTS).fetchall()]
    return Ledger(
        active=tuple(key for key, _, _ in rows),
        incomplete=frozenset(key for key, state, _ in rows if state != "complete"),
        stopped=frozenset(key for key, state, _ in rows if state in {FAILED, PAUSED}),
        whole=frozenset(key for key, state, since in rows if state == "complete" and since is None),
        refreshed_at=refreshed[0] if refreshed else None,
        grants=tuple(grants),
    )


def newcomers(data: Path) -> frozenset[str]:
    """Return the mailboxes never listed whose backfill nobody has to ask for, as partition keys.

    They are those of grants that were connected, and of folders that were made, while notifications arrived.
    """
    return frozenset(key for (key,) in _rows(data, queries.NEWCOMERS))


def newcomer_grants(data: Path) -> frozenset[str]:
    """Return the grants connected while notifications arrived of which nothing beside the mail was listed."""
    found = _rows(data, queries.NEWCOMER_GRANTS)
    return frozenset(grant for grant, provider, off in found if any(_lists(grant, provider, off)))


def unlisted_grants(data: Path) -> frozenset[str]:
    """Return the valid grants some wanted list of which, beside the mail, has not come to its end."""
    if not catalog_path(data).exists():
        return frozenset()
    with connect(data) as connection:
        grants = connection.execute(queries.VALID_GRANTS).fetchall()
        ended = set(connection.execute(queries.LISTS_ENDED).fetchall())
        calendars: dict[str, list[str]] = {}
        for grant, calendar in connection.execute(queries.CALENDARS).fetchall():
            calendars.setdefault(grant, []).append(calendar)
    return frozenset(
        grant
        for grant, provider, off in grants
        if not ended.issuperset(_lists(grant, provider, off, calendars.get(grant, ())))
    )


def _lists(
    grant_id: str, provider: str, streams_off: Collection[str], calendars: Iterable[str] = ()
) -> Iterator[tuple[str, str, str | None]]:
    """Yield stream, grant and scope of each list beside the mail that is offered and wanted."""
    wanted = {stream.name for stream in (CONTACTS, CALENDARS, EVENTS)}.difference(streams_off)
    if EVENTS.name in wanted:
        # Without the calendars no event can be listed.
        wanted.add(CALENDARS.name)
        yield from ((EVENTS.name, grant_id, calendar) for calendar in calendars)
    for stream in (CONTACTS, CALENDARS):
        if stream.name in wanted:
            yield from ((stream.name, grant_id, scope) for scope in stream.scopes(provider))


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


def grants_with_open_gaps(data: Path) -> frozenset[str]:
    """Return the valid grants in which an ended gap waits for its repair."""
    return frozenset(grant for (grant,) in _rows(data, queries.GRANTS_TO_REPAIR))


def applied_up_to(data: Path) -> int:
    """Return the number of the last notification that a data folder's lake has applied; 0 for none."""
    return max((int(number) for (number,) in _rows(data, queries.APPLIED_UP_TO)), default=0)


def newest_landed(settings: Settings) -> int:
    """Return the number of the notification that landed last; 0 for none."""
    with Landing.open(settings) as landing:
        return landing.newest()


def _rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none where there is no lake."""
    if not catalog_path(data).exists():
        return []
    with connect(data) as connection:
        return connection.execute(query).fetchall()
