"""What a notification leaves open is asked of the API, at each grant's pace, until it is answered."""

import time

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Disorder, Fault, FaultRule, Faults, Limits, MailboxSpec, SimulatedClock
from mail_pipeline.sync import fetching
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.apply import apply
from mail_pipeline.sync.fetches import (
    DISPUTED,
    FOLDERS,
    MESSAGE,
    MISSING,
    Fetch,
    fetch_rows,
    waiting_fetches,
)
from mail_pipeline.sync.fetching import Fetcher
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)
MICROSOFT = MailboxSpec("microsoft", messages=5, body_mean=300, user_folders=1)
LOSE = Disorder(drop=1.0)


def truncated(world: NearWorld, grant: str) -> str:
    return world.simulator.provider.arrive(grant, size=1_100_000)


def bodiless(world: NearWorld, grant: str) -> str:
    world.simulator.postman.style.transformed_without = {"body"}
    arrived = world.simulator.provider.arrive(grant)
    world.simulator.postman.style.transformed_without = ()
    return arrived


def partial(world: NearWorld, grant: str) -> str:
    """Have only an update of a new message be told: it lacks its attachments, among others."""
    world.simulator.postman.disorder = LOSE
    arrived = world.simulator.provider.arrive(grant, attachments=2)
    world.simulator.postman.disorder = Disorder()
    return world.simulator.provider.flag(grant, arrived, unread=False)


def disputed(world: NearWorld, grant: str) -> str:
    """Have a message be read and not read in one second."""
    arrived = world.simulator.provider.arrive(grant)
    world.simulator.provider.flag(grant, arrived, unread=False)
    return world.simulator.provider.flag(grant, arrived, unread=True)


OPEN = {"truncated": truncated, "no body": bodiless, "partial": partial, "disputed": disputed}


def offline(world: NearWorld) -> None:
    """Deliver and apply without an API."""
    world.simulator.postman.drain()
    apply(world.settings(api_key=""))


@pytest.mark.parametrize("reason", OPEN)
def test_what_is_left_open_waits_without_an_api_and_is_asked_once_with_one(near: Near, reason: str):
    # One second for all: the clock stands still.
    world = near(GOOGLE, clock=SimulatedClock(start=float(int(time.time()))))
    world.follow()
    grant = world.grant_id("google")
    arrived = OPEN[reason](world, grant)

    offline(world)
    assert list(world.wanted()) == [(MESSAGE, arrived)]
    assert reason in world.wanted()[MESSAGE, arrived]

    world.simulator.clock.advance(5)
    report = world.apply()
    assert (report.fetched, report.waiting) == (1, 0)
    assert world.wrong() == {}
    assert world.wanted() == {}
    world.apply()
    assert len(world.asked("message")) == 1


def test_not_found_ends_the_asking_and_does_not_delete(near: Near):
    world = near(GOOGLE)
    world.follow()
    grant = world.grant_id("google")
    arrived = {OPEN[reason](world, grant) for reason in ("truncated", "no body", "partial")}
    offline(world)
    world.simulator.postman.disorder = LOSE
    for identity in arrived:
        world.simulator.provider.delete(grant, identity)

    report = world.settle()

    assert [each.status for each in world.asked("message")] == [404] * 3
    assert (report.waiting, world.wanted()) == (0, {})
    assert {(grant, identity) for identity in arrived} <= world.stored().keys()


def lost_mail(world: NearWorld, grant: str, count: int = 1) -> list[str]:
    """Have new mail come whose notifications are truncated, so that it is to be asked for."""
    return [bodiless(world, grant) for _ in range(count)]


