"""Runs in this process: what the commands stand on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline import connect
from mail_pipeline.dagster_home import fail_orphaned_runs, prepare_dagster_home
from mail_pipeline.errors import StopRun
from mail_pipeline.launch import check_tables, refresh_accounts, run_backfill
from mail_pipeline.simulator import Latency, MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions

from .running import keys_of, materializations, states

GOOGLE = MailboxSpec("google", messages=30)
REVOKED = MailboxSpec("ews", messages=10, valid=False)
SLOW = MailboxSpec("google", messages=2_000)

COMMAND = """
import sys
import dagster as dg
from mail_pipeline.launch import run_backfill
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    outcome = run_backfill(sys.argv[2:], instance=instance)
sys.exit(7 if outcome.cancelled else 0 if outcome.succeeded else 1)
"""


@pytest.fixture
def home(data: Path) -> Path:
    return prepare_dagster_home(data)


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_a_refresh_registers_the_partitions_at_once(start, instance):
    simulator = start(GOOGLE)

    refresh_accounts(instance)

    assert keys_of(instance) == [simulator.fleet.mailbox(0).grant.id]
    [run] = instance.get_runs()
    assert (run.job_name, run.status) == ("refresh_accounts", dg.DagsterRunStatus.SUCCESS)


def test_a_refresh_that_is_stopped_raises_what_stopped_it_and_leaves_a_failed_run(start, instance):
    start(GOOGLE)
    os.environ["NYLAS_API_KEY"] = ""

    with pytest.raises(StopRun, match="NYLAS_API_KEY is not set"):
        refresh_accounts(instance)

    [run] = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_backfill_reports_each_mailbox_and_fails_exactly_the_one_that_failed(start, instance):
    simulator = start(GOOGLE, REVOKED, GOOGLE)
    first, revoked, last = [mailbox.grant.id for mailbox in simulator.fleet]
    refresh_accounts(instance)
    heard = []

    outcome = run_backfill([first, revoked, last, "nobody"], instance=instance, on_progress=heard.append)

    assert {mailbox.partition_key: mailbox.state for mailbox in outcome.mailboxes} == {
        first: "complete",
        revoked: "failed",
        last: "complete",
    }
    assert [mailbox for mailbox in heard if mailbox in outcome.mailboxes] == list(outcome.mailboxes)
    assert outcome.unknown == ("nobody",)
    assert not outcome.succeeded
    assert not outcome.cancelled
    assert states(instance) == {first: "MATERIALIZED", revoked: "FAILED", last: "MATERIALIZED"}
    [run_id] = outcome.runs
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/max_retries"] == "0"

    check_tables(instance)
    assert instance.get_runs()[0].job_name == "check_tables"


def test_one_run_passes_over_complete_mailboxes_and_tells_nobody(start, instance):
    simulator = start(GOOGLE, GOOGLE, GOOGLE)
    first, middle, last = [mailbox.grant.id for mailbox in simulator.fleet]
    refresh_accounts(instance)
    assert run_backfill([middle], instance=instance).succeeded

    outcome = run_backfill([first, last], instance=instance)

    assert len(outcome.runs) == 1
    assert {mailbox.partition_key for mailbox in outcome.mailboxes} == {first, last}
    assert len(materializations(instance, middle)) == 2


def test_a_resync_takes_only_what_it_is_told(start, instance):
    simulator = start(GOOGLE, GOOGLE, GOOGLE)
    keys = first, middle, last = [mailbox.grant.id for mailbox in simulator.fleet]
    refresh_accounts(instance)
    assert run_backfill(keys, instance=instance).succeeded

    outcome = run_backfill([first, last], BackfillOptions(full_resync=True), instance=instance)

    assert len(outcome.runs) == 2
    assert len(materializations(instance, middle)) == 1


def test_a_wrong_option_is_named_before_anything_runs(start, instance):
    start(GOOGLE)
    refresh_accounts(instance)

    with pytest.raises(ValueError, match="page_size is 500: expected a whole number from 1 to 200"):
        run_backfill(keys_of(instance), BackfillOptions(page_size=500), instance=instance)

    assert [run.job_name for run in instance.get_runs()] == ["refresh_accounts"]


@pytest.fixture
def slow(start, instance, home, data) -> Iterator[subprocess.Popen[bytes]]:
    """A backfill in a process of its own that would take 20 seconds, with its first page stored."""
    start(SLOW, latency=Latency(per_message=0.01))
    refresh_accounts(instance)
    process = subprocess.Popen([sys.executable, "-c", COMMAND, str(home), *keys_of(instance)])
    until(lambda: ledger(data)[1] > 0)
    yield process
    process.kill()
    process.wait()


def until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)


def ledger(data: Path) -> tuple[str, int]:
    """Return the state of the one mailbox and how many of its pages are stored."""
    with connect(data) as lake:
        [(state, pages)] = lake.execute("SELECT state, pages FROM mailboxes").fetchall()
    return state, pages


def backfills(instance: dg.DagsterInstance) -> list[dg.DagsterRunStatus]:
    return [run.status for run in instance.get_runs(dg.RunsFilter(job_name="backfill"))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_as_canceled_with_the_pages_kept(slow, instance, data, number):
    slow.send_signal(number)

    assert slow.wait(30) == 7
    assert backfills(instance) == [dg.DagsterRunStatus.CANCELED]
    assert ledger(data)[0] == "listing"
    assert list(states(instance).values()) == [None]


def test_terminate_in_the_ui_ends_the_run_as_canceled(slow, instance):
    [run] = instance.get_runs(dg.RunsFilter(job_name="backfill"))
    # What the UI's button comes to where no code server has the run.
    assert instance.run_launcher.terminate(run.run_id) is False

    assert slow.wait(30) == 7
    assert backfills(instance) == [dg.DagsterRunStatus.CANCELED]


def test_a_kill_leaves_an_orphan_that_is_found_and_the_next_backfill_goes_on(slow, start, instance, data):
    slow.kill()
    slow.wait()
    assert backfills(instance) == [dg.DagsterRunStatus.STARTED]

    assert fail_orphaned_runs(instance) == 1
    assert list(states(instance).values()) == ["FAILED"]

    simulator = start(SLOW)
    assert run_backfill(keys_of(instance), instance=instance).succeeded
    first = next(each for each in simulator.requests if each.operation == "messages")
    assert first.page_token is not None, "goes on from the stored cursor"
