"""What is said beside each number is never better than the truth."""

from datetime import UTC, datetime

from mail_pipeline.freshness import Freshness, freshness
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)
MICROSOFT = MailboxSpec("microsoft", messages=5, body_mean=300, user_folders=1)


def newest(world: NearWorld, statement: str) -> datetime:
    [(found,)] = world.ask(statement)
    assert isinstance(found, datetime)
    return found


def test_a_mailbox_that_was_never_fetched_is_counted_as_missing_and_makes_nothing_older(near: Near):
    world = near(GOOGLE, MICROSOFT, backfilled=False)

    before = freshness(world.connection)
    world.backfill([world.grant_id("google")])
    after = freshness(world.connection)

    assert (before.as_of, before.mailboxes, before.complete) == (None, 2, 0)
    assert str(before) == "nothing here yet, 0 of 2 mailboxes complete, 0 gaps open"
    assert (after.mailboxes, after.complete) == (2, 1)
    assert after.as_of == newest(world, "SELECT max(last_fetch) FROM mailboxes")
    assert str(after) == f"as of {after.as_of:%Y-%m-%d %H:%M} UTC, 1 of 2 mailboxes complete, 0 gaps open"


def test_notifications_freshen_only_mailboxes_that_were_covered_from_their_first_page(near: Near):
    world = near(GOOGLE, MICROSOFT, backfilled=False)
    world.backfill([world.grant_id("google")])
    world.follow()
    world.backfill([world.grant_id("microsoft")])
    changes = world.simulator.provider.live(seed=1)
    for _ in range(5):
        next(changes)
    world.settle()

    told, uncovered = freshness(world.connection), "SELECT last_fetch FROM mailboxes WHERE NOT subscribed"
    assert told.as_of == newest(world, uncovered)

    # A whole sweep covers it as well.
    world.reconcile(world.grant_id("google"))
    assert world.ask(uncovered) == []
    assert freshness(world.connection).as_of == newest(world, "SELECT max(received_at) FROM notifications")


def test_an_open_gap_is_told(near: Near):
    world = near(GOOGLE)
    world.subscribe()
    world.watch()
    [webhook] = world.simulator.webhooks
    world.simulator.webhooks.update(webhook.id, {"status": "pause"})
    world.watch()

    assert freshness(world.connection).gaps_open == len(world.gaps()) == 1
    assert str(freshness(world.connection)).endswith(", 1 of 1 mailboxes complete, 1 gap open")


def test_numbers_of_the_marts_are_as_old_as_the_marts_and_as_the_mail(near: Near):
    world = near(GOOGLE, MICROSOFT)
    unfilled = freshness(world.connection)
    refresh_marts(world.data)
    filled = freshness(world.connection)

    assert unfilled.as_of is not None
    assert (unfilled.marts_as_of, unfilled.of_marts.as_of) == (None, None)
    refreshed = newest(world, "SELECT max(refreshed_at) FROM mart_watermarks")
    assert refreshed is not None
    # Nothing was written since.
    assert filled.marts_as_of is not None
    assert filled.marts_as_of > refreshed
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    for mail, marts in ((early, late), (late, early)):
        assert Freshness(mail, 1, 1, 0, 0, 0, marts).of_marts == Freshness(early, 1, 1, 0, 0, 0, marts)


def test_the_marts_are_as_old_as_the_refresh_before_the_oldest_change_they_lack(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    before = datetime.now(UTC)
    refresh_marts(world.data)
    counted = newest(world, "SELECT max(refreshed_at) FROM mart_watermarks")
    world.simulator.provider.flag(world.grant_id("google"), _any_message(world, "google"), unread=True)
    world.settle()
    changed = freshness(world.connection).marts_as_of
    assert changed == counted
    assert before <= changed

    refresh_marts(world.data)
    later = freshness(world.connection).marts_as_of
    assert later is not None
    assert later > changed


def _any_message(world: NearWorld, provider: str) -> str:
    return str(next(iter(world.simulator.truth(world.grant_id(provider))))["id"])
