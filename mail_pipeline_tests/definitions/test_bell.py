"""The bell: it rings for what has landed, for as long as nobody applies it, and never twice at once."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline.bell import Heard, listen
from mail_pipeline.dagster_home import prepare_dagster_home
from mail_pipeline.definitions import defs
from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.partitions import UNFINISHED
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.settings import Settings
from mail_pipeline_tests.live.envelopes import GRANT, NOW, envelope, know, land, outcomes, whole

from .running import run_job

JOB = "apply_notifications"
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _without_a_key(start):
    """The data folder is the test's; nothing can be asked of an API."""


def arrive(data: Path, *names: str) -> None:
    land(data, [envelope("message.created", NOW, whole(name)) for name in names])


def heard(instance: dg.DagsterInstance, cursor: str | None = None) -> Heard:
    return listen(Settings.from_env(), instance, cursor)


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the sensor as the daemon does."""
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = defs.resolve_sensor_def("notification_bell")(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def asked_for(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return instance.create_run_for_job(defs.resolve_job_def(JOB), status=status)


def test_one_run_is_asked_for_however_much_has_landed(instance, data):
    arrive(data, "m1", "m2", "m3")

    result = tick(instance)

    assert isinstance(result, dg.SensorResult)
    [request] = result.run_requests or ()
    # A key would let the daemon drop the request where one for the same landing failed before.
    assert request.run_key is None


# A run in the queue can be made by nobody but the daemon: `test_killed.py` has some.
@pytest.mark.parametrize("status", [each for each in UNFINISHED if each != dg.DagsterRunStatus.QUEUED])
def test_never_two_runs_at_once(instance, data, status):
    asked_for(instance, status)
    arrive(data, "m1")

    assert [record.dagster_run.status for record in instance.get_run_records()] == [status]
    assert not heard(instance).ring
    assert "are being applied" in heard(instance).said


def test_an_older_run_that_is_still_at_work_counts_too(instance, data):
    asked_for(instance, dg.DagsterRunStatus.STARTED)
    asked_for(instance, dg.DagsterRunStatus.SUCCESS)
    arrive(data, "m1")

    assert not heard(instance).ring


def test_runs_of_other_jobs_do_not_silence_it(instance, data):
    instance.create_run_for_job(defs.resolve_job_def("backfill"), status=dg.DagsterRunStatus.STARTED)
    arrive(data, "m1")

    assert heard(instance).ring


def test_what_lands_during_a_run_is_rung_for_after_it(instance, data):
    know(data, GRANT)
    arrive(data, "m1")
    assert run_job(instance, JOB).success
    running = asked_for(instance, dg.DagsterRunStatus.STARTED)
    arrive(data, "m2")
    assert not heard(instance).ring

    instance.report_run_canceled(running)

    assert heard(instance).ring
    assert run_job(instance, JOB).success
    assert outcomes(data) == [("applied", None)] * 2
    assert not heard(instance).ring


def test_what_is_applied_is_remembered_and_the_lake_not_opened_while_nothing_lands(instance, data):
    arrive(data, "m1", "m2")
    assert run_job(instance, JOB).success

    applied = heard(instance)
    assert applied == Heard(False, "2", "Everything up to notification 2 is applied.")

    catalog_path(data).write_bytes(b"not a database")
    assert heard(instance, applied.cursor) == Heard(False, "2", "Nothing new has landed.")
    with pytest.raises(MailPipelineError):
        heard(instance, "1")


def test_the_sensor_hands_its_memory_on(instance, data):
    arrive(data, "m1")
    assert run_job(instance, JOB).success
    with dg.build_sensor_context(
        instance=instance, resources={"mail_pipeline": MailPipelineResource()}
    ) as context:
        assert isinstance(defs.resolve_sensor_def("notification_bell")(context), dg.SkipReason)
        assert context.cursor == "1"


def test_a_landing_is_heard_at_once_by_who_listens(instance, data):
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(listen, Settings.from_env(), instance, None, seconds=300.0)
        arrive(data, "m1")
        assert listening.result(timeout=60).ring


def fail(instance: dg.DagsterInstance, ago: timedelta) -> None:
    run = asked_for(instance, dg.DagsterRunStatus.STARTED)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, JOB)
    instance.report_dagster_event(event, run.run_id, timestamp=(datetime.now(UTC) - ago).timestamp())


def test_after_a_failure_it_waits_a_minute_and_tries_again(instance, data):
    arrive(data, "m1")
    fail(instance, MINUTE / 2)
    assert heard(instance) == Heard(
        False, None, "The last run failed; the next attempt is a minute after it."
    )

    fail(instance, MINUTE)
    assert heard(instance).ring


def test_a_failure_is_forgotten_once_a_run_has_got_through(instance, data):
    fail(instance, timedelta(0))
    arrive(data, "m1")
    assert run_job(instance, JOB).success
    arrive(data, "m2")

    assert heard(instance).ring


@pytest.mark.parametrize("cursor", ["5000", "0", "not a number", ""])
def test_a_memory_of_another_landing_table_does_not_silence_it(instance, data, cursor):
    arrive(data, "m1")

    assert heard(instance, cursor).ring


KILLED = """
import os, sys
import dagster as dg

