"""When is a run of `apply_notifications` to be asked for? What the sensor `notification_bell` goes by."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.dagster_home import fail_orphaned_runs
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.ledger import applied_up_to
from mail_pipeline.partitions import UNFINISHED
from mail_pipeline.settings import Settings

_LOOKS_EVERY = 0.2
"""Seconds; a look is one indexed query, half a millisecond on SQLite."""
_LONG_RUN = timedelta(seconds=30)
_AFTER_FAILURE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a stretch of listening came to."""

    ring: bool
    """Something has landed that nobody applies: ask for a run."""
    cursor: str | None
    """The newest notification known to be applied, for the next stretch."""
    said: str = ""
    """Why no run is asked for."""


def listen(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None, *, seconds: float = 0.0
) -> Heard:
    """Listen so long for a landing, or until it is time to ask for a run; look once in any case.

    While nothing lands the lake is not opened. A run whose process was killed is ended as failed: it would
    be waited for for ever. Raises RetryLater and StopRun as the landing table and the lake do.
    """
    until = time.monotonic() + seconds
    _end_killed_run(instance)
    with Landing.open(settings) as landing:
        while True:
            heard = _look(settings, instance, landing, cursor)
            if heard.ring or time.monotonic() >= until:
                return heard
            cursor = heard.cursor
            time.sleep(_LOOKS_EVERY)


def _look(settings: Settings, instance: dg.DagsterInstance, landing: Landing, cursor: str | None) -> Heard:
    newest = landing.newest()
    # Not "at most": another database, or another data folder, counts from one again.
    if str(newest) == (cursor or "0"):
        return Heard(False, cursor, "Nothing new has landed.")
    if (busy := _at_work(instance)) is not None:
        return Heard(False, cursor, busy)
    if applied_up_to(settings.data) >= newest:
        return Heard(False, str(newest), f"Everything up to notification {newest} is applied.")
    return Heard(True, cursor)


def _at_work(instance: dg.DagsterInstance) -> str | None:
    """Return why no run is to be asked for now; None where one is."""
    if _last_run(instance, UNFINISHED) is not None:
        return "Notifications are being applied; what lands meanwhile is taken too."
    last = _last_run(instance)
    if last is not None and last.dagster_run.is_failure:
        ended = datetime.fromtimestamp(last.end_time or 0.0, UTC)
        if datetime.now(UTC) - ended < _AFTER_FAILURE:
            return "The last run failed; the next attempt is a minute after it."
    return None


def _end_killed_run(instance: dg.DagsterInstance) -> None:
    last = _last_run(instance, UNFINISHED)
    # Whoever looks for its process asks the operating system: not for a run that has hardly begun.
    if last is not None and datetime.now(UTC) - last.create_timestamp >= _LONG_RUN:
        fail_orphaned_runs(instance)


def _last_run(
    instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus] = ()
) -> dg.RunRecord | None:
    wanted = dg.RunsFilter(job_name=jobs.apply_notifications.name, statuses=statuses)
    records = instance.get_run_records(wanted, limit=1)
    return records[0] if records else None
