"""A life of mailboxes from a seed, with everything that goes wrong, after which the tables equal the truth.

MAIL_PIPELINE_TEST_STEPS and MAIL_PIPELINE_TEST_SEED make it longer, or another one.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.simulator import Disorder, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.provider import REPLAYED_WITHIN
from mail_pipeline.sync.reconcile import reconcile
from mail_pipeline_tests.backfill.test_kills import commits, files
from mail_pipeline_tests.backfill.world import Identity, Mail
from mail_pipeline_tests.live.world import SECRET, LiveWorld, receiving
from mail_pipeline_tests.streams.mirroring import Key, mirror_all, served, stored, wrong

STEPS = int(os.environ.get("MAIL_PIPELINE_TEST_STEPS", "400"))
SEED = int(os.environ.get("MAIL_PIPELINE_TEST_SEED", "1"))
SETTLED_EVERY = 1_000
PROVIDERS = ("google", "microsoft", "ews", "imap")
STREAMS = ("contacts", "calendars", "events")
DISORDER = Disorder(
    seed=SEED,
    reorder=0.7,
    duplicate=0.1,
    again=0.1,
    merge=0.2,
    delay=0.1,
    delay_seconds=90.0,
)
WEIGHTS = {
    "live": 900,
    "deliver": 40,
    "redeliver": 25,
    "apply": 10,
    "kill an apply": 3,
    "backfill": 4,
    "reconcile": 1,
    "mirror": 2,
    "stop or start the receiver": 8,
    "expire or reauthenticate": 8,
}
LOST = {"exhausted", "stopped", "refused", "dropped"}
CONTENT = {"subject", "snippet", "body"}
HOUR = 3_600.0
SINCE = datetime(2020, 1, 1, tzinfo=UTC)
"""Before all events: Microsoft's calendars take a request for each five years."""


