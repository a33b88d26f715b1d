"""`kill -9` at any moment costs nothing that was stored."""

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from mail_pipeline.lake.connection import catalog_path, tables_path
from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.history import assert_snapshots_agree, assert_steps_are_legal
from mail_pipeline_tests.backfill.processes import Backfill
from mail_pipeline_tests.backfill.world import World, differences

KILLS = 32
MAILBOXES = (
    MailboxSpec("google", messages=500, body_mean=400),
    MailboxSpec("microsoft", messages=500, body_mean=400),
    MailboxSpec("ews", messages=400, body_mean=400),
    MailboxSpec("imap", messages=240, body_mean=400, user_folders=1),
)
PATIENCE_SECONDS = 60.0

Page = tuple[str | None, ...]
"""What was asked for, the cursor last; of messages the grant and the folder come before."""


@pytest.mark.timeout(600)
def test_kill_9_at_32_moments_changes_nothing_and_no_stored_page_is_fetched_again(serve: Serve) -> None:
    simulator = Simulator(
        Fleet.generate(5, MAILBOXES), limits=Limits.off(), latency=Latency(base=0.1), irregular=0.3
    )
    door = Door(simulator)
    world = serve(simulator)
    keys = world.register()
    killed = Killed(world, door, pages_asked, pages_stored)
    killed.at_random(KILLS, lambda: Backfill(world, keys, page_size=4))

    with Backfill(world, keys) as process:
        assert set(process.states().values()) == {"complete"}

    killed.assert_no_stored_page_was_asked_for_again()
    assert differences(world.stored(), world.served()) == {}
    assert world.orphans() == {}
    assert_steps_are_legal(world)
    assert assert_snapshots_agree(world) >= KILLS
    assert killed.hits["between fetch and commit"] >= KILLS // 4
    assert killed.hits["inside a commit"] >= KILLS // 8


class Killed:
    """Kills one process after another at moments of a seed's choosing."""

    def __init__(
        self,
        world: World,
        door: Door,
        asked: Callable[[World], list[Page]],
        stored: Callable[[World, list[Page]], set[Page]],
        *operations: str,
    ) -> None:
        """Take how to tell the pages asked for so far, and those of them that are stored.

        `operations` are those that pages are asked for with: messages, unless told.
        """
        self.hits: Counter[str] = Counter()
        """How often a kill hit which moment."""
        self._world = world
        self._door = door
        self._operations = operations
        self._pages_asked = asked
        self._pages_stored = stored
        self._known = 0
        self._stored = set[Page]()

    def at_random(self, kills: int, start: Callable[[], Backfill]) -> None:
        """Start so many processes and kill each; what was stored before is not asked for again."""
        world, moments, unfinished = self._world, random.Random(5), 0
        for number in range(kills):
            with start() as process:
                if number % 3 == 0:
                    wait_until_grown(lambda: len(files(world)), moments.randint(1, 20))
                elif number % 3 == 1:
                    wait_until_grown(lambda: commits(world), moments.randint(1, 3))
                else:
                    so_far = self._door.arrived(*self._operations)
                    self._door.wait_for(so_far + moments.randint(1, 8), *self._operations)
                time.sleep(moments.choice((0, 0.02, 0.1)))
                assert process.running
                process.kill()
            self.assert_no_stored_page_was_asked_for_again()
            asked = self._pages_asked(world)
            self._known, self._stored = len(asked), self._pages_stored(world, asked)
            self.hits["between fetch and commit"] += not self._stored.issuperset(asked)
            self.hits["inside a commit"] += len(unfinished_files(world)) > unfinished
            unfinished = len(unfinished_files(world))
        print(f"{kills} kills, {dict(self.hits)}; {len(self._stored)} pages were stored by then")

    def assert_no_stored_page_was_asked_for_again(self) -> None:
        assert not self._stored.intersection(self._pages_asked(self._world)[self._known :])


def wait_until_grown(count: Callable[[], int], by: int) -> None:
    before = count()
    give_up = time.monotonic() + PATIENCE_SECONDS
    while count() < before + by:
        assert time.monotonic() < give_up
        time.sleep(0.001)


def pages_asked(world: World) -> list[Page]:
    log = world.simulator.requests
    return [(one.grant_id, one.folder_id, one.page_token) for one in log if one.operation == "messages"]


def pages_stored(world: World, asked: list[Page]) -> set[Page]:
    """Return the pages before each mailbox's checkpoint, in the order in which they were first asked for."""
    stored = set[Page]()
    for row in world.ledger().values():
        if row["state"] == "registered":
            continue
        mailbox = row["grant_id"], row["folder_id"]
        pages = [page for page in dict.fromkeys(asked) if page[:2] == mailbox]
        following = (*mailbox, row["cursor"])
        if row["state"] == "listing" and following in pages:
            pages = pages[: pages.index(following)]
        stored.update(pages)
    return stored


def unfinished_files(world: World) -> set[str]:
    """Return the files on disk that no commit has made part of the lake."""
    with closing(sqlite3.connect(catalog_path(world.data))) as catalog:
        known = catalog.execute(
            "SELECT path FROM ducklake_data_file UNION ALL SELECT path FROM ducklake_delete_file"
        )
        return files(world) - {path.rpartition("/")[2] for (path,) in known}


def commits(world: World) -> int:
    with closing(sqlite3.connect(catalog_path(world.data))) as catalog:
        (count,) = catalog.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()
    return int(count)


def files(world: World) -> set[str]:
    return {path.name for path in tables_path(world.data).rglob("*.parquet")}
