"""Several processes at the same mailboxes: each grant is one's at a time."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.processes import Backfill
from mail_pipeline_tests.backfill.world import World, differences

PROVIDERS = ("google", "microsoft", "ews", "imap", "icloud", "microsoft")


def fleet(messages: int) -> Fleet:
    return Fleet.generate(
        3, [MailboxSpec(each, messages=messages, body_mean=300, user_folders=1) for each in PROVIDERS]
    )


def test_two_processes_at_the_same_grants_page_none_twice_and_both_end_complete(serve: Serve) -> None:
    world = serve(Simulator(fleet(60), limits=Limits.off(), latency=Latency(base=0.02), irregular=0.2))
    keys = world.register()
    with Backfill(world, keys, page_size=10) as one, Backfill(world, keys[::-1], page_size=10) as other:
        states = one.states(), other.states()
    assert states == ({key: "complete" for key in keys},) * 2
    assert pages_asked_twice(world) == {}
    assert differences(world.stored(), world.served()) == {}
    assert world.orphans() == {}
    assert told(world) == Counter(grant_id for grant_id, _ in world.stored())
    assert len(workers_by_grant(world)) == len(PROVIDERS)
    assert {len(workers) for workers in workers_by_grant(world).values()} == {1}


def test_a_process_begun_later_takes_over_nothing_that_another_has_finished(serve: Serve) -> None:
    simulator = Simulator(fleet(40), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    keys = world.register()
    release = door.hold(lambda path, query: "page_token" in query)
    with Backfill(world, keys, page_size=10) as one:
        assert door.wait_for(len(PROVIDERS))
        # It reads the ledger now, while nothing is complete, and then has to wait for every grant.
        with Backfill(world, keys, page_size=10) as other:
            assert other.waits_for_leases(world)
            release.set()
            assert set(one.states().values()) == {"complete"}
            assert set(other.states().values()) == {"complete"}
    assert pages_asked_twice(world) == {}


def test_a_stalled_process_that_wakes_up_after_its_lease_has_run_out_writes_nothing(serve: Serve) -> None:
    simulator = Simulator(fleet(60), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    grant_id = world.grant_id("google")
    keys = world.register()
    release = door.hold(lambda path, query: door.arrived == 3)
    with Backfill(world, [grant_id], page_size=10) as stalled:
        assert door.wait_for(3)
        stalled.wait_until_stored(world, pages=2)
        stalled.pause()
        run_out(world)
        ...