class Life:
    """What happens to a world, step by step."""

    def __init__(self, world: LiveWorld, receiver: ExitStack, chance: random.Random) -> None:
        """Take a world that is subscribed, what closes its receiver, and where chance comes from."""
        self.done: Counter[str] = Counter()
        self._world = world
        self._simulator = world.simulator
        self._chance = chance
        self._receiver = receiver
        self._receives = True
        self._changes = self._simulator.provider.live(
            seed=chance.randrange(10**6), streams=("messages", *STREAMS)
        )
        self._expired: dict[str, float] = {}
        """Since when, by the simulator's clock."""
        self._unheard: set[Identity] = set()
        """Messages, contacts, calendars and events of which a change was never told, or may not have been."""

    def step(self) -> None:
        """Do one thing, chosen by its weight."""
        (name,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        self._simulator.clock.advance(self._chance.choice((0.0, 0.0, 0.0, 0.4, 1.7, 20.0)))
        self.done[name] += 1
        getattr(self, "_" + name.replace(" ", "_"))()

    def settle(self) -> None:
        """Let everything come to rest, and compare more exactly with each way of mending."""
        self._start_receiver()
        for grant_id in sorted(self._expired):
            self._reauthenticate(grant_id)
        self._simulator.postman.drain()
        self._apply_all()
        untold = self._untold()
        assert {key: what for key, what in self._differences().items() if key not in untold} == {}
        assert self._wrong(heard_of=True) == {}
        report = reconcile(self._world.settings())
        assert report.succeeded, report
        assert {
            key: what
            for key, what in self._differences().items()
            # A sweep looks at flags and folders; what else was edited unheard takes a full list.
            if key not in untold or isinstance(what, str) or not what.keys() <= CONTENT
        } == {}
        # A pass that was begun is gone on with, and what it listed already not listed again.
        self._world.backfill()
        self._world.backfill(full_resync=True)
        self._apply_all()
        assert self._differences() == {}
        mirror_all(self._world, *STREAMS, since=SINCE)
        mirror_all(self._world, *STREAMS, since=SINCE, full_resync=True)
        self._apply_all()
        assert self._wrong() == {}
        self._unheard.clear()

    def _live(self) -> None:
        self.done[next(self._changes).operation] += 1

    def _deliver(self) -> None:
        self._simulator.postman.deliver()

    def _redeliver(self) -> None:
        if sent := self._simulator.notifications[-300:]:
            self._simulator.postman.redeliver(self._chance.choice(sent))

    def _apply(self) -> None:
        self._world.apply()

    def _kill_an_apply(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "mail_pipeline.cli", "apply", "--json"],
            env={**os.environ, **self._world.environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with process:
            # In the midst of a commit, or after one.
            count = self._chance.choice((commits, lambda world: len(files(world))))
            wanted = count(self._world) + self._chance.randint(1, 4)
            while process.poll() is None and count(self._world) < wanted:
                time.sleep(0.002)
            self.done["killed"] += process.poll() is None
            process.kill()

    def _backfill(self) -> None:
        keys = self._world.keys()
        some = self._chance.sample(keys, min(len(keys), 6))
        self._world.backfill(some, full_resync=True, max_pages=self._chance.choice((1, 2, None)))

    def _reconcile(self) -> None:
        reconcile(self._world.settings())

    def _mirror(self) -> None:
        mirror_all(
            self._world,
            self._chance.choice(STREAMS),
            since=SINCE,
            full_resync=self._chance.random() < 0.7,
            max_pages=self._chance.choice((1, None)),
            page_size=10,
        )

    def _stop_or_start_the_receiver(self) -> None:
        if not self._receives:
            self._start_receiver()
            return
        self._receives = False
        self._receiver.close()
        if self._chance.random() < 0.5:
            # All three tries come to nothing.
            for _ in range(8):
                self._live()
            self._simulator.postman.drain()
            self._note_lost()
            self.done["notifications lost"] += 1

    def _start_receiver(self) -> None:
        if not self._receives:
            self._receives = True
            address, _ = self._receiver.enter_context(receiving(self._world.data))
            (webhook,) = self._simulator.webhooks
            if not webhook.receives:
                # It failed for so long that nothing more was posted to it, whatever happened.
                self._unheard |= self._world.served().keys() | self._world.stored().keys()
                self._unheard |= self._beside_mail()
            self._simulator.webhooks.update(webhook.id, {"webhook_url": address, "status": "active"})

    def _expire_or_reauthenticate(self) -> None:
        grants = {mailbox.grant.id for mailbox in self._simulator.fleet}
        if self._expired and self._chance.random() < 0.6:
            self._reauthenticate(self._chance.choice(sorted(self._expired)))
            return
        grant_id = self._chance.choice(sorted(grants))
        if grant_id in self._expired:
            return
        self._expired[grant_id] = self._simulator.clock.now()
        self._simulator.provider.expire(grant_id)
        self._change_while_expired(grant_id)

    def _change_while_expired(self, grant_id: str) -> None:
        provider = self._simulator.provider
        known = [message["id"] for message in self._simulator.truth(grant_id)]
        provider.arrive(grant_id, subject="While it was expired")
        some = self._chance.sample(known, min(len(known), 4))
        for identity, change in zip(some, ("flag", "edit", "delete", "move"), strict=False):
            if change == "flag":
                provider.flag(grant_id, identity, starred=True)
            elif change == "edit":
                provider.edit(grant_id, identity, subject="Edited", body="<p>Edited</p>")
            elif change == "delete":
                provider.delete(grant_id, identity)
            else:
                folders = [each.id for each in self._simulator.true_folders(grant_id) if each.role != "flag"]
                provider.move(grant_id, identity, [self._chance.choice(folders)])

    def _reauthenticate(self, grant_id: str) -> None:
        if self._chance.random() < 0.3:
            self._simulator.postman.drain()
            self._simulator.clock.advance(80 * HOUR)
        if self._simulator.clock.now() - self._expired.pop(grant_id) > REPLAYED_WITHIN:
            # Too late for what was missed to be sent after all.
            self._unheard |= {(grant_id, message["id"]) for message in self._simulator.truth(grant_id)}
            self._unheard |= {key for key in self._world.stored() if key[0] == grant_id}
            self._unheard |= {key for key in self._beside_mail() if key[0] == grant_id}
            self.done["expired for long"] += 1
        self._simulator.provider.reauthenticate(grant_id)

    def _note_lost(self) -> None:
        lost = [one.record() for one in self._simulator.notifications if one.state in LOST]
        self._unheard |= {(one["grant_id"], one["object_id"]) for one in lost}

    def _apply_all(self) -> None:
        # A grant that was expired is asked again only once the list of grants has told that it is not.
        self._world.apply()
        assert self._world.apply().waiting == 0

    def _untold(self) -> set[Identity]:
        """Return the messages of which a change may not have been told."""
        self._note_lost()
        oldest = self._simulator.fleet.now - CACHE_DAYS * 86_400
        silent = {
            mailbox.grant.id
            for mailbox in self._simulator.fleet
            if mailbox.grant.provider in {"imap", "yahoo", "icloud"}
        }
        rows = self._world.ask("SELECT grant_id, id, epoch(date)::BIGINT FROM all_messages")
        old = {(grant_id, identity) for grant_id, identity, date in rows if date is None or date < oldest}
        return self._unheard | {key for key in old if key[0] in silent}

    def _beside_mail(self) -> set[Identity]:
        """Return grant and id of every contact, calendar and event there is on either side."""
        found = [both(self._world, stream) for stream in STREAMS for both in (stored, served)]
        return {(key[0], key[-1]) for keys in found for key in keys}

    def _wrong(self, *, heard_of: bool = False) -> dict[Key, Any]:
        """Return in what contacts, calendars and events differ, where `heard_of` only those all told of."""
        found: dict[Key, Any] = {}
        for stream in STREAMS:
            ours, theirs = stored(self._world, stream), served(self._world, stream)
            if heard_of:
                ours, theirs = (
                    {
                        key: record
                        for key, record in records.items()
                        # An event goes and comes with its calendar.
                        if not any((key[0], identity) in self._unheard for identity in key[1:])
                    }
                    for records in (ours, theirs)
                )
            found |= wrong(ours, theirs)
        return found

    def _differences(self) -> dict[Identity, Any]:
        assert self._world.orphans() == {}
        stored, served = self._world.stored(), self._world.served()
        return {
            key: difference(stored.get(key), served.get(key))
            for key in stored.keys() | served.keys()
            if stored.get(key) != served.get(key)
        }


def difference(ours: Mail | None, theirs: Mail | None) -> Any:
    """Return in what two sights of a message differ."""
    if ours is None or theirs is None:
        return "missing" if ours is None else "too much"
    pairs = zip(Mail._fields, ours, theirs, strict=True)
    return {name: (one, other) for name, one, other in pairs if one != other}


@contextmanager
def lives(data: Path) -> Iterator[Life]:
    """Give a life of one mailbox of each kind, all of them backfilled."""
    simulator = Simulator(
        Fleet.generate(
            SEED,
            [
                MailboxSpec(name, messages=50, body_mean=300, contacts=12, calendars=3, events=20)
                for name in PROVIDERS
            ],
        ),
        limits=Limits.off(),
        webhook_secret=SECRET,
        clock=SimulatedClock(),
        disorder=DISORDER,
    )
    with ExitStack() as stack:
        url = stack.enter_context(simulator.serve())
        receiver = stack.enter_context(ExitStack())
        address, _ = receiver.enter_context(receiving(data))
        world = LiveWorld(simulator, url, data, receiver=address)
        stack.callback(world.close)
        world.subscribe()
        world.register()
        world.backfill()
        mirror_all(world, *STREAMS, since=SINCE)
        yield Life(world, receiver, random.Random(SEED))


@pytest.mark.timeout(300 + STEPS)
def test_after_thousands_of_steps_the_tables_equal_the_truth(data: Path) -> None:
    with lives(data) as life:
        for number in range(1, STEPS + 1):
            life.step()
            if number % SETTLED_EVERY == 0 or number == STEPS:
                life.settle()
        print(f"{STEPS} steps from seed {SEED}: {dict(life.done)}")
        # In a short life not everything comes to pass.
        assert life.done["killed"] or STEPS < 1_000
        assert life.done["notifications lost"] or STEPS < 1_000
