"""Reconciling many grants: each for itself, safe to end at any moment, and enough after a bad night."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import NylasClient
from mail_pipeline.simulator import Disorder, Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.reconcile import reconcile
from mail_pipeline.sync.sweep import Findings, Swept, store_sweep
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=12, body_mean=300, user_folders=2)
MICROSOFT = MailboxSpec("microsoft", messages=12, body_mean=300, user_folders=2)
EWS = MailboxSpec("ews", messages=12, body_mean=300, user_folders=2)
IMAP = MailboxSpec("imap", messages=16, body_mean=300, user_folders=1)
EDITED = {"subject", "snippet", "body"}


def flag_all(world: NearWorld) -> None:
    """Change the newest message of every grant behind the lake's back."""
    for mailbox in world.simulator.fleet:
        newest = next(iter(world.simulator.truth(mailbox.grant.id)))
        world.simulator.provider.flag(mailbox.grant.id, newest["id"], unread=not newest["unread"])


def wrong_grants(world: NearWorld) -> set[str]:
    return {grant for grant, _ in world.wrong()}


@deep
def test_after_a_third_of_the_notifications_was_lost_a_sweep_finds_all_but_edits_and_a_resync_those(
    near: Near,
):
    disorder = Disorder(seed=1, drop=0.3, reorder=1.0, duplicate=0.2, again=0.2, merge=0.2)
    world = near(GOOGLE, MICROSOFT, EWS, IMAP, disorder=disorder)
    world.follow()
    life = world.simulator.provider.live(seed=2)
    for _ in range(120):
        world.simulator.clock.advance(1.7)
        next(life)
    world.settle()
    assert world.wrong() != {}

    assert world.reconcile().succeeded

    left = world.wrong()
    assert all(isinstance(what, dict) and what.keys() <= EDITED for what in left.values()), left
    assert {each.state for each in world.backfill(full_resync=True).values()} == {"complete"}
    assert world.wrong() == {}


def test_a_grant_that_is_being_backfilled_is_left_to_the_next_time(near: Near):
    world = near(GOOGLE, MICROSOFT)
    flag_all(world)
    busy = world.grant_id("google")
    leases = Leases(world.data)
    with Lake(world.data) as lake, lake.locked():
        assert leases.take(busy) is not None

    report = world.reconcile()
    [error] = [each.error for each in report.grants if each.grant_id == busy]

    assert isinstance(error, RetryLater)
    assert f"at work on grant {busy}" in error.message
    assert "when that has ended" in error.next_step
    assert not report.succeeded
    assert wrong_grants(world) == {busy}

    leases.close()
    assert world.reconcile().succeeded
    assert world.wrong() == {}


def test_one_grant_that_has_to_be_connected_again_leaves_the_others(near: Near):
    world = near(GOOGLE, MICROSOFT)
    flag_all(world)
    expired = world.grant_id("microsoft")
    world.simulator.provider.expire(expired)

    report = world.reconcile()
    assert {each.grant_id: each.error is None for each in report.grants} == {
        expired: False,
        world.grant_id("google"): True,
    }
    assert wrong_grants(world) == {expired}


