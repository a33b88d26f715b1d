"""Where a list goes on: cursors that expire or repeat, and what an analyst may ask of a backfill."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import (
    Fault,
    FaultRule,
    Faults,
    Fleet,
    Latency,
    Limits,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline.sync.backfill import BackfillOptions, backfill
from mail_pipeline.sync.checkpoints import checkpoint_rows, newest_checkpoints
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Asked, Door
from mail_pipeline_tests.backfill.history import assert_snapshots_agree, assert_steps_are_legal
from mail_pipeline_tests.backfill.world import Identity, Mail, World, differences, world

FORBIDDEN = {"error": {"type": "api.provider_error", "message": "Forbidden here"}}
SENT = {"INBOX.Sent", "SENT"}
HOUR = 3600


def fleet(messages: int, providers: Iterable[str]) -> Fleet:
    specs = [
        MailboxSpec(each, messages=messages, body_mean=300, user_folders=1, oddity_every=0)
        for each in providers
    ]
    return Fleet.generate(8, specs)


def simulator(*rules: FaultRule, messages: int = 100, providers: Iterable[str], **options: Any) -> Simulator:
    return Simulator(
        fleet(messages, providers), faults=Faults(rules), limits=Limits.off(), irregular=0.0, **options
    )


def test_lists_go_on_by_time_where_a_cursor_is_never_accepted(serve: Serve) -> None:
    every = simulator(providers=["google", "ews", "imap"], cursor_lifetime=0.0, latency=Latency(base=0.15))
    world = serve(every)
    ended = world.backfill(world.register(), page_size=30)
    assert {each.state for each in ended.values()} == {"complete"}
    assert differences(world.stored(), world.served()) == {}
    assert world.orphans() == {}
    # Each page lists again what shares its edge's second; EWS filters by the day.
    assert sum(each.ids_seen for each in ended.values() if each.provider == "google") < 100 + 20
    assert_steps_are_legal(world)


@pytest.mark.parametrize("in_one_run", [True, False])
@pytest.mark.parametrize("odd", [1_000, 4_000_000_000])
def test_a_date_out_of_order_hides_nothing_where_a_list_goes_on_by_time(
    serve: Serve, odd: int, in_one_run: bool
) -> None:
    dated = simulator(providers=["google"], messages=200)
    door = Door(dated)

    def oddly(answer: dict[str, Any]) -> None:
        answer["data"][3]["date"] = odd

    refused: list[str] = []

    def once(asked: Asked) -> bool:
        if asked.operation != "messages" or asked.page_token is None or refused:
            return False
        refused.append(asked.page_token)
        return True

    door.edit(lambda asked: asked.operation == "messages" and asked.number == 1, oddly)
    door.refuse(once, 400, {"error": {"type": "invalid_request_error", "message": "page_token expired"}})
    world = serve(dated)
    keys = world.register()
    if not in_one_run:
        world.backfill(keys, page_size=50, max_pages=1)
    ended = world.backfill(keys, page_size=50)

    assert refused
    assert {each.state for each in ended.values()} == {"complete"}
    assert world.stored().keys() == world.served().keys()


def test_a_cursor_given_twice_is_an_error_and_once_mended_the_list_goes_on_from_there(serve: Serve) -> None:
    world = serve(simulator(FaultRule(Fault.REPEATED_CURSOR, "messages", first=2), providers=["google"]))
    (key,) = world.register()
    (ended,) = world.backfill([key], page_size=20).values()
    assert (ended.state, ended.pages) == ("failed", 2)
    assert "same cursor twice" in (ended.reason or "")
    assert ended.next_step
    (ended,) = world.backfill([key], page_size=20).values()
    assert ended.state == "complete"
    assert differences(world.stored(), world.served()) == {}
    # The page with the cursor that led nowhere was not stored, so it alone is asked for again.
    assert sorted(pages(world).values()) == [1, 1, 1, 1, 2]


def test_max_pages_stops_each_mailbox_and_the_next_run_goes_on_from_there(serve: Serve) -> None:
    world = serve(simulator(providers=["google", "imap"]))
    keys = world.register()
    states = [Counter(each.state for each in run) for run in runs(world, keys, max_pages=2, page_size=12)]
    assert len(states) == 5
    assert states[0]["listing"] >= 2
    assert states[-1].keys() == {"complete"}
    assert set(pages(world).values()) == {1}
    assert differences(world.stored(), world.served()) == {}
    assert_steps_are_legal(world)
    assert assert_snapshots_agree(world) >= len(states)


@pytest.mark.parametrize("provider", ["google", "imap"])
def test_going_further_back_fetches_only_what_is_missing(serve: Serve, provider: str) -> None:
    world = serve(simulator(providers=[provider]))
    keys = world.register()
    served = world.served()
    dates = sorted(mail.date or 0 for mail in served.values())
    asked: list[int | None] = [dates[70], dates[85], dates[30], dates[30], None, dates[50], None]
    reached = world.simulator.fleet.now
    for since in asked:
        before = len(world.simulator.requests)
        ended = world.backfill(keys, since=moment(since), page_size=30)
        assert {each.state for each in ended.values()} == {"complete"}
        lists = [each for each in world.simulator.requests[before:] if each.operation == "messages"]
        if (since or 0) < reached:
            assert lists
            assert max(newest for each in lists if (newest := each.first_date)) <= reached
            assert min(oldest for each in lists if (oldest := each.last_date)) >= (since or 0)
            reached = since or 0
        else:
            assert lists == []
        wanted = {key: mail for key, mail in served.items() if (mail.date or 0) >= reached}
        assert differences(world.stored(), wanted) == {}
    assert_steps_are_legal(world)


@pytest.mark.parametrize("since", [0, -1, -2_208_988_800])
def test_asking_for_1970_or_before_is_asking_for_everything(serve: Serve, since: int) -> None:
    world = serve(simulator(providers=["google", "imap"]))
    keys = world.register()
    ended = world.backfill(keys, since=moment(since), max_pages=1, page_size=30)
    assert {each.state for each in ended.values()} <= {"listing", "complete"}
    ended = world.backfill(keys)
    assert {each.state for each in ended.values()} == {"complete"}
    assert differences(world.stored(), world.served()) == {}
    assert world.ask("SELECT DISTINCT since FROM mailboxes") == [(None,)]


def test_a_checkpoint_of_a_version_that_kept_such_a_bound_is_gone_on_with(serve: Serve) -> None:
    world = serve(simulator(providers=["google"]))
    (key,) = world.register()
    world.backfill([key], max_pages=1, page_size=30)
    with Lake(world.data) as lake:
        (known,) = newest_checkpoints(lake, [key]).values()
        before = replace(known, version=known.version + 1, since=-2_208_988_800, state="failed", cursor=None)
        with lake.transaction() as transaction:
            transaction.append("checkpoints", checkpoint_rows([before]))
    assert world.backfill([key])[key].state == "complete"
    assert differences(world.stored(), world.served()) == {}


def test_a_list_that_is_asked_for_less_on_its_way_stops_there_and_can_be_taken_up_again(serve: Serve) -> None:
    world = serve(simulator(providers=["google"]))
    (key,) = world.register()
    served = world.served()
    dates = sorted(mail.date or 0 for mail in served.values())
    world.backfill([key], max_pages=1, page_size=20)
    (ended,) = world.backfill([key], since=moment(dates[40]), page_size=20).values()
    assert ended.state == "complete"
    wanted = {identity: mail for identity, mail in served.items() if (mail.date or 0) >= dates[40]}
    assert differences(world.stored(), wanted) == {}
    (ended,) = world.backfill([key], page_size=20).values()
    assert ended.state == "complete"
    assert differences(world.stored(), served) == {}
    # A tenth of the page where the list went on by time, and what shares the second of its edges.
    assert sum(each.count for each in world.simulator.requests if each.operation == "messages") <= 102 + 2


def test_a_stop_before_the_first_older_page_costs_no_page_again(serve: Serve) -> None:
    grant_id = fleet(100, ["google"]).mailbox(0).grant.id
    # Pages 1 and 2 reach the date; the third request is the first for what is older.
    world = serve(
        simulator(
            FaultRule(Fault.GRANT_EXPIRED, "messages", grant_id=grant_id, first=3), providers=["google"]
        )
    )
    (key,) = world.register()
    dates = sorted(mail.date or 0 for mail in world.served().values())
    (ended,) = world.backfill([key], since=moment(dates[60]), page_size=30).values()
    assert (ended.state, ended.pages) == ("complete", 2)
    (ended,) = world.backfill([key], page_size=30).values()
    assert (ended.state, ended.pages) == ("failed", 2)
    (ended,) = world.backfill([key], page_size=30).values()
    assert ended.state == "complete"
    assert differences(world.stored(), world.served()) == {}
    assert sum(each.count for each in world.simulator.requests if each.operation == "messages") <= 100 + 2


@pytest.mark.parametrize("max_pages", [None, 2])
def test_full_resync_takes_in_what_has_changed_also_in_several_runs(
    serve: Serve, max_pages: int | None
) -> None:
    providers = ["google", "imap"]
    before = serve(simulator(providers=providers))
    keys = before.register()
    before.backfill(keys)
    first = before.stored()
    assert differences(first, before.served()) == {}
    assert before.backfill(keys).keys() == set(keys)

    # The same mail an hour later: read, renamed, and some of it moved out of a folder.
    later = simulator(providers=providers, clock_skew=HOUR)
    an_hour_later(later)
    with world(later, before.data) as after:
        for _ in runs(after, keys, full_resync=True, max_pages=max_pages, page_size=20):
            pass
        assert set(pages(after).values()) == {1}
        assert differences(after.stored(), later_mail(after, first)) == {}
        assert after.orphans() == {}
        assert {row["pass"] for row in after.ledger().values()} == {2}
        assert sum(row["messages"] for row in after.ledger().values()) == len(first)
        assert_steps_are_legal(after)
        assert assert_snapshots_agree(after) > 2


def test_a_resync_that_fails_at_once_keeps_everything_and_the_next_run_does_all_of_it(serve: Serve) -> None:
    before = serve(simulator(providers=["imap"]))
    keys = before.register()
    before.backfill(keys)
    first = before.stored()
    refused = FaultRule(Fault.GRANT_EXPIRED, "messages", first=1)
    later = simulator(refused, providers=["imap"], clock_skew=HOUR)
    an_hour_later(later)
    with world(later, before.data) as after:
        ended = after.backfill(keys, full_resync=True)
        assert {each.state for each in ended.values()} == {"failed"}
        assert differences(after.stored(), first) == {}
        assert {each.state for each in after.backfill(keys).values()} == {"complete"}
        assert differences(after.stored(), later_mail(after, first)) == {}
        assert {row["pass"] for row in after.ledger().values()} == {2}


@pytest.mark.parametrize(
    ("status", "state"), [(504, "paused"), (403, "failed")], ids=["chokes", "not allowed"]
)
def test_a_folder_that_the_provider_refuses_keeps_none_behind_it_from_being_listed(
    serve: Serve, status: int, state: str
) -> None:
    choking = simulator(providers=["imap"], messages=30)
    door = Door(choking)
    world = serve(choking)
    keys = world.register()
    refused = next(key for key in keys if world.ledger()[key]["folder_id"])
    folder = world.ledger()[refused]["folder_id"]
    door.refuse(lambda asked: asked.operation == "messages" and asked.folder_id == folder, status, FORBIDDEN)
    ended = world.backfill(keys, settings=world.settings(patience=0.5))

    assert {key for key, each in ended.items() if each.state != "complete"} == {refused}
    assert ended[refused].state == state


def test_a_grant_whose_folders_are_refused_one_after_the_other_is_left_alone(serve: Serve) -> None:
    closed = simulator(providers=["imap"], messages=30)
    door = Door(closed)
    world = serve(closed)
    keys = world.register()
    door.refuse(lambda asked: asked.operation == "messages", 403, FORBIDDEN)
    ended = world.backfill(keys)

    assert {each.state for each in ended.values()} == {"failed"}
    assert door.arrived("messages") == 3 < len(keys)


def test_bodies_that_the_list_leaves_out_are_fetched_one_by_one(serve: Serve) -> None:
    bare = simulator(providers=["google", "imap"], messages=30)
    Door(bare).edit(lambda asked: asked.operation == "messages", without_some_bodies)
    world = serve(bare)
    ended = world.backfill(world.register(), page_size=20)
    assert {each.state for each in ended.values()} == {"complete"}
    assert differences(world.stored(), world.served()) == {}
    fetched = [each for each in world.simulator.requests if each.operation == "message"]
    assert len(fetched) >= len(world.served()) // 3


@pytest.mark.parametrize("answer", [b"not JSON", b"[]"])
def test_a_body_that_cannot_be_fetched_is_told_and_stops_nothing(serve: Serve, answer: bytes) -> None:
    bare = simulator(providers=["google"], messages=20)
    door = Door(bare)
    door.edit(lambda asked: asked.operation == "messages", without_one_body)
    door.edit(lambda asked: asked.operation == "message", lambda _: answer)
    world = serve(bare)
    (ended,) = world.backfill(world.register()).values()
    assert (ended.state, ended.messages, ended.dead_letters) == ("complete", 20, 1)
    ((identity, reason, stored),) = world.ask("SELECT object_id, reason, stored FROM dead_letters")
    assert stored
    assert reason.startswith("body: ")
    assert identity not in reason
    expected = world.served()
    key = (world.grant_id("google"), identity)
    expected[key] = expected[key]._replace(body=None)
    assert differences(world.stored(), expected) == {}


def test_ending_the_iteration_early_stores_what_was_fetched_and_lets_go_of_the_grants(serve: Serve) -> None:
    specs = [MailboxSpec("google", messages=each, body_mean=300, oddity_every=0) for each in (20, 150, 150)]
    world = serve(Simulator(Fleet.generate(8, specs), limits=Limits.off(), latency=Latency(base=0.05)))
    keys = world.register()
    threads = threading.active_count()
    started = backfill(keys, settings=world.settings(), options=BackfillOptions(page_size=10))
    next(started)
    started.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads
    assert sorted(row["state"] == "complete" for row in world.ledger().values()) == [False, False, True]
    assert {each.state for each in world.backfill(keys, page_size=10).values()} == {"complete"}
    # An answer that was under way is not waited for, and asked for again.
    again = [page for page, times in pages(world).items() if times > 1]
    assert len(again) == len({grant_id for grant_id, *_ in again})
    assert differences(world.stored(), world.served()) == {}


def runs(world: World, keys: list[str], **options: Any) -> Iterable[list[Any]]:
    """Backfill whatever is not complete, again and again, and yield what each run told; twenty at most."""
    for _ in range(20):
        ended = world.backfill(keys, **options)
        yield list(ended.values())
        keys = [key for key, each in ended.items() if each.state != "complete"]
        if not keys:
            return
    pytest.fail("the mailboxes do not become complete")


def pages(world: World) -> Counter[tuple[str | None, ...]]:
    """Return how often each page of messages was asked for."""
    return Counter(
        (each.grant_id, each.folder_id, each.page_token)
        for each in world.simulator.requests
        if each.operation == "messages"
    )


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def moved(date: int | None) -> bool:
    return (date or 0) % 3 == 0


def an_hour_later(simulator: Simulator) -> None:
    """Make all mail read and renamed, and move some of it out of a folder, into none."""

    def changed(answer: dict[str, Any]) -> None:
        for record in answer["data"]:
            record["unread"] = False
            record["subject"] = "changed"
            if moved(record["date"]):
                record["folders"] = [each for each in record["folders"] if each not in SENT]

    def without_moved(answer: dict[str, Any]) -> None:
        answer["data"] = [record for record in answer["data"] if not moved(record["date"])]

    door = Door(simulator)
    door.edit(lambda asked: asked.operation == "messages", changed)
    door.edit(lambda asked: asked.operation == "messages" and asked.folder_id in SENT, without_moved)


def later_mail(world: World, mails: dict[Identity, Mail]) -> dict[Identity, Mail]:
    """Return what `an_hour_later` has made of the mail, as far as any list still shows it."""
    cached = world.simulator.fleet.now - CACHE_DAYS * DAY
    found = {}
    for (grant_id, identity), mail in mails.items():
        folders = tuple(each for each in mail.folders if not (moved(mail.date) and each in SENT))
        whole = grant_id != world.grant_id("imap")
        seen = folders or whole or (mail.date or 0) >= cached
        mail = mail._replace(folders=folders)
        found[grant_id, identity] = mail._replace(unread=False, subject="changed") if seen else mail
    return found


def without_some_bodies(answer: dict[str, Any]) -> None:
    for record in answer["data"][::3]:
        record.pop("body", None)


def without_one_body(answer: dict[str, Any]) -> None:
    del answer["data"][5]["body"]