def test_a_grant_to_be_connected_again_leaves_the_others_and_is_asked_later(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    google, microsoft = world.grant_id("google"), world.grant_id("microsoft")
    [out] = lost_mail(world, google)
    lost_mail(world, microsoft)
    world.simulator.postman.drain()
    world.simulator.postman.disorder = LOSE
    world.simulator.provider.expire(google)

    report = world.apply()
    assert (report.fetched, report.waiting) == (1, 1)
    assert list(world.wanted()) == [(MESSAGE, out)]
    assert {grant for grant, _ in world.wrong()} == {google}

    world.simulator.provider.reauthenticate(google)
    assert world.apply().waiting == 0
    assert world.wrong() == {}


def test_trouble_that_lasts_leaves_what_waits_and_what_was_answered_before(near: Near):
    trouble = FaultRule(Fault.UNAVAILABLE, operation="message", first=3, times=3)
    world = near(GOOGLE, faults=Faults([trouble]))
    world.follow()
    lost_mail(world, world.grant_id("google"), 4)
    world.simulator.postman.drain()

    report = apply(world.settings(patience=0.0))
    assert (report.fetched, report.waiting) == (2, 2)
    assert len(world.wanted()) == 2

    apply(world.settings(patience=0.0))
    assert len(world.wanted()) == 2
    assert world.apply().waiting == 0
    assert world.wrong() == {}


def test_a_quota_that_is_spent_is_waited_for(near: Near):
    kinds = (Fault.QUOTA_TEXT, Fault.QUOTA_FORBIDDEN, Fault.TOO_MANY_SECONDS)
    full = [FaultRule(kind, operation="message", first=n + 1, seconds=0.1) for n, kind in enumerate(kinds)]
    world = near(GOOGLE, faults=Faults(full))
    world.follow()
    lost_mail(world, world.grant_id("google"))

    assert world.settle().waiting == 0
    assert world.wrong() == {}
    assert [each.status for each in world.asked("message")] == [429, 403, 429, 200]


def test_a_key_that_is_refused_stops_the_asking_but_not_the_applying(near: Near):
    world = near(GOOGLE)
    world.follow()
    [arrived] = lost_mail(world, world.grant_id("google"))
    world.simulator.postman.drain()

    with pytest.raises(StopRun, match="NYLAS_API_KEY"):
        apply(world.settings(api_key="nyk_wrong"))

    assert (world.grant_id("google"), arrived) in world.stored()
    assert len(world.wanted()) == 1


def test_folders_that_could_not_be_listed_are_listed_the_next_time(near: Near):
    trouble = FaultRule(Fault.UNAVAILABLE, operation="folders", times=1)
    world = near(GOOGLE, faults=Faults([trouble]))
    world.follow()
    made = world.simulator.provider.create_folder(world.grant_id("google"), "Plans")
    world.simulator.postman.drain()

    assert apply(world.settings(patience=0.0)).waiting == 1
    assert list(world.wanted()) == [(FOLDERS, None)]

    assert world.apply().waiting == 0
    assert (made,) in world.ask("SELECT id FROM folders")


def test_nothing_is_asked_of_a_grant_that_is_gone(near: Near):
    world = near(GOOGLE, MICROSOFT)
    world.follow()
    google = world.grant_id("google")
    lost_mail(world, google)
    world.simulator.postman.drain()
    world.simulator.provider.disconnect(google)

    assert world.settle().waiting == 0
    assert world.wanted() == {}
    assert world.reconcile().succeeded


def queue(world: NearWorld, *fetches: Fetch) -> None:
    with Lake(world.data) as lake, lake.transaction() as transaction:
        transaction.append("fetches", fetch_rows(fetches))


@pytest.mark.parametrize("later", [0, 1])
def test_a_message_asked_for_twice_over_is_asked_once_for_the_reason_that_concludes_most(
    near: Near, later: int
):
    world = near(GOOGLE)
    grant = world.grant_id("google")
    gone = next(iter(world.simulator.truth(grant)))["id"]
    world.simulator.provider.delete(grant, gone)
    # So that the moment is after the backfill.
    world.simulator.clock.advance(20)
    moment = int(world.simulator.clock.now()) - 10
    reasons = [DISPUTED, MISSING][:: -1 if later else 1]
    queue(
        world,
        *(
            Fetch(MESSAGE, grant, gone, reason, not_before=moment + number)
            for number, reason in enumerate(reasons)
        ),
    )

    assert world.apply().fetched == 1
    assert world.wrong() == {}
    assert world.wanted() == {}


def test_what_is_asked_for_while_an_answer_is_under_way_is_asked_again(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    grant = world.grant_id("google")
    wanted = next(iter(world.simulator.truth(grant)))["id"]
    queue(world, Fetch(MESSAGE, grant, wanted, "no body"))
    # As a notification that lands in between would.
    world.door.edit(
        lambda asked: asked.operation == "message" and asked.number == 1,
        lambda _: queue(world, Fetch(MESSAGE, grant, wanted, "no body")),
    )

    with Lake(world.data) as lake, Fetcher(world.settings(), lake) as fetcher:
        assert fetcher.work() == (1, 0)
        assert len(world.wanted()) == 1
        assert fetcher.work() == (1, 0)
        assert fetcher.work() == (0, 0)


def test_the_folders_of_a_grant_to_be_connected_again_are_listed_when_it_is(near: Near):
    world = near(GOOGLE, MICROSOFT)
    google, microsoft = world.grant_id("google"), world.grant_id("microsoft")
    world.simulator.provider.expire(google)
    refresh_grants(world.settings())
    for grant in (google, microsoft, "unknown"):
        queue(world, Fetch(FOLDERS, grant, None, "changed"))

    report = world.apply()
    assert (report.fetched, report.waiting) == (2, 1)
    assert world.ask("SELECT object, grant_id FROM fetches") == [(FOLDERS, google)]
    assert [each.grant_id for each in world.asked("folders")] == [microsoft]

    world.simulator.provider.reauthenticate(google)
    refresh_grants(world.settings())
    assert world.apply().waiting == 0
    assert [each.grant_id for each in world.asked("folders")] == [microsoft, google]


def test_requests_keep_to_every_limit(near: Near):
    specs = [MailboxSpec(each, messages=5, body_mean=300) for each in ("google", "microsoft", "ews", "imap")]
    world = near(*specs, limits=Limits())
    world.follow()
    for mailbox in world.simulator.fleet:
        lost_mail(world, mailbox.grant.id, 15)

    world.settle()
    world.reconcile(google_units_per_second=150.0)

    assert world.wrong() == {}
    assert len(world.asked("message")) == 4 * 15
    assert [each.limited for each in world.simulator.requests if each.limited] == []


def test_what_another_process_asks_for_after_the_queue_was_read_is_not_answered_by_less(
    near: Near, monkeypatch: pytest.MonkeyPatch
):
    world = near(GOOGLE)
    grant = world.grant_id("google")
    gone = next(iter(world.simulator.truth(grant)))["id"]
    world.simulator.postman.disorder = LOSE
    world.simulator.provider.delete(grant, gone)
    world.simulator.clock.advance(2)
    at = int(world.simulator.clock.now())
    queue(world, Fetch(MESSAGE, grant, gone, DISPUTED, not_before=at))

    def read(lake: Lake) -> list[Fetch]:
        found = waiting_fetches(lake)
        monkeypatch.setattr(fetching, "waiting_fetches", waiting_fetches)
        queue(world, Fetch(MESSAGE, grant, gone, MISSING, not_before=at))
        return found

    monkeypatch.setattr(fetching, "waiting_fetches", read)
    world.apply()

    assert world.wanted() == {}
    assert (grant, gone) not in world.stored()


def test_a_message_that_is_refused_keeps_none_behind_it_waiting(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    world.follow()
    lost_mail(world, world.grant_id("google"), 5)
    answer = {"error": {"type": "api.provider_error", "message": "Forbidden here"}}
    world.door.refuse(lambda asked: asked.operation == "message" and asked.number == 1, 403, answer)
    world.simulator.postman.drain()
    world.simulator.clock.advance(5)

    report = world.apply()
    assert (report.fetched, report.waiting) == (4, 1)
    assert world.door.arrived("message") == 5
    assert world.settle().waiting == 0
    assert world.wrong() == {}
