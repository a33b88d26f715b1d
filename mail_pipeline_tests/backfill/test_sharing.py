"""Several processes at the same mailboxes: each grant is one's at a time."""

import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.leases import Leases
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.processes import Backfill
from mail_pipeline_tests.backfill.world import World, differences
from mail_pipeline_tests.deep import deep

PROVIDERS = ("google", "microsoft", "ews", "imap", "microsoft")
PATIENCE_SECONDS = 60.0


def fleet(messages: int) -> Fleet:
    specs = [MailboxSpec(each, messages=messages, body_mean=300, user_folders=1) for each in PROVIDERS]
    return Fleet.generate(3, specs)


def test_two_processes_at_the_same_grants_page_none_twice_and_both_end_complete(serve: Serve) -> None:
    world = serve(Simulator(fleet(60), limits=Limits.off(), latency=Latency(base=0.02), irregular=0.2))
    keys = world.register()
    with Backfill(world, keys, page_size=10) as one, Backfill(world, keys[::-1], page_size=10) as other:
        states = one.states(), other.states()
    assert states == (dict.fromkeys(keys, "complete"),) * 2
    assert pages_asked_twice(world) == {}
    assert {len(fences) for fences in fences_by_grant(world).values()} == {1}
    assert differences(world.stored(), world.served()) == {}
    assert world.orphans() == {}
    assert messages_told(world) == Counter(grant_id for grant_id, _ in world.stored())


@deep
def test_a_process_that_has_to_wait_for_a_grant_lists_nothing_that_the_other_has_listed(serve: Serve) -> None:
    simulator = Simulator(fleet(30), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    keys = world.register()
    release = door.hold(lambda asked: asked.operation == "messages" and asked.page_token is None)
    with Backfill(world, keys, page_size=10) as one:
        door.wait_for(len(PROVIDERS))
        checks = door.arrived("grants")
        with Backfill(world, keys, page_size=10) as other:
            # It asks for its key once it has read the ledger, in which nothing is listed yet.
            door.wait_for(checks + 1, "grants")
            release.set()
            assert set(one.states().values()) == {"complete"}
            assert set(other.states().values()) == {"complete"}
    assert pages_asked_twice(world) == {}
    assert {len(fences) for fences in fences_by_grant(world).values()} == {1}


def test_a_stalled_process_that_wakes_up_after_its_lease_ran_out_writes_nothing(serve: Serve) -> None:
    simulator = Simulator(fleet(60), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    world.register()
    grant_id = world.grant_id("google")
    release = door.hold(lambda asked: asked.operation == "messages" and asked.number == 3)
    with Backfill(world, [grant_id], page_size=10) as stalled:
        door.wait_for(3)
        wait_until_stored(world, grant_id, pages=2)
        # Not while it commits: nobody could write before it wakes up.
        with WriteLock(world.data / "lake" / "write.lock").held():
            stalled.pause()
        let_leases_run_out(world)
        with Backfill(world, [grant_id]) as other:
            assert other.states() == {grant_id: "complete"}
        before = snapshots(world)
        release.set()
        stalled.go_on()
        assert stalled.states() == {grant_id: "complete"}
    assert snapshots(world) == before
    assert fences_by_grant(world)[grant_id] == {1, 2}
    served = {key: mail for key, mail in world.served().items() if key[0] == grant_id}
    assert differences(world.stored(), served) == {}


def test_a_grant_whose_lease_is_lost_again_and_again_fails_alone_and_says_so(serve: Serve) -> None:
    world = serve(Simulator(fleet(5), limits=Limits.off(), irregular=0.0))
    keys = world.register()
    grant_id = world.grant_id("imap")
    Leases(world.data).close()
    take = f"UPDATE leases SET fence = fence + 1, expires_at = 0 WHERE grant_id = '{grant_id}'"
    with closing(sqlite3.connect(world.data / "state.sqlite")) as leases, leases:
        for number, event in enumerate(("INSERT", "UPDATE OF holder")):
            leases.execute(
                f"CREATE TRIGGER taken_{number} AFTER {event} ON leases "
                f"WHEN NEW.grant_id = '{grant_id}' AND NEW.holder IS NOT NULL BEGIN {take}; END"
            )

    ended = world.backfill(keys)

    lost = [each for each in ended.values() if each.grant_id == grant_id]
    assert {each.state for each in lost} == {"failed"}
    assert not any(each.succeeded for each in lost)
    assert {each.reason for each in lost} == {
        f"Another worker has taken over grant {grant_id}, 5 times in a row"
    }
    assert {each.state for each in ended.values() if each not in lost} == {"complete"}
    assert {grant for grant, _ in world.stored()} == set(fleet_ids(world)) - {grant_id}


def test_leases_can_be_opened_by_many_at_once_in_a_new_folder(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    failures: list[BaseException] = []

    def open_leases() -> None:
        start.wait()
        try:
            Leases(tmp_path).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_leases) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def fleet_ids(world: World) -> list[str]:
    return [mailbox.grant.id for mailbox in world.simulator.fleet]


def pages_asked_twice(world: World) -> dict[tuple[str | None, ...], int]:
    log = world.simulator.requests
    pages = Counter(
        (each.grant_id, each.folder_id, each.page_token) for each in log if each.operation == "messages"
    )
    return {page: count for page, count in pages.items() if count > 1}


def fences_by_grant(world: World) -> dict[str, set[int]]:
    """Return under which leases each grant's pages were stored."""
    return {
        grant_id: set(fences)
        for grant_id, fences in world.ask("SELECT grant_id, list(fence) FROM checkpoints GROUP BY grant_id")
    }


def messages_told(world: World) -> Counter[str]:
    told = Counter[str]()
    for row in world.ledger().values():
        told[row["grant_id"]] += row["messages"]
    return told


def snapshots(world: World) -> int:
    ((newest,),) = world.ask("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')")
    assert isinstance(newest, int)
    return newest


def wait_until_stored(world: World, key: str, pages: int) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while world.ledger()[key]["pages"] < pages:
        assert time.monotonic() < give_up
        time.sleep(0.05)


def let_leases_run_out(world: World) -> None:
    """Do what a minute does to leases that nobody renews."""
    with closing(sqlite3.connect(world.data / "state.sqlite")) as state, state:
        assert state.execute("UPDATE leases SET expires_at = 0 WHERE holder IS NOT NULL").rowcount == 1
