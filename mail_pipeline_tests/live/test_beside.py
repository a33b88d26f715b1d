"""What is stored beside a backfill is merged with its pages, not stored twice."""

import threading
from collections.abc import Callable

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Disorder, MailboxSpec
from mail_pipeline.sync.beside import WrittenBeside, write_beside
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld

GOOGLE = MailboxSpec("google", messages=5, body_mean=300, user_folders=1)


def test_messages_written_beside_are_known_from_when_one_looks_on(lake: Lake):
    def write(*messages: tuple[str, str]) -> None:
        with lake.transaction() as transaction:
            write_beside(transaction, messages, 1.0)

    write(("g", "before"))
    beside = WrittenBeside(lake)
    write(("g", "a"), ("h", "b"))
    assert ("g", "a") not in beside

    with lake.transaction() as transaction:
        beside.look(transaction)
    assert ("g", "a") in beside
    assert ("h", "b") in beside
    assert ("g", "b") not in beside
    assert ("g", "before") not in beside

    write()
    write(("g", "c"))
    with lake.transaction() as transaction:
        beside.look(transaction)
    assert ("g", "c") in beside


def created(world: NearWorld, grant: str) -> None:
    world.simulator.provider.arrive(grant, subject="Meanwhile")


def updated_only(world: NearWorld, grant: str) -> None:
    world.simulator.postman.disorder = Disorder(drop=1.0)
    arrived = world.simulator.provider.arrive(grant, attachments=1)
    world.simulator.postman.disorder = Disorder()
    world.simulator.provider.flag(grant, arrived, unread=False)


def deleted(world: NearWorld, grant: str) -> None:
    world.simulator.provider.delete(grant, next(iter(world.simulator.truth(grant)))["id"])


@pytest.mark.parametrize("change", [created, updated_only, deleted])
def test_what_is_applied_before_the_page_that_shows_it_is_stored_once(
    near: Near, change: Callable[[NearWorld, str], None]
):
    world = near(GOOGLE, backfilled=False, door=True)
    assert world.door is not None
    world.follow()
    release = world.door.hold(lambda asked: asked.operation == "messages")
    backfill = threading.Thread(target=world.backfill, args=(world.keys(),))
    backfill.start()
    try:
        # The worker knows by now which messages the lake holds: none.
        world.door.wait_for(1)
        change(world, world.grant_id("google"))
        assert world.settle().outcomes.total() == 1
    finally:
        release.set()
        backfill.join()
    world.close()

    assert world.wrong() == {}
    assert world.ask("SELECT count(*) - count(DISTINCT id) FROM all_messages") == [(0,)]


def test_a_page_on_its_way_does_not_bring_back_what_was_deleted_meanwhile(near: Near):
    world = near(GOOGLE, backfilled=False, door=True)
    assert world.door is not None
    world.follow()
    grant = world.grant_id("google")
    gone = next(iter(world.simulator.truth(grant)))["id"]

    def keep(_: object) -> None:
        # The page shows the message; it is deleted before the page arrives.
        world.simulator.clock.advance(5)
        world.simulator.provider.delete(grant, gone)
        world.simulator.postman.drain()

    world.door.edit(lambda asked: asked.operation == "messages" and asked.number == 1, keep)
    world.backfill()
    assert (grant, gone) in world.stored()

    world.apply()

    assert world.wrong() == {}
