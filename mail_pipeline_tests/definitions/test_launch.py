"""Runs in this process: what the commands stand on."""

import gc
import signal
import socket
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg
import duckdb
import pytest
import sqlalchemy as sa

from mail_pipeline import connect
from mail_pipeline.dagster_home import prepare_dagster_home
from mail_pipeline.errors import StopRun
from mail_pipeline.events import MailboxEvents
from mail_pipeline.launch import (
    BackfillOutcome,
    refresh_accounts,
    refresh_marts,
    run_backfill,
)
from mail_pipeline.resources import plain_failures
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress

from .conftest import working_in
from .running import keys_of, materializations, register, states

GOOGLE = MailboxSpec("google", messages=20)
REVOKED = MailboxSpec("ews", messages=10, valid=False)
SLOW = MailboxSpec("google", messages=400)


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


def test_a_refresh_that_is_stopped_raises_what_stopped_it_and_leaves_a_failed_run(backfilled, monkeypatch):
    monkeypatch.delenv("NYLAS_API_KEY")

    with pytest.raises(StopRun, match="NYLAS_API_KEY is not set"):
        refresh_accounts(backfilled.instance)

    [run] = backfilled.instance.get_runs(limit=1)
    assert (run.job_name, run.status) == ("refresh_accounts", dg.DagsterRunStatus.FAILURE)


def test_an_unexpected_error_reaches_who_runs_it_and_none_of_its_text_dagsters_history(
    backfilled, monkeypatch, caplog
):
    subject = " ".join(["Divorce", "papers"])

    def chokes(*_: object) -> None:
        duckdb.sql("SELECT ?::INTEGER", params=[subject]).fetchall()

    monkeypatch.setattr("mail_pipeline.assets.marts.refresh_marts", chokes)
    with pytest.raises(duckdb.ConversionException, match=subject):
        refresh_marts(backfilled.instance)

    [run] = backfilled.instance.get_runs(limit=1)
    assert (run.job_name, run.status) == ("refresh_marts", dg.DagsterRunStatus.FAILURE)
    history = str(backfilled.instance.all_logs(run.run_id))
    assert "Unexpected duckdb.ConversionException; the log has its traceback" in history
    assert "in chokes" in caplog.text
    assert subject not in history + caplog.text


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt, dg.DagsterExecutionInterruptedError], ids=lambda kind: kind.__name__
)
def test_a_query_that_is_interrupted_is_no_unexpected_error(interrupt):
    with pytest.raises(RuntimeError, match="Query interrupted") as caught, plain_failures():
        raise RuntimeError("Query interrupted") from interrupt()
    assert not isinstance(caught.value, dg.Failure)


def test_a_failure_in_its_own_words_passes_as_it_is():
    failure = dg.Failure("Three of four did not get through")

    with pytest.raises(dg.Failure) as caught, plain_failures():
        raise failure
    assert caught.value is failure


def test_a_history_that_cannot_be_written_for_want_of_room_is_told_as_a_full_disk():
    with (
        pytest.raises(dg.Failure, match=r"is full; everything committed is safe\. Free some space"),
        plain_failures(),
    ):
        raise sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))


def test_an_interrupted_refresh_ends_the_command_too(backfilled, monkeypatch):
    with warnings.catch_warnings(), socket.create_server(("127.0.0.1", 0)) as silent:
        # Nobody else closes the socket of a call that an interrupt tore out of.
        warnings.simplefilter("ignore", ResourceWarning)
        monkeypatch.setenv("NYLAS_API_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        main = threading.main_thread().ident
        assert main is not None

        def interrupt_the_first_call() -> None:
            # Hanging up wakes the caller in case the signal came just before it began to wait.
            with silent.accept()[0]:
                signal.pthread_kill(main, signal.SIGINT)

        caller = threading.Thread(target=interrupt_the_first_call)
        caller.start()
        with pytest.raises(KeyboardInterrupt):
            refresh_accounts(backfilled.instance)
        caller.join()
        gc.collect()

    [run] = backfilled.instance.get_runs(limit=1)
    assert run.is_finished
    assert run.status != dg.DagsterRunStatus.SUCCESS


def canceled_by(instance: dg.DagsterInstance, act: Callable[[], None]) -> BackfillOutcome:
    """Backfill what takes many seconds, and act once it is at work."""
    acted: list[MailboxProgress] = []

    def at_work(mailbox: MailboxProgress) -> None:
        if mailbox.pages and not acted:
            acted.append(mailbox)
            act()

    outcome = run_backfill(
        keys_of(instance), BackfillOptions(page_size=20), instance=instance, on_progress=at_work
    )

    [run] = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED
    assert states(instance) == dict.fromkeys(keys_of(instance))
    return outcome


@pytest.mark.parametrize("where", ["ended", "raise_failures"])
def test_an_interrupt_between_two_mailboxes_cancels_the_run_and_begins_no_other(
    backfilled, monkeypatch, where
):
    instance = backfilled.instance
    struck: list[str] = []
    within = getattr(MailboxEvents, where)

    def interrupted(self: MailboxEvents, *arguments: object) -> object:
        if not struck:
            struck.append(where)
            signal.raise_signal(signal.SIGINT)
        return within(self, *arguments)

    monkeypatch.setattr(MailboxEvents, where, interrupted)
    before = {run.run_id for run in instance.get_runs()}
    known = states(instance)
    outcome = run_backfill(backfilled.keys[:3], instance=instance)

    assert struck
    assert states(instance) == known
    assert (outcome.cancelled, outcome.succeeded) == (True, False)
    [run] = [run for run in instance.get_runs() if run.run_id not in before]
    assert run.status == dg.DagsterRunStatus.CANCELED


def canceling(instance: dg.DagsterInstance) -> None:
    # What "Terminate" in the UI comes to where no code server has the run.
    [run] = instance.get_runs()
    instance.report_run_canceling(run)


@pytest.mark.parametrize(
    "act",
    [lambda _: signal.raise_signal(signal.SIGINT), lambda _: signal.raise_signal(signal.SIGTERM), canceling],
    ids=["Ctrl-C", "SIGTERM", "Terminate in the UI"],
)
def test_a_backfill_that_is_stopped_ends_as_canceled_with_its_pages_kept(start, instance, data, act):
    register(instance, start(SLOW))

    outcome = canceled_by(instance, lambda: act(instance))

    assert outcome.cancelled
    assert not outcome.succeeded
    with connect(data) as lake:
        [(state, pages)] = lake.execute("SELECT state, pages FROM mailboxes").fetchall()
    assert state == "listing"
    assert 0 < pages < SLOW.messages / 20