def test_an_error_nobody_expected_stays_with_its_grant_and_its_text_out_of_the_log(
    near: Near, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    world = near(GOOGLE, MICROSOFT)
    flag_all(world)
    broken = world.grant_id("microsoft")
    subject = "what somebody wrote"

    def chokes(transaction: Transaction, swept: Swept, whole: Sequence[Observation]) -> Findings:
        if swept.grant_id == broken:
            raise RuntimeError(f"no rule for {subject}")
        return store_sweep(transaction, swept, whole)

    monkeypatch.setattr("mail_pipeline.sync.reconcile.store_sweep", chokes)
    report = world.reconcile()

    [error] = [each.error for each in report.grants if each.error is not None]
    assert error.message == "An unexpected RuntimeError stopped the sweep"
    assert not report.succeeded
    assert wrong_grants(world) == {broken}
    assert f"Grant {broken} stopped by an unexpected builtins.RuntimeError" in caplog.text
    assert "in chokes" in caplog.text
    assert subject not in caplog.text


def test_an_expired_grant_is_left_out_unless_it_is_asked_for_by_name(near: Near):
    world = near(GOOGLE, MICROSOFT)
    expired = world.grant_id("microsoft")
    world.simulator.provider.expire(expired)
    refresh_grants(world.settings())

    report = world.reconcile()
    assert [each.grant_id for each in report.grants] == [world.grant_id("google")]
    assert report.succeeded

    named = reconcile(world.settings(), grants={expired})
    assert not named.succeeded
    [told] = named.grants
    assert told.error is not None
    assert "has expired" in told.error.message


def test_all_of_a_sweep_goes_through_the_one_client_that_knows_what_each_limit_has_left(
    near: Near, monkeypatch: pytest.MonkeyPatch
):
    world = near(IMAP, GOOGLE)
    for provider in ("imap", "google"):
        grant = world.grant_id(provider)
        newest = next(iter(world.simulator.truth(grant)))
        world.simulator.provider.delete(grant, newest["id"])
    made: list[NylasClient] = []
    begin = NylasClient.__init__

    def counted(client: NylasClient, *arguments: Any, **options: Any) -> None:
        made.append(client)
        begin(client, *arguments, **options)

    monkeypatch.setattr(NylasClient, "__init__", counted)
    report = world.reconcile()

    assert report.fetched == 2
    assert len(world.asked("folders")) > 0
    assert len(made) == 1


def test_only_the_grants_and_providers_asked_for_are_swept_and_each_is_told_of(near: Near):
    world = near(GOOGLE, MICROSOFT, IMAP)
    google, imap = world.grant_id("google"), world.grant_id("imap")
    told: list[str] = []

    world.reconcile(google, on_grant=lambda each: told.append(each.grant_id))
    assert told == [google]
    reconcile(world.settings(), providers={"imap", "yahoo"})

    swept = world.ask("SELECT grant_id, since, listed, missing FROM reconciliations ORDER BY ended_at")
    assert swept == [(google, None, 12, 0), (imap, None, 16, 0)]


def test_a_grant_nobody_knows_is_named_and_nothing_is_swept(near: Near):
    world = near(GOOGLE)

    with pytest.raises(StopRun, match=r"no grant nobody.*lists them"):
        world.reconcile("nobody", world.grant_id("google"))

    assert world.asked("messages") == []


def test_a_key_that_is_refused_stops_everything(near: Near):
    world = near(GOOGLE)

    with pytest.raises(StopRun, match="NYLAS_API_KEY"):
        world.reconcile(api_key="nyk_wrong")
    with pytest.raises(StopRun, match="NYLAS_API_KEY is not set"):
        world.reconcile(api_key="")


def test_passing_trouble_is_waited_out(near: Near):
    rules = [
        FaultRule(fault, operation="messages", first=number + 1, seconds=0.1)
        for number, fault in enumerate((Fault.TOO_MANY_SECONDS, Fault.HTML_ERROR, Fault.TRUNCATED))
    ]
    world = near(GOOGLE, faults=Faults(rules))
    flag_all(world)

    assert world.reconcile().succeeded
    assert world.wrong() == {}
    assert [each.fault is None for each in world.asked("messages")] == [False, False, False, True]


def start(world: NearWorld) -> subprocess.Popen[str]:
    """Start a sweep in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline.cli", "reconcile", "--json"],
        env={**os.environ, **world.environment()},
        cwd=world.data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda each: each.name)
def test_a_sweep_that_is_interrupted_ends_at_once_and_changes_nothing(near: Near, number: signal.Signals):
    world = near(IMAP, GOOGLE, door=True)
    assert world.door is not None
    for mailbox in world.simulator.fleet:
        oldest = list(world.simulator.truth(mailbox.grant.id))[-1]
        world.simulator.provider.delete(mailbox.grant.id, oldest["id"])
    before = world.contents()
    # Nobody answers any more: the first page of Google's and the third of IMAP's are waited for.
    google = world.grant_id("google")
    release = world.door.hold(
        lambda asked: (
            asked.operation == "messages" and (asked.grant_id == google or asked.folder_id is not None)
        )
    )

    with start(world) as process:
        world.door.wait_for(3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    release.set()

    assert process.returncode != 0
    assert "Traceback" not in errors
    assert world.contents() == before
    assert world.ask("SELECT count(*) FROM reconciliations") == [(0,)]
    assert world.reconcile().succeeded
    assert world.wrong() == {}


REFRESH = """
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.settings import Settings
from mail_pipeline.sync.accounts import refresh_folders
with interruptible():
    refresh_folders(Settings.from_env())
"""


def test_an_interrupt_ends_the_listing_of_folders_at_once(near: Near):
    world = near(IMAP, GOOGLE, door=True)
    assert world.door is not None
    release = world.door.hold(lambda asked: asked.operation == "folders")
    with subprocess.Popen(
        [sys.executable, "-c", REFRESH],
        env={**os.environ, **world.environment()},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        world.door.wait_for(2, "folders")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    release.set()

    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors


def test_nothing_connected_is_nothing_to_do(near: Near):
    world = near(MailboxSpec("ews", messages=5, valid=False), backfilled=False)

    report: Any = world.reconcile()

    assert (report.grants, report.succeeded) == ((), True)
