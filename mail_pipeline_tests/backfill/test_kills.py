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

Page = tuple[str | None, str | None, str | None]
"""Grant, folder and cursor: what was asked for."""


@pytest.mark.timeout(600)
def test_kill_9_at_32_moments_changes_nothing_and_no_stored_page_is_fetched_again(serve: Serve) -> None:
    simulator = Simulator(
        Fleet.generate(5, MAILBOXES), limits=Limits.off(), latency=Latency(base=0.1), irregular=0.3
    )
    door = Door(simulator)
    world = serve(simulator)
    keys = world.register()
    moments = random.Random(5)
    hits: Counter[str] = Counter()
    known, stored, unfinished = 0, set[Page](), 0
    for number in range(KILLS):
        with Backfill(world, keys, page_size=4) as process:
            if number % 3 == 0:
                wait_until_grown(lambda: len(files(world)), moments.randint(1, 20))
            elif number % 3 == 1:
                wait_until_grown(lambda: commits(world), moments.randint(1, 3))
            else:
                door.wait_for(door.arrived() + moments.randint(1, 8))
            time.sleep(moments.choice((0, 0.02, 0.1)))
            assert process.running
            process.kill()
        asked = pages_asked(world)
        assert not stored.intersection(asked[known:])
        known, stored = len(asked), pages_stored(world, asked)
        hits["between fetch and commit"] += not stored.issuperset(asked)
        hits["inside a commit"] += len(unfinished_files(world)) > unfinished
        unfinished = len(unfinished_files(world))

    with Backfill(world, keys) as process:
        assert set(process.states().values()) == {"complete"}

    assert not stored.intersection(pages_asked(world)[known:])
    assert differences(world.stored(), world.served()) == {}
    assert world.orphans() == {}
    assert_steps_are_legal(world)
    assert assert_snapshots_agree(world) >= KILLS
    assert hits["between fetch and commit"] >= KILLS // 4
    assert hits["inside a commit"] >= KILLS // 8
    print(f"{KILLS} kills, {dict(hits)}; {len(stored)} pages were stored by then")


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
