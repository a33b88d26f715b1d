"""Dagster's settings as they are shipped, its home in a data folder, and runs that a kill left behind."""

import errno
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa
import yaml  # type: ignore[import-untyped]

from mail_pipeline.dagster_home import dagster_errors, fail_orphaned_runs, prepare_dagster_home
from mail_pipeline.definitions import defs
from mail_pipeline.errors import StopRun
from mail_pipeline.partitions import PARTITIONS

ROOT = Path(__file__).parents[2]


def test_history_lies_under_data_when_started_in_the_projects_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.from_config(str(ROOT)) as instance:
        instance.add_dynamic_partitions(PARTITIONS, ["a"])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(Path("data")))) as instance:
        assert instance.get_dynamic_partitions(PARTITIONS) == ["a"], "the commands see the same history"


@pytest.mark.parametrize("name", ["data", "with space", 'it\'s "quoted": #1 \\ Entwürfe'])
def test_a_home_is_made_in_any_data_folder(tmp_path, name):
    data = tmp_path / name

    home = prepare_dagster_home(data)

    assert home == data / "dagster"
    assert home.is_absolute()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions(PARTITIONS, ["a"])
        assert instance.storage_directory() == str(home / "storage")
    assert (home / "history").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_preparing_a_home_again_takes_up_the_projects_settings_and_keeps_the_history(tmp_path):
    home = prepare_dagster_home(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions(PARTITIONS, ["a"])
    (home / "dagster.yaml").write_text("telemetry: {enabled: true}\n")

    prepare_dagster_home(tmp_path)

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_dynamic_partitions(PARTITIONS) == ["a"]
        assert not instance.telemetry_enabled


def test_the_settings_are_the_ones_meant(tmp_path):
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.managed_python_loggers == ["mail_pipeline"]


KILLED = """
import os, sys
import dagster as dg

@dg.op
def die():
    os.kill(os.getpid(), 9)

@dg.job
def backfill():
    die()

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    backfill.execute_in_process(instance=instance)
"""


def test_a_run_whose_process_was_killed_is_failed_and_only_once(tmp_path):
    home = prepare_dagster_home(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(home)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL

    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        assert fail_orphaned_runs(instance) == 1
        [run] = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert fail_orphaned_runs(instance) == 0


def begun(instance: dg.DagsterInstance, *, pid: int, timestamp: float | None = None) -> str:
    """Store a run that began in the process with this pid; return its id."""
    run = instance.create_run_for_job(defs.resolve_job_def("backfill"))
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "backfill", pid=pid)
    instance.report_dagster_event(event, run_id=run.run_id, timestamp=timestamp)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_that_is_alive_is_left_alone(instance):
    run_id = begun(instance, pid=os.getpid())

    assert fail_orphaned_runs(instance) == 0
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED


def test_a_pid_that_belongs_to_a_younger_process_by_now_keeps_no_run_alive(instance):
    born = psutil.Process().create_time()
    run_id = begun(instance, pid=os.getpid(), timestamp=born - 60)

    assert fail_orphaned_runs(instance) == 1
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_was_being_canceled_ends_as_canceled(instance):
    born = psutil.Process().create_time()
    run_id = begun(instance, pid=os.getpid(), timestamp=born - 60)
    instance.report_run_canceling(instance.get_run_by_id(run_id))

    assert fail_orphaned_runs(instance) == 1
    assert status(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_a_run_that_has_not_begun_gets_time_to(instance):
    run = instance.create_run_for_job(defs.resolve_job_def("backfill"))

    assert fail_orphaned_runs(instance) == 0
    assert fail_orphaned_runs(instance, start_timeout=timedelta(0)) == 1
    assert status(instance, run.run_id) == dg.DagsterRunStatus.FAILURE


def test_the_time_to_begin_is_the_one_dagster_itself_gives():
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    signature = inspect.signature(fail_orphaned_runs)

    given = signature.parameters["start_timeout"].default
    assert given == timedelta(seconds=settings["run_monitoring"]["start_timeout_seconds"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), "is full; everything committed is safe"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be opened"),
        (sqlite3.DatabaseError("file is not a database"), "dagster is damaged"),
        (OSError(errno.ENOSPC, "No space left on device"), "is full; everything committed is safe"),
    ],
    ids=str,
)
def test_what_a_disk_answers_to_dagster_is_told_with_the_next_step(tmp_path, error, said):
    if isinstance(error, sqlite3.Error):
        error = sa.exc.OperationalError("INSERT", {}, error)

    with pytest.raises(StopRun, match=said) as caught, dagster_errors(tmp_path):
        raise error
    assert caught.value.next_step


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("no such table: runs")),
        FileNotFoundError(errno.ENOENT, "No such file"),
        KeyError("x"),
    ],
    ids=str,
)
def test_any_other_error_comes_as_it_was(tmp_path, error):
    with pytest.raises(type(error)) as caught, dagster_errors(tmp_path):
        raise error
    assert caught.value is error
