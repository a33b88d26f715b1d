"""`kill -9` of who applies, and of a backfill beside it: what landed takes effect exactly once."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mail_pipeline.simulator import Disorder, Fleet, Latency, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline_tests.backfill.processes import Backfill
from mail_pipeline_tests.backfill.test_kills import commits, files
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.live.world import SECRET, LiveWorld, live_world

KILLS = 22
CHANGES = 40
"""Changes at the provider between two kills."""


class Applying:
    """A process that applies what has landed; it does not outlive the `with` block."""

    def __init__(self, world: LiveWorld) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mail_pipeline.cli", "apply", "--json"],
            env={**os.environ, **world.environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def applying(world: LiveWorld) -> Iterator[Applying]:
    process = Applying(world)
    try:
        yield process
    finally:
        process.kill()


def make_changes(world: LiveWorld, changes: Iterator[object], count: int) -> None:
    """Let things happen at the provider, and land."""
    for _ in range(count):
        world.simulator.clock.advance(0.9)
        next(changes)
    world.simulator.postman.drain()


def grown(world: LiveWorld, chance: random.Random) -> Iterator[bool]:
    """Yield whether the lake has come to a moment worth a kill: files written, or a commit made."""
    count = chance.choice((commits, lambda world: len(files(world)), lambda world: len(files(world))))
    wanted = count(world) + chance.randint(1, 6 if count is not commits else 2)
    while True:
        yield count(world) >= wanted


@pytest.mark.timeout(600)
@deep
def test_kill_9_of_appliers_and_backfills_costs_no_notification_and_doubles_none(tmp_path: Path) -> None:
    simulator = Simulator(
        Fleet.generate(
            4,
            [
                MailboxSpec("google", messages=240, body_mean=200),
                MailboxSpec("microsoft", messages=240, body_mean=200),
                MailboxSpec("ews", messages=120, body_mean=200),
            ],
        ),
        limits=Limits.off(),
        latency=Latency(base=0.02),
        webhook_secret=SECRET,
        clock=SimulatedClock(),
        disorder=Disorder(seed=4, reorder=1.0, duplicate=0.2, again=0.1, merge=0.2),
    )
    chance = random.Random(4)
    hits: Counter[str] = Counter()
    with live_world(simulator, tmp_path / "data") as world:
        world.subscribe()
        keys = world.register()
        changes = simulator.provider.live(seed=4)
        # Small pages and pass after pass, so that there is one at work beside every apply.
        again = {"page_size": 4, "full_resync": True}
        backfill = Backfill(world, keys, **again)
        for number in range(KILLS):
            make_changes(world, changes, CHANGES)
            before = applied_up_to(world)
            with applying(world) as process:
                moment = grown(world, chance)
                while process.running and not next(moment):
                    time.sleep(0.002)
                # What lands in the midst of it is for this one or the next.
                make_changes(world, changes, 2)
                hits["killed"] += process.running
                process.kill()
            hits["after a commit"] += applied_up_to(world) > before
            assert_each_once(world)
            if number % 3 == 2:
                hits["backfills killed"] += backfill.running
                backfill.kill()
                backfill = Backfill(world, keys, **again)
        backfill.kill()
        assert {each.state for each in world.backfill(keys).values()} == {"complete"}
        world.apply()

        assert_each_once(world)
        with world.landing() as landing:
            assert applied_up_to(world) == landing.newest() == landing.count()
        delivered = {one.envelope["id"] for one in simulator.notifications if one.state == "delivered"}
        assert {identity for (identity,) in world.ask("SELECT id FROM notifications")} == delivered
        assert world.ask("SELECT count(*) FROM fetches") == [(0,)]
        assert world.wrong() == {}
    print(f"{KILLS} rounds, {dict(hits)}")
    assert hits["killed"] >= 20
    assert hits["after a commit"]
    assert hits["backfills killed"] >= 4


def applied_up_to(world: LiveWorld) -> int:
    ((number,),) = world.ask("SELECT coalesce(max(number), 0) FROM notifications")
    return int(number)


def assert_each_once(world: LiveWorld) -> None:
    """Fail where a notification is missing among those applied, or was applied twice, or a message is."""
    assert world.ask(
        "SELECT count(*) - count(DISTINCT number), max(number) - count(*) FROM notifications"
    ) in ([(0, 0)], [(0, None)])
    assert world.ask("SELECT count(*) - count(DISTINCT (grant_id, id)) FROM all_messages") == [(0,)]
    assert world.orphans() == {}