@dg.op
def die():
    os.kill(os.getpid(), 9)

@dg.job
def apply_notifications():
    die()

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    apply_notifications.execute_in_process(instance=instance)
"""


def test_a_run_whose_process_was_killed_is_ended_and_rung_for_again(data):
    home = prepare_dagster_home(data)
    subprocess.run([sys.executable, "-c", KILLED, str(home)], capture_output=True, check=False)
    arrive(data, "m1")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert "are being applied" in heard(instance).said, "it has hardly begun"
        with sqlite3.connect(home / "history" / "runs.db") as runs:
            runs.execute("UPDATE runs SET create_timestamp = datetime(create_timestamp, '-1 minute')")

        assert "The last run failed" in heard(instance).said

        [killed] = instance.get_runs()
        assert killed.status == dg.DagsterRunStatus.FAILURE
        with sqlite3.connect(home / "history" / "runs.db") as runs:
            runs.execute("UPDATE runs SET end_time = end_time - 60")
        assert heard(instance).ring


def test_a_long_run_that_is_alive_is_not_disturbed_by_another_that_was_killed(data):
    home = prepare_dagster_home(data)
    killed = KILLED.replace(JOB, "backfill")
    subprocess.run([sys.executable, "-c", killed, str(home)], capture_output=True, check=False)
    arrive(data, "m1")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        alive = asked_for(instance, dg.DagsterRunStatus.STARTING)
        with sqlite3.connect(home / "history" / "runs.db") as runs:
            runs.execute("UPDATE runs SET create_timestamp = datetime(create_timestamp, '-1 minute')")

        assert not heard(instance).ring
        run = instance.get_run_by_id(alive.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.STARTING


def test_where_nothing_ever_landed_it_says_so(instance):
    result = tick(instance)

    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "Nothing new has landed."


def test_without_a_lake_and_without_a_key_it_rings_all_the_same(instance, data):
    arrive(data, "m1")
    assert not catalog_path(data).exists()

    assert heard(instance).ring
    assert run_job(instance, JOB).success
    assert [outcome for outcome, _ in outcomes(data)] == ["dead"], "kept until its grant is known"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MAIL_PIPELINE_DATA", "{tmp_path}/a-file", "a-file"),
        ("MAIL_PIPELINE_WORKERS", "many", "MAIL_PIPELINE_WORKERS is 'many'"),
        ("MAIL_PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none", "MAIL_PIPELINE_DATABASE_URL"),
    ],
    ids=["a file for a folder", "a wrong setting", "no database"],
)
def test_what_is_broken_is_why_it_skips(instance, tmp_path, monkeypatch, variable, value, said):
    (tmp_path / "a-file").touch()
    monkeypatch.setenv(variable, value.format(tmp_path=tmp_path))

    result = tick(instance)

    assert isinstance(result, dg.SkipReason)
    assert said in (result.skip_message or "")


def test_a_broken_landing_table_is_why_it_skips(instance, data):
    arrive(data, "m1")
    (data / "inbox.sqlite").write_bytes(b"not a database" * 1_000)

    result = tick(instance)

    assert isinstance(result, dg.SkipReason)
    assert "inbox.sqlite" in (result.skip_message or "")
