"""Landed notifications leave once they were applied long ago; what can still be of use stays."""

import time
from pathlib import Path

import orjson
import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.apply import Replay, apply
from mail_pipeline.sync.retention import retire
from mail_pipeline_tests.live.conftest import Near

DAY = 86_400
OLD = 40 * DAY
GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)


def settings(data: Path, days: int = 30) -> Settings:
    return Settings(data=data, keep_notifications_days=days)


def land(data: Path, *types: str, ago: float = OLD) -> None:
    """Store one notification of each type; `unreadable` for one that is none."""
    moment = time.time() - ago
    bodies = [
        b"{"
        if each == "unreadable"
        else orjson.dumps({"type": each, "time": int(moment), "data": {"object": {"grant_id": "g"}}})
        for each in types
    ]
    with Landing.open(settings(data)) as landing:
        landing.store([Delivery(moment, {}, body) for body in bodies])


def apply_then(data: Path, ago: float = OLD) -> None:
    """Apply what has landed, as of so many seconds ago."""
    apply(settings(data))
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.change(
            "notifications", "UPDATE notifications SET applied_at = to_timestamp(?)", [time.time() - ago]
        )


def numbers(data: Path) -> list[int]:
    with Landing.open(settings(data)) as landing:
        return [row.number for row in landing.after(0, limit=1_000, max_bytes=2**30)]


def test_what_was_applied_long_ago_leaves_and_the_rest_stays(data: Path):
    land(data, "grant.updated", "unreadable", "grant.updated", "event.created")
    apply_then(data)
    land(data, "grant.updated")
    land(data, "grant.updated", ago=0)

    # 2 is dead, 4 is kept for its table, 5 and 6 are not applied.
    assert retire(settings(data)) == 2
    assert numbers(data) == [2, 4, 5, 6]
    assert retire(settings(data)) == 0


@pytest.mark.parametrize(("landed", "applied"), [(OLD, 29 * DAY), (29 * DAY, OLD)])
def test_what_landed_or_was_applied_a_short_while_ago_stays(data: Path, landed: float, applied: float):
    land(data, "grant.updated", ago=landed)
    apply_then(data, ago=applied)

    assert retire(settings(data)) == 0
    assert retire(settings(data, days=20)) == 1


def test_how_long_is_a_matter_of_the_environment():
    assert Settings.from_env({}).keep_notifications_days == 30
    name = "MAIL_PIPELINE_KEEP_NOTIFICATIONS_DAYS"
    assert Settings.from_env({name: "7"}).keep_notifications_days == 7
    for wrong in ("0", "-1", "1.5", "a week"):
        with pytest.raises(StopRun, match=name):
            Settings.from_env({name: wrong})


@pytest.mark.parametrize("left", [(), ("unreadable",)], ids=["nothing", "a dead one"])
def test_numbers_never_come_back_and_applying_goes_on_whatever_is_left(data: Path, left: tuple[str, ...]):
    land(data, *left, "grant.updated", "grant.updated")
    apply_then(data)
    assert retire(settings(data)) == 2

    assert apply(settings(data)).applied_up_to == len(left) + 2
    land(data, "grant.updated", ago=0)
    report = apply(settings(data))

    assert report.outcomes == {("applied", "grant.updated"): 1}
    assert report.applied_up_to == len(left) + 3
    assert numbers(data)[-1] == len(left) + 3


def test_a_landing_table_that_belongs_to_another_lake_is_refused(data: Path):
    land(data, "grant.updated")
    apply(settings(data))
    (data / "inbox.sqlite").unlink()

    with pytest.raises(StopRun, match="older than the lake"):
        apply(settings(data))


def test_a_replay_of_everything_takes_what_is_left_and_does_no_harm(near: Near):
    world = near(GOOGLE)
    world.follow()
    grant, provider = world.grant_id("google"), world.simulator.provider
    first = provider.arrive(grant, subject="First")
    world.settle()
    with Lake(world.data) as lake, lake.transaction() as transaction:
        transaction.change(
            "notifications", "UPDATE notifications SET applied_at = to_timestamp(?)", [time.time() - OLD]
        )
    provider.flag(grant, first, unread=False)
    provider.delete(grant, provider.arrive(grant, subject="Second"))
    world.settle()
    before = world.contents()
    with world.landing() as landing:
        landed = landing.count()
        assert landing.remove(up_to=1, received_before=time.time() + DAY) == 1

    report = world.apply(Replay(everything=True))

    assert report.outcomes.total() == landed - 1
    assert world.contents() == before
    assert world.wrong() == {}
    assert world.apply(Replay(numbers=(1,))).outcomes == {}
