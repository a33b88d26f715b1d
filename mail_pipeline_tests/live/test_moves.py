"""Mail that moves between its line in a list and the request for it by itself is whole all the same."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.fetches import DISPUTED, MESSAGE, Fetch
from mail_pipeline_tests.backfill.door import Asked, Door
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld, near_world
from mail_pipeline_tests.live.test_fetching import queue

IMAP = MailboxSpec("imap", messages=16, body_mean=300, user_folders=2, oddity_every=0)
REFUSED = {"request_id": "1", "error": {"type": "invalid_request_error", "message": "cannot"}}


def door_of(world: NearWorld) -> Door:
    assert world.door is not None
    return world.door


@contextmanager
def meanwhile(world: NearWorld, work: Callable[[], Any], held: Callable[[Asked], bool]) -> Iterator[None]:
    """Do some work; the block runs when one of its requests that `held` picks is waiting for its answer."""
    door = door_of(world)
    reached = threading.Event()

    def picked(asked: Asked) -> bool:
        if held(asked):
            reached.set()
            return True
        return False

    release = door.hold(picked)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert reached.wait(60)
        yield
    finally:
        release.set()
        thread.join()


def own_folders(world: NearWorld, grant_id: str) -> tuple[str, str]:
    """Return two folders, in the order in which they are listed."""
    first, second = [each.id for each in world.simulator.true_folders(grant_id) if each.role == "user"][:2]
    return first, second


def oldest(world: NearWorld, grant_id: str) -> dict[str, Any]:
    return list(world.simulator.truth(grant_id))[-1]


def test_old_mail_that_a_sweep_finds_and_that_moves_before_it_is_fetched_is_whole(near: Near) -> None:
    world = near(IMAP, door=True)
    grant_id = world.grant_id("imap")
    first, second = own_folders(world, grant_id)
    provider = world.simulator.provider
    found = provider.arrive(grant_id, date=oldest(world, grant_id)["date"] - 60, folders=[first])

    with meanwhile(world, world.reconcile, lambda asked: asked.operation == "message"):
        provider.move(grant_id, found, [second])

    [(subject, date)] = world.ask("SELECT subject, date FROM messages WHERE id = ?", [found])
    assert None not in (subject, date)
    world.simulator.clock.advance(2)
    world.reconcile()
    assert world.wrong() == {}


def test_a_row_of_which_only_a_folder_is_known_is_fetched_by_the_next_sweep(near: Near) -> None:
    world = near(IMAP, door=True)
    grant_id = world.grant_id("imap")
    first, _ = own_folders(world, grant_id)
    found = world.simulator.provider.arrive(
        grant_id, date=oldest(world, grant_id)["date"] - 60, folders=[first]
    )
    stands = [True]
    missing = {"request_id": "1", "error": {"type": "not_found_error", "message": "not here"}}
    door_of(world).refuse(lambda asked: stands[0] and asked.operation == "message", 404, missing)
    world.reconcile()
    assert world.ask("SELECT folders, date FROM messages WHERE id = ?", [found]) == [([first], None)]

    stands[0] = False
    [swept] = world.reconcile().grants
    assert swept.findings is not None
    assert swept.findings.unknown == 1
    assert world.wrong() == {}
    assert world.reconcile().fetched == 0


def test_a_body_is_found_where_its_message_has_moved_to_a_folder_listed_before(near: Near) -> None:
    world = near(IMAP, backfilled=False, door=True)
    grant_id = world.grant_id("imap")
    first, second = own_folders(world, grant_id)
    identity = oldest(world, grant_id)["id"]
    provider = world.simulator.provider
    provider.move(grant_id, identity, [second])

    def without_body(answer: dict[str, Any]) -> None:
        for record in answer["data"]:
            if record["id"] == identity:
                record.pop("body", None)

    door_of(world).edit(lambda asked: asked.operation == "messages", without_body)
    with meanwhile(
        world, world.backfill, lambda asked: asked.operation == "message" and asked.folder_id == second
    ):
        provider.move(grant_id, identity, [first])

    [(size,)] = world.ask("SELECT body_bytes FROM messages WHERE id = ?", [identity])
    assert size > 0


def test_a_dispute_about_old_mail_is_settled_though_it_is_out_of_the_cache(near: Near) -> None:
    world = near(IMAP)
    grant_id = world.grant_id("imap")
    identity = oldest(world, grant_id)["id"]
    world.simulator.provider.flag(grant_id, identity, unread=not oldest(world, grant_id)["unread"])
    assert world.wrong() != {}

    queue(world, Fetch(MESSAGE, grant_id, identity, DISPUTED))
    world.settle()

    assert [each.status for each in world.asked("message")] == [404, 200]
    assert world.wrong() == {}


@contextmanager
def added_fields(folder: Path, spec: MailboxSpec) -> Iterator[NearWorld]:
    """Backfill without snippets, then want them."""
    config = folder / "mail_pipeline.toml"
    config.write_text("snippets = false")
    simulator = Simulator(Fleet.generate(1, [spec]), limits=Limits.off(), irregular=0.0)
    with near_world(simulator, folder / "data", door=True, config=config) as world:
        world.register()
        assert {each.state for each in world.backfill().values()} == {"complete"}
        config.write_text("")
        yield world


def test_new_mail_is_whole_though_it_moves_while_fields_are_added(tmp_path: Path) -> None:
    with added_fields(tmp_path, IMAP) as world:
        grant_id = world.grant_id("imap")
        first, second = own_folders(world, grant_id)
        provider = world.simulator.provider
        new = provider.arrive(grant_id, date=oldest(world, grant_id)["date"] - 30, folders=[first])
        world.simulator.clock.advance(3)
        with meanwhile(world, world.backfill, lambda asked: asked.operation == "message"):
            provider.move(grant_id, new, [second])

        [(subject, snippet, sender)] = world.ask(
            "SELECT subject, snippet, from_address FROM messages WHERE id = ?", [new]
        )
        assert None not in (subject, snippet, sender)


def test_what_is_refused_while_fields_are_added_is_not_called_stored(tmp_path: Path) -> None:
    with added_fields(tmp_path, MailboxSpec("google", messages=16, body_mean=300)) as world:
        grant_id = world.grant_id("google")
        new = world.simulator.provider.arrive(grant_id, date=oldest(world, grant_id)["date"] - 30)
        world.simulator.clock.advance(3)
        door_of(world).refuse(lambda asked: asked.operation == "message", 400, REFUSED)
        assert {each.state for each in world.backfill().values()} == {"complete"}

        assert world.ask("SELECT id FROM messages WHERE id = ?", [new]) == []
        assert world.ask("SELECT object_id, stored FROM dead_letters") == [(new, False)]
