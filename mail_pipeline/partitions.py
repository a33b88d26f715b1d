"""One partition per mailbox: which there are, which should be, and how to ask for many in few runs."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from mail_pipeline.ledger import Ledger, read_ledger
from mail_pipeline.sync.partition_keys import is_partition_key, split

PARTITIONS = "mailboxes"
mailbox_partitions = dg.DynamicPartitionsDefinition(name=PARTITIONS)
GRANT_PARTITIONS = "grants"
ALL_PARTITIONS = (PARTITIONS, GRANT_PARTITIONS)
grant_partitions = dg.DynamicPartitionsDefinition(name=GRANT_PARTITIONS)

MAILBOXES_PER_RUN = 100
"""A run costs 3 CPU seconds to start, a partition in it 11 ms: 1,000 mailboxes in 10 runs, not 1,000."""
ADDED_AT_ONCE = 10_000
"""SQLite takes about 32,000 values in one statement, and Dagster adds all keys of a call in one."""

_BRIDGED_AT_MOST = 200
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BACKFILLS_LOOKED_AT = 20
_LISTING = ("messages", "contacts", "calendars", "events", "provider_threads")
_LISTED = {dg.AssetKey(name) for name in _LISTING}
_ACCOUNTS = {dg.AssetKey(name) for name in ("grants", "folders")}
_JOBS = {"backfill", "mirror", *(f"list_{name}" for name in _LISTING)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartitionChanges:
    """What makes the registered partitions of one kind true to the ledger, in the order to apply it."""

    of: str
    add: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.add or self.delete)


def partition_changes(
    instance: dg.DagsterInstance, ledger: Ledger, *, of: str = PARTITIONS, at_most: int | None = None
) -> PartitionChanges:
    """Compare the registered partitions, `of` mailboxes or of grants, with the ledger.

    New ones are added in the ledger's order, so that the mailboxes of a grant are neighbours. One that is
    gone loses its partition, but not while it may be at work: a range whose end disappears fails as a whole.
    `at_most` bounds both lists; the rest is for the next time.
    """
    registered = instance.get_dynamic_partitions(of)
    wanted = ledger.active if of == PARTITIONS else ledger.grants
    # The key of such a grant would be taken for that of another one's folder.
    with_slash = {grant for grant in ledger.grants if "/" in grant}
    usable = [key for key in wanted if is_partition_key(key, split(key)[0]) and key not in with_slash]
    known, active = set(registered), set(usable)
    unusable = [key for key in wanted if key not in active]
    if unusable:
        _log.warning(
            "%d %s get no partition, as a key may hold only letters, digits and - _ : @ and one /: %s",
            len(unusable),
            of,
            ", ".join(unusable[:5]),
        )
    add = [key for key in usable if key not in known]
    # Where the grants were never listed, nothing is known to be gone.
    delete = [key for key in registered if key not in active and ledger.refreshed_at is not None]
    changes = PartitionChanges(of, tuple(add[:at_most]), tuple(delete[:at_most]))
    if changes.delete and listing_at_work(instance):
        return replace(changes, delete=())
    return changes


def sync_partitions(instance: dg.DagsterInstance, data: Path) -> PartitionChanges:
    """Bring the registered partitions up to the ledger of a data folder; return what changed of mailboxes."""
    ledger = read_ledger(data)
    mailboxes, grants = (partition_changes(instance, ledger, of=of) for of in ALL_PARTITIONS)
    for changes in (mailboxes, grants):
        for keys in in_chunks(changes.add):
            instance.add_dynamic_partitions(changes.of, list(keys))
        for key in changes.delete:
            instance.delete_dynamic_partition(changes.of, key)
    return mailboxes


def in_chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut keys into as many as Dagster adds at once."""
    for start in range(0, len(keys), ADDED_AT_ONCE):
        yield keys[start : start + ADDED_AT_ONCE]


def listing_at_work(instance: dg.DagsterInstance) -> bool:
    """Tell whether a run or a backfill that lists mailboxes or accounts is queued or running."""
    if _run_at_work(instance, _JOBS, _LISTED):
        return True
    # Between its batches a backfill has no run, but its ranges are planned.
    return any(
        backfill.status.value in {"REQUESTED", "CANCELING", "FAILING"}
        for backfill in instance.get_backfills(limit=_BACKFILLS_LOOKED_AT)
    )


def accounts_at_work(instance: dg.DagsterInstance) -> bool:
    """Tell whether a run that lists grants or folders is queued or running."""
    return _run_at_work(instance, {"refresh_accounts"}, _ACCOUNTS)


def job_at_work(instance: dg.DagsterInstance, job: str) -> bool:
    """Tell whether a run of a job is queued or running."""
    return _run_at_work(instance, {job}, set())


def _run_at_work(instance: dg.DagsterInstance, jobs: set[str], assets: set[dg.AssetKey]) -> bool:
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return any(run.job_name in jobs or assets.intersection(run.asset_selection or ()) for run in runs)


def contiguous_ranges(
    order: Sequence[str],
    wanted: Collection[str],
    *,
    bridge: Collection[str] = frozenset(),
    longest: int | None = None,
) -> Iterator[tuple[str, ...]]:
    """Yield the wanted keys as ranges of neighbours, each one run's worth.

    A range may pass over keys of `bridge`, mailboxes with nothing to do: one of them costs 11 ms in a run,
    and a run of its own for what lies behind would cost 3 s. No range is longer than `longest` keys.
    """
    current: list[str] = []
    passed: list[str] = []
    for key in order:
        if key in wanted:
            if longest is not None and len(current) + len(passed) >= longest:
                yield tuple(current)
                current, passed = [], []
            current += [*passed, key]
            passed = []
        elif current and key in bridge and len(passed) < _BRIDGED_AT_MOST:
            passed.append(key)
        elif current:
            yield tuple(current)
            current, passed = [], []
    if current:
        yield tuple(current)


def range_tags(keys: Sequence[str]) -> dict[str, str]:
    """Return the tags that make one run of the neighbours from the first of these keys to the last."""
    return {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
