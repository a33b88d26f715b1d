"""A mailbox is called covered only where its changes landed before its first page, or a sweep made up for it."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from mail_pipeline.checks import mailboxes_covered
from mail_pipeline.events import mailbox_metadata
from mail_pipeline.nylas.triggers import TRIGGERS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.simulator import API_KEY, Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)


def without(world: NearWorld, trigger: str) -> None:
    wanted = [each for each in TRIGGERS if each != trigger]
    world.simulator.webhooks.create({"trigger_types": wanted, "webhook_url": world.receiver})


def with_status(world: NearWorld, status: str) -> None:
    world.subscribe()
    [webhook] = world.simulator.webhooks
    webhook.status = status


def with_nobody(world: NearWorld) -> None:
    world.subscribe()
    world.beat(time.time() - 3_600)


HOLES = {
    "no webhook": lambda world: world.beat(),
    "a paused webhook": lambda world: (world.beat(), with_status(world, "pause")),
    "a failing webhook": lambda world: (world.beat(), with_status(world, "failing")),
    "a failed webhook": lambda world: (world.beat(), with_status(world, "failed")),
    "a webhook without deletions": lambda world: (world.beat(), without(world, "message.deleted")),
    "no receiver ever": lambda world: world.subscribe(),
    "a receiver that was up an hour ago": with_nobody,
}


def test_a_mailbox_is_covered_where_a_webhook_was_active_and_a_receiver_alive_before_its_first_page(
    near: Near,
):
    world = near(GOOGLE, backfilled=False)
    world.follow()

    [ended] = world.backfill().values()

    assert ended.subscribed
    assert [row["subscribed"] for row in world.ledger().values()] == [True]


def test_a_webhook_without_triggers_that_are_not_of_mail_is_enough(near: Near):
    world = near(GOOGLE, backfilled=False)
    world.beat()
    without(world, "event.deleted")

    assert [each.subscribed for each in world.backfill().values()] == [True]


def test_a_receiver_whose_clock_is_ahead_is_alive(near: Near):
    world = near(GOOGLE, backfilled=False)
    world.subscribe()
    world.beat(time.time() + 30)

    assert [each.subscribed for each in world.backfill().values()] == [True]


@pytest.mark.parametrize("hole", HOLES)
def test_a_mailbox_is_not_covered_with(near: Near, hole: str):
    world = near(GOOGLE, backfilled=False)
    HOLES[hole](world)

    [ended] = world.backfill().values()

    assert (ended.state, ended.subscribed) == ("complete", False)
    assert [row["subscribed"] for row in world.ledger().values()] == [False]


def test_where_nobody_can_tell_a_mailbox_is_backfilled_and_not_called_covered(near: Near):
    unknown = FaultRule(Fault.UNAVAILABLE, operation="webhooks", times=None)
    world = near(GOOGLE, backfilled=False, faults=Faults([unknown]))
    world.beat()
    world.subscribe()

    [ended] = world.backfill(settings=world.settings(patience=0.0)).values()

    assert (ended.state, ended.subscribed) == ("complete", False)


def test_a_webhook_that_comes_after_the_first_page_is_too_late(near: Near):
    world = near(GOOGLE, backfilled=False)
    world.backfill(max_pages=1, page_size=2)
    world.follow()

    [ended] = world.backfill().values()

    assert (ended.state, ended.subscribed) == ("complete", False)


def test_only_a_whole_sweep_while_notifications_land_makes_up_for_it(near: Near):
    imap = MailboxSpec("imap", messages=5, body_mean=300, user_folders=1)
    world = near(imap)

    def covered() -> set[bool]:
        return {row["subscribed"] for row in world.ledger().values()}

    world.reconcile()
    assert covered() == {False}

    world.follow()
    world.reconcile(since=datetime.now(UTC) - timedelta(days=7))
    assert covered() == {False}

    world.reconcile()
    assert covered() == {True}
    assert len(world.ledger()) > 1


def test_materialization_and_check_say_whether_a_mailbox_is_covered(
    near: Near, monkeypatch: pytest.MonkeyPatch
):
    world = near(GOOGLE, backfilled=False)
    monkeypatch.setenv("MAIL_PIPELINE_DATA", str(world.data))
    monkeypatch.setenv("NYLAS_API_KEY", API_KEY)

    [ended] = world.backfill().values()
    result = mailboxes_covered(MailPipelineResource())

    assert mailbox_metadata(ended)["webhook_before_first_page"].value is False
    assert result.passed is False
    assert result.metadata["not_covered"].value == 1
    assert "webhook create" in str(result.metadata["next_step"].value)

    world.follow()
    world.reconcile()
    assert mailboxes_covered(MailPipelineResource()).passed is True
