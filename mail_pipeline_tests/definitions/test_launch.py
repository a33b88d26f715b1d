"""Runs in this process: what the commands stand on."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline import connect
from mail_pipeline.dagster_home import fail_orphaned_runs, prepare_dagster_home
from mail_pipeline.errors import StopRun
from mail_pipeline.launch import BackfillOutcome, check_tables, refresh_accounts, run_backfill
from mail_pipeline.simulator import Latency, MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress

from .conftest import working_in
from .running import keys_of, materializations, states

GOOGLE = MailboxSpec("google", messages=20)
REVOKED = MailboxSpec("ews", messages=10, valid=False)
SLOW = MailboxSpec("google", messages=400)

COMMAND = """
import sys
import dagster as dg
from mail_pipeline.launch import BackfillOptions, run_backfill
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    outcome = run_backfill(sys.argv[2:], BackfillOptions(page_size=20), instance=instance)
sys.exit(7 if outcome.cancelled else 0 if outcome.succeeded else 1)
"""


@dataclass(frozen=True)
class Backfilled:
    """A home in which four mailboxes were backfilled, the last of them revoked."""

    instance: dg.DagsterInstance
    keys: list[str]
    heard: list[MailboxProgress]
    outcome: BackfillOutcome


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    data = tmp_path_factory.mktemp("backfilled") / "data"
    home = prepare_dagster_home(data)
    heard: list[MailboxProgress] = []
    with working_in(data) as start, dg.DagsterInstance.from_config(str(home)) as instance:
        start(GOOGLE, GOOGLE, GOOGLE, REVOKED)
        refresh_accounts(instance)
        keys = keys_of(instance)
        outcome = run_backfill([*keys, "nobody"], instance=instance, on_progress=heard.append)
        yield Backfilled(instance, keys, heard, outcome)


def test_the_last_word_on_each_mailbox_is_heard_and_kept(backfilled):
    *good, revoked = backfilled.keys
    ended = {mailbox.partition_key: mailbox.state for mailbox in backfilled.outcome.mailboxes}
    assert ended == {**dict.fromkeys(good, "complete"), revoked: "failed"}
    heard = [mailbox for mailbox in backfilled.heard if mailbox in backfilled.outcome.mailboxes]
    assert heard == list(backfilled.outcome.mailboxes)


def test_a_failed_mailbox_and_an_unknown_key_are_no_success(backfilled):
    assert backfilled.outcome.unknown == ("nobody",)
    assert not backfilled.outcome.succeeded
    assert not backfilled.outcome.cancelled


def test_the_ui_sees_one_run_and_exactly_the_failed_partition(backfilled):
    *good, revoked = backfilled.keys
    assert states(backfilled.instance) == {**dict.fromkeys(good, "MATERIALIZED"), revoked: "FAILED"}
    [run_id] = backfilled.outcome.runs
    run = backfilled.instance.get_run_by_id(run_id)
    assert run is not None
    assert (run.job_name, run.status) == ("backfill", dg.DagsterRunStatus.FAILURE)
    assert run.tags["dagster/max_retries"] == "0"


def test_one_run_passes_over_a_complete_mailbox_and_tells_nobody(backfilled):
    first, middle, last, _ = backfilled.keys
    before = len(materializations(backfilled.instance, middle))

    outcome = run_backfill([first, last], instance=backfilled.instance)

    assert len(outcome.runs) == 1
    assert {mailbox.partition_key for mailbox in outcome.mailboxes} == {first, last}
    assert len(materializations(backfilled.instance, middle)) == before + 1


def test_a_resync_takes_only_what_it_is_told(backfilled):
    first, middle, last, _ = backfilled.keys
    before = len(materializations(backfilled.instance, middle))

    outcome = run_backfill([first, last], BackfillOptions(full_resync=True), instance=backfilled.instance)

    assert outcome.succeeded
    assert len(outcome.runs) == 2
    assert len(materializations(backfilled.instance, middle)) == before


def test_a_wrong_option_is_named_before_anything_runs(backfilled):
    before = backfilled.instance.get_runs_count()

    with pytest.raises(ValueError, match="page_size is 500: expected a whole number from 1 to 200"):
        run_backfill(backfilled.keys, BackfillOptions(page_size=500), instance=backfilled.instance)

    assert backfilled.instance.get_runs_count() == before


def test_the_checks_can_be_run_too(backfilled):
    check_tables(backfilled.instance)

    [run] = backfilled.instance.get_runs(limit=1)
    assert (run.job_name, run.status) == ("check_tables", dg.DagsterRunStatus.SUCCESS)


def test_a_refresh_that_is_stopped_raises_what_stopped_it_and_leaves_a_failed_run(backfilled, monkeypatch):
    monkeypatch.delenv("NYLAS_API_KEY")

    with pytest.raises(StopRun, match="NYLAS_API_KEY is not set"):
        refresh_accounts(backfilled.instance)

    [run] = backfilled.instance.get_runs(limit=1)
    assert (run.job_name, run.status) == ("refresh_accounts", dg.DagsterRunStatus.FAILURE)


@pytest.fixture
def home(data: Path) -> Path:
    return prepare_dagster_home(data)


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def slow(start, instance, home, data) -> Iterator[subprocess.Popen[bytes]]:
    """A backfill in a process of its own that would take 8 seconds or more, with its first page stored."""
    start(SLOW, latency=Latency(per_message=0.02))
    refresh_accounts(instance)
    process = subprocess.Popen([sys.executable, "-c", COMMAND, str(home), *keys_of(instance)])
    until(lambda: ledger(data)[1] > 0)
    yield process
    process.kill()
    process.wait()


def until(condition: Callable[[], bool]) -> None:
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


def test_an_interrupt_ends_the_run_as_canceled(slow, instance, data):
    # SIGTERM is passed on as SIGINT, so this is Ctrl-C too.
    slow.send_signal(signal.SIGTERM)

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


def test_a_kill_leaves_an_orphan_that_is_found(slow, instance):
    slow.kill()
    slow.wait()
    assert backfills(instance) == [dg.DagsterRunStatus.STARTED]

    assert fail_orphaned_runs(instance) == 1
    assert list(states(instance).values()) == ["FAILED"]
