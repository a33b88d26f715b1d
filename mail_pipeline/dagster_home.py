"""Dagster's home in a data folder, and what a hard kill left behind in it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import sqlalchemy as sa

from mail_pipeline.disk import DAMAGED, UNOPENED, disk_state
from mail_pipeline.errors import StopRun

_PACKAGE = Path(__file__).parent
_BASE_DIR = '"data/dagster'
_START_TIMEOUT = timedelta(seconds=180)
"""As in dagster.yaml."""
_NOTE = "# Written by mail-pipeline from the project's own file; change that one.\n"
_GONE = "The run's process is gone: it was killed, or the machine was restarted."


def prepare_dagster_home(data: Path) -> Path:
    """Write dagster.yaml and workspace.yaml into `<data>/dagster` and return that folder, absolute.

    It is what DAGSTER_HOME should be, and holds the same history as `dagster dev` in the project's root with
    the default data folder.
    """
    home = (data / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    quoted = json.dumps(str(home))[:-1]
    _keep(home / "dagster.yaml", _shipped("dagster.yaml").replace(_BASE_DIR, quoted))
    _keep(home / "workspace.yaml", _shipped("workspace.yaml"))
    return home


@contextmanager
def dagster_errors(data: Path) -> Iterator[None]:
    """Turn what a full, read-only or broken disk answers to Dagster into errors that say the next step."""
    try:
        yield
    except Exception as error:
        known = dagster_error(error, data)
        if known is None:
            raise
        raise known from error


def dagster_error(error: Exception, data: Path) -> StopRun | None:
    """Return what an error out of Dagster's home in a data folder means; None where it is none of these."""
    said: object = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if not isinstance(said, OSError | sqlite3.Error):
        return None
    if state := disk_state(said, data):
        return state
    home, text = data / "dagster", str(said).lower()
    if any(word in text for word in DAMAGED):
        return StopRun(
            f"A database file in {home} is damaged",
            next_step="Move that folder away: it holds the history of runs, no mail, and is made anew.",
        )
    if UNOPENED in text:
        return StopRun(
            f"A database file in {home} cannot be opened",
            next_step="Give this user the right to write there.",
        )
    return None


def fail_orphaned_runs(instance: dg.DagsterInstance, *, start_timeout: timedelta = _START_TIMEOUT) -> int:
    """End the runs whose process is gone as failed or canceled, and return how many there were.

    A machine that stops, or a `kill -9`, leaves a run "started" for ever: it keeps its place in the queue and
    its partitions look busy. Only for an instance whose runs are processes of this machine; runs alive are
    left alone, so this may be called beside them, and one that has not begun gets `start_timeout`.
    """
    statuses = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    records = instance.get_run_records(dg.RunsFilter(statuses=statuses))
    gone = [record.dagster_run.run_id for record in records if not _alive(instance, record, start_timeout)]
    # Once more: one may have come to its end, and its process with it, since the runs were listed.
    orphans = [
        record.dagster_run
        for record in (instance.get_run_records(dg.RunsFilter(run_ids=gone)) if gone else ())
        if record.dagster_run.status in statuses
    ]
    for run in orphans:
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _GONE)
        else:
            instance.report_run_failed(run, _GONE)
    return len(orphans)


def _shipped(name: str) -> str:
    """Return a file of the project's root, which an installed package carries inside."""
    inside = _PACKAGE / name
    return (inside if inside.exists() else _PACKAGE.parent / name).read_text()


def _keep(path: Path, text: str) -> None:
    # Not written again without need: a service that starts now may be reading it.
    if not path.exists() or path.read_text() != _NOTE + text:
        path.write_text(_NOTE + text)


def _alive(instance: dg.DagsterInstance, record: dg.RunRecord, start_timeout: timedelta) -> bool:
    run_id = record.dagster_run.run_id
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START):
        if entry.dagster_event is not None and entry.dagster_event.pid is not None:
            return _is_running(entry.dagster_event.pid, since=entry.timestamp)
    # Whoever creates a run starts it soon, or is gone.
    return datetime.now(UTC) - record.update_timestamp < start_timeout


def _is_running(pid: int, *, since: float) -> bool:
    """Tell whether the process that had this pid at that time (unix seconds) lives; pids are given anew."""
    try:
        return bool(psutil.Process(pid).create_time() <= since + 1)
    except psutil.NoSuchProcess:
        return False
