"""Processes that mirror the same grants, killed or side by side: no page that is stored is fetched again."""

from collections import Counter

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.checkpoints import Checkpoint, newest_checkpoints
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.history import assert_steps_are_legal
from mail_pipeline_tests.backfill.processes import Backfill
from mail_pipeline_tests.backfill.test_kills import Killed, Page
from mail_pipeline_tests.backfill.world import World
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.streams.mirroring import LISTED, assert_mirrored

KILLS = 9
LISTS = {
    "contacts": "contacts",
    "events": "events",
    "events_import": "events",
    "threads": "provider_threads",
}
"""Calendars are not among them: they are listed anew before events, whoever did so before."""
_DAY = 86_400


def simulator(*, records: int, latency: float) -> Simulator:
    specs = [
        MailboxSpec(
            p, messages=records // 3, body_mean=100, contacts=records, calendars=3, events=records, years=2
        )
        for p in ("google", "microsoft", "ews", "imap")
    ]
    fleet = Fleet.generate(9, specs)
    return Simulator(fleet, limits=Limits.off(), latency=Latency(base=latency), irregular=0.2)


def grants(world: World) -> list[str]:
    return [mailbox.grant.id for mailbox in world.simulator.fleet]


@pytest.mark.timeout(600)
def test_kill_9_changes_nothing_and_no_stored_page_of_any_stream_is_fetched_again(serve: Serve) -> None:
    served = simulator(records=120, latency=0.1)
    door = Door(served)
    world = serve(served)
    world.register()
    killed = Killed(world, door, pages_asked, pages_stored, *LISTS)
    killed.at_random(KILLS, lambda: Backfill(world, grants(world), streams=LISTED, page_size=4))

    with Backfill(world, grants(world), streams=LISTED) as process:
        assert set(process.states().values()) == {"complete", "skipped"}

    killed.assert_no_stored_page_was_asked_for_again()
    assert_mirrored(world)
    assert_every_record_was_counted_once(world)
    assert_steps_are_legal(world)
    assert killed.hits["between fetch and commit"] >= KILLS // 4


@deep
def test_two_processes_at_the_same_grants_store_no_row_and_fetch_no_page_twice(serve: Serve) -> None:
    world = serve(simulator(records=40, latency=0.02))
    world.register()
    ids = grants(world)
    with (
        Backfill(world, ids, streams=LISTED, page_size=10) as one,
        Backfill(world, ids[::-1], streams=LISTED, page_size=10) as other,
    ):
        states = one.states(), other.states()
    assert states[0] == states[1]
    assert set(states[0].values()) == {"complete", "skipped"}
    assert {page: count for page, count in Counter(pages_asked(world)).items() if count > 1} == {}
    assert_mirrored(world)
    assert_every_record_was_counted_once(world)


def pages_asked(world: World) -> list[Page]:
    """Return stream, grant, calendar or source, end of the window and cursor of each page asked for."""
    return [
        (
            LISTS[entry.operation],
            entry.grant_id,
            entry.query.get("calendar_id", entry.query.get("source")),
            entry.query.get("end"),
            entry.page_token,
        )
        for entry in world.simulator.requests
        if entry.operation in LISTS
    ]


def pages_stored(world: World, asked: list[Page]) -> set[Page]:
    """Return the pages before each checkpoint, in the order in which they were first asked for."""
    stored = set[Page]()
    for checkpoint in checkpoints(world):
        slice_ = checkpoint.stream, checkpoint.grant_id, checkpoint.scope
        pages = [page for page in dict.fromkeys(asked) if page[:3] == slice_]
        end = None if checkpoint.listed_before is None else str(checkpoint.listed_before + _DAY)
        following = (*slice_, end, checkpoint.cursor)
        if checkpoint.state == "listing" and following in pages:
            pages = pages[: pages.index(following)]
        stored.update(pages)
    return stored


def checkpoints(world: World) -> list[Checkpoint]:
    keys = [key for (key,) in world.ask("SELECT DISTINCT partition_key FROM checkpoints")]
    with Lake(world.data) as lake:
        return list(newest_checkpoints(lake, keys).values())


def assert_every_record_was_counted_once(world: World) -> None:
    for stream in LISTED:
        told = world.ask("SELECT sum(records)::BIGINT FROM stream_ledger WHERE stream = ?", [stream])
        assert told == world.ask(f"SELECT count(*) FROM all_{stream}")
