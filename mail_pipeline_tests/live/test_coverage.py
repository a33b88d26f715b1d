"""A mailbox is covered only where changes landed before its first page, or a sweep made up for it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mail_pipeline.checks import mailboxes_covered
from mail_pipeline.errors import StopRun
from mail_pipeline.events import mailbox_metadata
from mail_pipeline.nylas.triggers import TRIGGERS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.simulator import API_KEY, Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.coverage import is_covered
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)


def subscribe(world: NearWorld, *, without: str = "", status: str = "active") -> None:
    wanted = [each for each in TRIGGERS if each != without]
    webhook = world.simulator.webhooks.create({"trigger_types": wanted, "webhook_url": world.receiver})
    webhook.status = status


def without_a_webhook(world: NearWorld) -> None:
    world.beat()


def without_deletions(world: NearWorld) -> None:
    world.beat()
    subscribe(world, without="message.deleted")


def with_a_paused_webhook(world: NearWorld) -> None:
    world.beat()
    subscribe(world, status="pause")


def with_a_failing_webhook(world: NearWorld) -> None:
    world.beat()
    subscribe(world, status="failing")


def without_any_receiver(world: NearWorld) -> None:
    subscribe(world)


def with_a_receiver_that_was_up_an_hour_ago(world: NearWorld) -> None:
    subscribe(world)
    world.beat(time.time() - 3_600)


HOLES = [
    without_a_webhook,
    without_deletions,
    with_a_paused_webhook,
    with_a_failing_webhook,
    without_any_receiver,
    with_a_receiver_that_was_up_an_hour_ago,
]


def test_a_mailbox_is_covered_where_a_webhook_was_active_and_a_receiver_alive_before_its_first_page(
    near: Near,
):
    world = near(GOOGLE, backfilled=False)
    world.follow()

    [ended] = world.backfill().values()

    assert ended.subscribed
    assert [row["subscribed"] for row in world.ledger().values()] == [True]


def covered(world: NearWorld, **settings: Any) -> bool:
    chosen = world.settings(**settings)
    with open_client(chosen) as client:
        return is_covered(chosen, client)


def test_what_is_not_of_mail_may_be_missing_and_the_clock_of_a_receiver_be_ahead(near: Near):
    world = near(GOOGLE, backfilled=False)
    subscribe(world, without="event.deleted")
    world.beat(time.time() + 30)

    assert covered(world)


@pytest.mark.parametrize("hole", HOLES)
def test_nothing_is_covered(near: Near, hole: Callable[[NearWorld], None]):
    world = near(GOOGLE, backfilled=False)
    hole(world)

    assert not covered(world)


def test_where_nobody_can_tell_nothing_is_called_covered(near: Near):
    unknown = FaultRule(Fault.UNAVAILABLE, operation="webhooks", times=None)
    world = near(GOOGLE, backfilled=False, faults=Faults([unknown]))
    world.follow()

    assert not covered(world, patience=0.0)
    with pytest.raises(StopRun, match="NYLAS_API_KEY"):
        covered(world, api_key="nyk_wrong")


def test_a_webhook_that_comes_after_the_first_page_is_too_late(near: Near):
    world = near(GOOGLE, backfilled=False)
    world.backfill(max_pages=1, page_size=2)
    world.follow()

    [ended] = world.backfill().values()

    assert (ended.state, ended.subscribed) == ("complete", False)


def test_a_later_pass_leaves_it_as_it_is(near: Near):
    world = near(GOOGLE)
    grant_id = world.grant_id("google")
    assert [row["subscribed"] for row in world.ledger().values()] == [False]
    world.simulator.provider.delete(grant_id, list(world.simulator.truth(grant_id))[-1]["id"])
    world.follow()

    # It does not show what was deleted before.
    world.backfill(full_resync=True)
    assert world.wrong() != {}
    assert [row["subscribed"] for row in world.ledger().values()] == [False]

    world.reconcile()
    assert world.wrong() == {}
    assert [row["subscribed"] for row in world.ledger().values()] == [True]
    for webhook in world.simulator.webhooks:
        webhook.status = "pause"
    world.backfill(full_resync=True)
    assert [row["subscribed"] for row in world.ledger().values()] == [True]


def test_a_grant_that_was_gone_is_not_covered_when_it_is_back(near: Near):
    world = near(GOOGLE, backfilled=False)
    world.follow()
    world.backfill()
    grant_id = world.grant_id("google")
    assert [row["subscribed"] for row in world.ledger().values()] == [True]

    world.simulator.vanish(grant_id)
    world.register()
    world.simulator.restore(grant_id)
    world.register()
    world.backfill()

    assert [(row["state"], row["subscribed"]) for row in world.ledger().values()] == [("complete", False)]


def test_only_a_whole_sweep_while_notifications_land_makes_up_for_it(near: Near):
    imap = MailboxSpec("imap", messages=5, body_mean=300, user_folders=1)
    world = near(imap)

    def subscribed() -> set[bool]:
        return {row["subscribed"] for row in world.ledger().values()}

    world.reconcile()
    assert subscribed() == {False}

    world.follow()
    world.reconcile(since=datetime.now(UTC) - timedelta(days=7))
    assert subscribed() == {False}

    world.reconcile()
    assert subscribed() == {True}
    assert len(world.ledger()) > 1


def check() -> dg.AssetCheckResult:
    result = mailboxes_covered(MailPipelineResource())
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_materialization_and_check_say_whether_a_mailbox_is_covered(
    near: Near, monkeypatch: pytest.MonkeyPatch
):
    world = near(GOOGLE, backfilled=False)
    monkeypatch.setenv("MAIL_PIPELINE_DATA", str(world.data))
    monkeypatch.setenv("NYLAS_API_KEY", API_KEY)

    [ended] = world.backfill().values()
    result = check()

    assert (ended.state, ended.subscribed) == ("complete", False)
    assert [row["subscribed"] for row in world.ledger().values()] == [False]
    assert mailbox_metadata(ended)["webhook_before_first_page"].value is False
    assert result.passed is False
    assert result.metadata["not_covered"].value == 1
    assert "webhook create" in str(result.metadata["next_step"].value)

    world.follow()
    world.reconcile()
    assert check().passed is True
