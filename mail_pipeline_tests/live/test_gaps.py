"""Times in which notifications may be missing are found by themselves, once, and stay until repaired."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.inbox.landing import Delivery
from mail_pipeline.lake import queries
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.ledger import grants_with_open_gaps
from mail_pipeline.simulator import Disorder, Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline.simulator.webhooks import Webhook
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.checkpoints import Checkpoint, checkpoint_rows
from mail_pipeline.sync.coverage import GRANT_EXPIRED, RECEIVER_DOWN, WEBHOOK_NOT_ACTIVE
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.envelopes import GRANT, know
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)
MICROSOFT = MailboxSpec("microsoft", messages=5, body_mean=300, user_folders=1)
MINUTE, HOUR, DAY = 60, 3_600, 86_400
EXACT = 60
"""Seconds that a busy machine may take from one line to the next; gaps are longer."""


def down(world: NearWorld, minutes: float) -> tuple[float, float]:
    """Have had a receiver down for so long until now; return from when to when."""
    end = time.time()
    start = end - minutes * MINUTE
    alive(world, start)
    world.beat(end)
    return start, end


def alive(world: NearWorld, until: float) -> None:
    world.beat(until - MINUTE)
    world.beat(until, started=False)


def near_to(found: float | None, expected: float) -> bool:
    return found is not None and abs(found - expected) <= EXACT


def the(webhooks: Any) -> Webhook:
    [webhook] = webhooks
    assert isinstance(webhook, Webhook)
    return webhook


def test_a_receiver_down_for_longer_than_the_tries_last_leaves_one_gap_however_often_one_looks(near: Near):
    world = near(GOOGLE)
    start, end = down(world, 11)

    looks = [world.watch() for _ in range(2)]

    assert [each.new_gaps for each in looks] == [1, 0]
    [(cause, grant, began, ended, repaired)] = world.gaps()
    assert (cause, grant, repaired) == (RECEIVER_DOWN, None, False)
    assert near_to(began, start)
    assert near_to(ended, end)


def test_nylas_tries_outlive_ten_minutes(near: Near):
    world = near(GOOGLE)
    down(world, 9.9)

    assert world.watch().new_gaps == 0
    assert world.gaps() == []


def test_a_gap_lasts_until_a_receiver_is_up_again(near: Near):
    world = near(GOOGLE)
    start = time.time() - 20 * MINUTE
    alive(world, start)

    assert not world.watch().receiving
    assert world.watch().new_gaps == 0
    [(_, _, began, ended, _)] = world.gaps()
    assert near_to(began, start)
    assert ended is None
    world.reconcile()
    assert [repaired for *_, repaired in world.gaps()] == [False]

    world.beat()
    now = time.time()
    assert world.watch().receiving
    [(_, _, again, ended, _)] = world.gaps()
    assert again == began
    assert near_to(ended, now)


def test_two_outages_between_two_looks_are_two_gaps(near: Near):
    world = near(GOOGLE)
    now = time.time()
    alive(world, now - 3 * HOUR)
    world.watch()
    alive(world, now - 2 * HOUR)

    assert world.watch().new_gaps == 1
    assert [ended is None for _, _, _, ended, _ in world.gaps()] == [False, True]


def test_a_machine_that_slept_was_a_receiver_that_was_down(near: Near):
    world = near(GOOGLE)
    now = time.time()
    world.beat(now - HOUR)
    world.beat(now - 15, started=False)
    world.beat(now, started=False)

    world.watch()

    [(cause, _, began, ended, _)] = world.gaps()
    assert cause == RECEIVER_DOWN
    assert near_to(began, now - HOUR)
    assert near_to(ended, now - 15)


def paused(world: NearWorld) -> Callable[[], object]:
    webhook = the(world.simulator.webhooks)
    world.simulator.webhooks.update(webhook.id, {"status": "pause"})
    return lambda: world.simulator.webhooks.update(webhook.id, {"status": "active"})


def failing(world: NearWorld) -> Callable[[], object]:
    return _answering_badly(world, MINUTE, 20)


def failed(world: NearWorld) -> Callable[[], object]:
    return _answering_badly(world, HOUR, 80)


def _answering_badly(world: NearWorld, seconds: float, times: int) -> Callable[[], object]:
    webhook, clock = the(world.simulator.webhooks), world.simulator.clock
    for _ in range(times):
        clock.advance(seconds)
        world.simulator.webhooks.tried(webhook, clock.now(), good=False)
    assert webhook.status in {"failing", "failed"}
    return lambda: world.simulator.webhooks.update(webhook.id, {"status": "active"})


def without_deletions(world: NearWorld) -> Callable[[], object]:
    webhook = the(world.simulator.webhooks)
    before = sorted(webhook.triggers)
    less = [each for each in before if each != "message.deleted"]
    world.simulator.webhooks.update(webhook.id, {"trigger_types": less})
    return lambda: world.simulator.webhooks.update(webhook.id, {"trigger_types": before})


def deleted(world: NearWorld) -> Callable[[], object]:
    world.simulator.webhooks.delete(the(world.simulator.webhooks).id)
    return world.subscribe


@pytest.mark.parametrize("breaks", [paused, failing, failed, without_deletions, deleted])
def test_a_webhook_that_does_not_deliver_is_a_gap_from_when_it_last_did_until_it_does_again(
    near: Near, breaks: Callable[[NearWorld], Callable[[], object]]
):
    world = near(GOOGLE)
    world.follow()
    clock = world.simulator.clock
    seen = clock.now()
    assert world.watch().covered
    clock.advance(HOUR)

    mend = breaks(world)
    assert not world.watch().active
    [(cause, _, began, ended, _)] = world.gaps()
    assert cause == WEBHOOK_NOT_ACTIVE
    assert near_to(began, seen)
    assert ended is None

    clock.advance(HOUR)
    mend()
    mended = clock.now()
    assert world.watch().covered
    assert world.watch().new_gaps == 0
    [(_, _, again, ended, repaired)] = world.gaps()
    assert (again, repaired) == (began, False)
    assert near_to(ended, mended)


def test_a_webhook_that_failed_and_was_revived_between_two_looks_has_left_a_gap(near: Near):
    world = near(GOOGLE)
    world.follow()
    world.watch()
    clock = world.simulator.clock
    clock.advance(HOUR)
    revive = failed(world)
    clock.advance(HOUR)
    revive()

    assert world.watch().new_gaps == 1
    assert world.watch().new_gaps == 0
    [(cause, _, _, ended, _)] = world.gaps()
    assert cause == WEBHOOK_NOT_ACTIVE
    assert near_to(ended, clock.now())


def test_a_webhook_that_is_well_leaves_no_gap(near: Near):
    world = near(GOOGLE)
    world.follow()

    for _ in range(3):
        assert world.watch().covered
        world.simulator.clock.advance(HOUR)

    assert world.gaps() == []


@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
def test_a_wrong_clock_of_this_machine_hides_no_gap_and_makes_none(near: Near, ahead: int):
    world = near(GOOGLE, clock_skew=ahead)
    world.follow()
    world.watch()

    revive = paused(world)
    world.simulator.clock.advance(MINUTE)
    revive()
    down(world, 30)
    world.watch()
    world.watch()

    now = world.simulator.clock.now()
    by_cause = {cause: (began, ended) for cause, _, began, ended, _ in world.gaps()}
    assert set(by_cause) == {WEBHOOK_NOT_ACTIVE, RECEIVER_DOWN}
    assert all(near_to(ended, now) for _, ended in by_cause.values())
    world.reconcile()
    world.watch()
    assert [repaired for *_, repaired in world.gaps()] == [True, True]


def land(world: NearWorld, *, twice: bool = False) -> None:
    """Deliver and apply; `twice` delivers all of it once more."""
    if twice:
        for one in world.simulator.notifications:
            world.simulator.postman.redeliver(one)
    world.settle()


def test_a_grant_expired_for_longer_than_nylas_catches_up_has_a_gap_of_its_own(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    clock = world.simulator.clock
    late, soon = world.grant_id("google"), world.grant_id("microsoft")
    expired = clock.now()
    world.simulator.provider.expire(late)
    world.simulator.provider.expire(soon)
    land(world, twice=True)

    clock.advance(71 * HOUR)
    world.simulator.provider.reauthenticate(soon)
    land(world)
    assert world.watch().new_gaps == 0

    clock.advance(2 * HOUR)
    assert world.watch().new_gaps == 1
    [(cause, grant, began, ended, _)] = world.gaps()
    assert (cause, grant, ended) == (GRANT_EXPIRED, late, None)
    assert near_to(began, expired)

    missed = world.simulator.provider.arrive(late, subject="Where are you?")
    back = clock.now()
    world.simulator.provider.reauthenticate(late)
    land(world, twice=True)
    assert world.watch().new_gaps == 0
    [(*_, ended, _)] = world.gaps()
    assert near_to(ended, back)
    assert (late, missed) in world.wrong()
    assert grants_with_open_gaps(world.data) == {late}

    world.reconcile(late)
    assert world.wrong() == {}
    assert [repaired for *_, repaired in world.gaps()] == [True]


def test_an_expired_grant_whose_new_connection_was_not_told_has_its_gap_repaired_too(near: Near):
    world = near(GOOGLE)
    world.follow()
    grant_id, clock = world.grant_id("google"), world.simulator.clock
    world.simulator.provider.expire(grant_id)
    land(world)
    clock.advance(73 * HOUR)
    assert world.watch().new_gaps == 1

    world.simulator.postman.disorder = Disorder(drop=1.0)
    missed = world.simulator.provider.arrive(grant_id, subject="Where are you?")
    world.simulator.provider.reauthenticate(grant_id)
    land(world)
    refresh_grants(world.settings())
    seen = clock.now()
    clock.advance(HOUR)
    assert world.watch().new_gaps == 0
    [(*_, ended, _)] = world.gaps()
    assert near_to(ended, seen)
    assert (grant_id, missed) in world.wrong()
    assert grants_with_open_gaps(world.data) == {grant_id}

    world.reconcile(grant_id)
    refresh_grants(world.settings())
    assert world.watch().new_gaps == 0
    assert world.wrong() == {}
    assert [repaired for *_, repaired in world.gaps()] == [True]


def test_grants_that_expired_in_one_second_do_not_share_a_gap(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    google, microsoft = world.grant_id("google"), world.grant_id("microsoft")
    world.simulator.postman.disorder = Disorder(drop=1.0)
    for grant_id in (google, microsoft):
        world.simulator.provider.expire(grant_id)
    moment = int(world.simulator.clock.now())
    _tell(world, *(("grant.expired", grant, moment) for grant in (google, microsoft)))
    world.simulator.clock.advance(80 * HOUR)
    world.watch()
    assert {grant for _, grant, *_ in world.gaps()} == {google, microsoft}

    world.simulator.provider.reauthenticate(google)
    _tell(world, ("grant.updated", google, moment + 79 * HOUR))
    world.watch()
    world.reconcile(google)
    assert {grant: repaired for _, grant, *_, repaired in world.gaps()} == {google: True, microsoft: False}

    world.simulator.provider.reauthenticate(microsoft)
    _tell(world, ("grant.updated", microsoft, moment + 79 * HOUR))
    assert world.watch().new_gaps == 0
    assert {grant: repaired for _, grant, *_, repaired in world.gaps()} == {google: True, microsoft: False}


def _tell(world: NearWorld, *changes: tuple[str, str, int]) -> None:
    """Land notifications on grants as they are made: trigger, grant, unix time."""
    with world.landing() as landing:
        bodies = [
            b'{"type": "%s", "time": %d, "data": {"object": {"grant_id": "%s"}}}'
            % (trigger.encode(), moment, grant.encode())
            for trigger, grant, moment in changes
        ]
        landing.store([Delivery(time.time(), {}, body) for body in bodies])
    world.apply()


def test_what_was_lost_in_an_outage_is_found_again_edits_of_new_mail_too(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    lose, provider = Disorder(drop=1.0), world.simulator.provider
    google, microsoft = world.grant_id("google"), world.grant_id("microsoft")
    down(world, 30)
    fresh = provider.arrive(google, subject="Draft")
    world.settle()
    world.simulator.postman.disorder = lose
    provider.edit(google, fresh, subject="Final", body="<p>Final</p>")
    provider.arrive(microsoft, subject="Lost")
    provider.delete(microsoft, next(iter(world.simulator.truth(microsoft)))["id"])
    world.settle()
    world.watch()
    assert world.wrong() != {}

    world.reconcile(since=datetime.now(UTC) - timedelta(days=7))
    assert [repaired for *_, repaired in world.gaps()] == [False]

    world.reconcile()
    assert world.wrong() == {}
    assert [repaired for *_, repaired in world.gaps()] == [True]
    assert world.watch().new_gaps == 0


def test_a_grant_that_did_not_get_through_keeps_a_gap_open_and_is_the_only_one_to_be_swept_again(near: Near):
    stuck = FaultRule(Fault.INTERNAL, operation="messages", first=2)
    world = near(GOOGLE, MICROSOFT, faults=Faults([stuck]))
    world.follow()
    down(world, 30)
    world.watch()
    assert grants_with_open_gaps(world.data) == set(world.keys())

    report = world.reconcile(patience=0.0, workers=1)
    [left] = [each.grant_id for each in report.grants if each.error is not None]
    assert report.open_gaps == 1
    assert [repaired for *_, repaired in world.gaps()] == [False]
    assert grants_with_open_gaps(world.data) == {left}

    assert world.reconcile(left).open_gaps == 0
    assert [repaired for *_, repaired in world.gaps()] == [True]
    assert grants_with_open_gaps(world.data) == set()


def test_a_grant_that_has_expired_keeps_a_gap_open_until_it_is_connected_again_or_gone(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    google, microsoft = world.grant_id("google"), world.grant_id("microsoft")
    down(world, 30)
    world.watch()
    world.simulator.provider.expire(google)
    world.settle()

    assert world.reconcile().open_gaps == 1
    assert grants_with_open_gaps(world.data) == set()

    world.simulator.provider.reauthenticate(google)
    world.settle()
    assert grants_with_open_gaps(world.data) == {google}
    world.simulator.provider.disconnect(google)
    world.settle()
    assert world.keys() == [microsoft]
    assert world.watch().open_gaps == 0


def test_the_gap_of_an_expired_grant_ends_with_the_grant(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    gone = world.grant_id("google")
    world.simulator.provider.expire(gone)
    world.settle()
    world.simulator.clock.advance(80 * HOUR)
    assert world.watch().open_gaps == 1

    world.simulator.provider.disconnect(gone)
    world.settle()
    assert world.watch().open_gaps == 0


GAP_BEGAN, GAP_ENDED, SWEPT = 1_790_000_000, 1_790_001_000, 1_790_002_000


def after_a_gap(data: Path, **contacts: Any) -> tuple[set[str], bool]:
    """Return the grants to repair and whether the gap counts as repaired, with such a list of contacts."""
    checkpoint = Checkpoint(partition_key=f"contacts:{GRANT}", grant_id=GRANT, stream="contacts", **contacts)
    with Lake(data) as lake, lake.transaction() as transaction:
        swept = [(GRANT, None, SWEPT, SWEPT, 1, 0, 0, 0)]
        transaction.append("reconciliations", arrow_table("reconciliations", swept))
        gap = [(RECEIVER_DOWN, None, GAP_BEGAN, GAP_ENDED, GAP_ENDED, None)]
        transaction.append("gaps", arrow_table("gaps", gap))
        transaction.append("checkpoints", checkpoint_rows([replace(checkpoint, version=1)]))
        to_repair = {grant for (grant,) in transaction.rows(queries.GRANTS_TO_REPAIR)}
        transaction.change("gaps", queries.MARK_REPAIRED_GAPS)
        [(repaired,)] = transaction.rows("SELECT repaired_at IS NOT NULL FROM gaps")
    return to_repair, repaired


@pytest.mark.parametrize(
    ("streams_off", "contacts", "to_repair", "repaired"),
    [
        ([], {"state": "complete", "pass_started": SWEPT}, set(), True),
        ([], {"state": "complete", "pass_started": GAP_BEGAN}, {GRANT}, False),
        (["contacts"], {"state": "complete", "pass_started": GAP_BEGAN}, set(), True),
        # The nightly mirroring tries it again; the mail is not swept each hour for it.
        ([], {"state": "failed", "updated_at": SWEPT}, set(), False),
        ([], {"state": "failed", "updated_at": GAP_BEGAN}, {GRANT}, False),
        ([], {"state": "paused", "updated_at": SWEPT}, {GRANT}, False),
    ],
    ids=["listed since", "not listed since", "switched off", "failed since", "failed before", "paused since"],
)
def test_a_list_beside_the_mail_keeps_a_gap_open_while_it_is_wanted(
    data: Path, streams_off: list[str], contacts: dict[str, Any], to_repair: set[str], repaired: bool
):
    know(data, GRANT, created_at=1_700_000_000, streams_off=streams_off)
    assert after_a_gap(data, **contacts) == (to_repair, repaired)


def test_a_grant_without_a_date_of_its_own_is_swept_after_a_gap_like_any_other(data: Path):
    know(data, GRANT, created_at=None)
    with Lake(data) as lake, lake.transaction() as transaction:
        gap = [(RECEIVER_DOWN, None, GAP_BEGAN, GAP_ENDED, GAP_ENDED, None)]
        transaction.append("gaps", arrow_table("gaps", gap))
        transaction.change("gaps", queries.MARK_REPAIRED_GAPS)
        assert transaction.rows("SELECT repaired_at FROM gaps") == [(None,)]
    assert grants_with_open_gaps(data) == {GRANT}


def test_a_grant_without_mail_keeps_no_gap_open(near: Near):
    world = near(GOOGLE, MailboxSpec("virtual-calendar", messages=1))
    world.follow()
    down(world, 30)
    assert world.watch().open_gaps == 1

    report = world.reconcile()

    assert [each.provider for each in report.grants] == ["google"]
    assert report.open_gaps == 0


def test_what_waits_to_be_asked_keeps_a_gap_open(near: Near):
    unseen = FaultRule(Fault.INTERNAL, operation="message", times=1)
    world = near(GOOGLE, faults=Faults([unseen]))
    world.follow()
    down(world, 30)
    world.simulator.postman.disorder = Disorder(drop=1.0)
    world.simulator.provider.arrive(world.grant_id("google"), date=int(time.time()) - DAY)
    world.watch()

    report = world.reconcile(patience=0.0)
    assert (report.waiting, report.open_gaps, report.succeeded) == (1, 1, False)

    world.settle()
    assert world.watch().open_gaps == 0
    assert world.wrong() == {}
