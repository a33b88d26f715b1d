"""A lake such as the demo's a day later: filled, changed since, swept, with a gap behind it and one open."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mail_pipeline.inbox.landing import Delivery
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.fleet import PROVIDERS
from mail_pipeline_tests.live.near import NearWorld, near_world

CHANGES = 60
HOUR = 3_600

Message = dict[str, Any]


@dataclass(frozen=True)
class Filled:
    """A world whose truth is known, and what it was when the backfill had ended."""

    world: NearWorld
    backfilled: dict[str, list[Message]]
    """Every message as the simulator had it then, by the account's name in the notebooks."""

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.world.data


@contextmanager
def filled(data: Path, *, as_the_demo: bool) -> Iterator[Filled]:
    """Fill a lake; with the demo's own mail and at its pace for pictures, else with little and quickly."""
    fleet, limits = (Fleet.demo(now=int(time.time())), Limits()) if as_the_demo else (_fleet(), Limits.off())
    pace = {"google_units_per_second": 150.0, "min_page_interval": 0.2} if as_the_demo else {}
    with near_world(Simulator(fleet, limits=limits), data) as world:
        keys = world.register()
        _past(world)
        world.follow()
        ended = world.backfill(keys, settings=world.settings(**pace))
        assert {each.state for each in ended.values()} == {"complete"}
        found = Filled(world, truth(world))
        _was_a_day_ago(data)
        _live_on(world)
        refresh_marts(data)
        yield found


def truth(world: NearWorld) -> dict[str, list[Message]]:
    """Return every message as the simulator has it now, by the account's name in the notebooks."""
    return {
        f"{mailbox.grant.provider} · {mailbox.grant.email}": list(world.simulator.truth(mailbox.grant.id))
        for mailbox in world.simulator.fleet
    }


def unread(mail: dict[str, list[Message]]) -> Counter[str]:
    """Return how many messages of each account are unread."""
    return Counter(name for name, messages in mail.items() for each in messages if each["unread"])


def _fleet() -> Fleet:
    specs = [
        MailboxSpec(provider, messages=200 + 80 * size, body_mean=500, user_folders=3)
        for size, provider in enumerate(PROVIDERS)
    ]
    return Fleet.generate(5, specs)


def _past(world: NearWorld) -> None:
    """Have had a receiver down for an hour until now."""
    until = time.time() - HOUR
    world.beat(until - 60)
    world.beat(until, started=False)


def _live_on(world: NearWorld) -> None:
    """Change mail, follow it, sweep, and at last lose the webhook."""
    # No second holds both what was backfilled and what has changed since.
    world.simulator.clock.advance(2)
    changes = world.simulator.provider.live(seed=1, folders=False)
    for _ in range(CHANGES):
        next(changes)
    with world.landing() as landing:
        landing.store([Delivery(time.time(), {}, b'{"type": "message.created"}')])
    world.settle()
    world.watch()
    world.reconcile()
    world.settle()
    world.watch()
    [webhook] = world.simulator.webhooks
    world.simulator.webhooks.update(webhook.id, {"status": "pause"})
    world.watch()


def _was_a_day_ago(data: Path) -> None:
    with closing(sqlite3.connect(catalog_path(data))) as catalog, catalog:
        rows = catalog.execute("SELECT snapshot_time, snapshot_id FROM ducklake_snapshot").fetchall()
        earlier = [(str(datetime.fromisoformat(at) - timedelta(days=1)), snapshot) for at, snapshot in rows]
        catalog.executemany("UPDATE ducklake_snapshot SET snapshot_time = ? WHERE snapshot_id = ?", earlier)
