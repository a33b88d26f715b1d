"""Whatever goes wrong on the way, each stream ends up with exactly what is served."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from mail_pipeline.simulator import (
    PROVIDERS,
    SPOILING,
    TRANSIENT,
    Fault,
    FaultRule,
    Faults,
    Fleet,
    Limits,
    LoggedRequest,
    MailboxSpec,
    Simulator,
)
from mail_pipeline.simulator.faults import SPOILED_FIELDS, SURROGATE
from mail_pipeline.sync.listing import Listing
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Asked, Door
from mail_pipeline_tests.backfill.test_exactness import DELIVERED, NAMELESS
from mail_pipeline_tests.backfill.world import World
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.streams.mirroring import (
    LISTED,
    SHOWN,
    Key,
    Record,
    as_shown,
    assert_mirrored,
    mirror_all,
    served,
    stored,
    wrong,
)

SINCE = datetime(2022, 1, 1, tzinfo=UTC)
"""Before the first event of these fleets: iCloud needs a request for each half year of each calendar."""


def fleet(seed: int, providers: Iterable[str] = PROVIDERS) -> Fleet:
    specs = [
        MailboxSpec(
            p, messages=30, body_mean=200, contacts=40, calendars=3, events=60, oddity_every=3, years=3
        )
        for p in providers
    ]
    return Fleet.generate(seed, specs)


def test_every_stream_of_every_provider_is_mirrored_field_by_field(serve: Serve) -> None:
    world = serve(Simulator(fleet(1), limits=Limits.off(), irregular=0.4))
    world.register()
    ended = mirror_all(world, page_size=15)
    assert {each.state for each in ended.values()} == {"complete", "skipped"}
    assert_mirrored(world)
    # The third calendar of each shows no events, and where there are no calendars there is no list of them.
    skipped = world.ask(
        "SELECT stream, provider, reason FROM stream_ledger JOIN grants ON grants.id = grant_id "
        "WHERE state = 'skipped' ORDER BY ALL"
    )
    assert [(stream, provider) for stream, provider, _ in skipped] == [
        ("calendars", "yahoo"),
        *(("events", name) for name in ("ews", "google", "icloud", "microsoft")),
    ]
    assert all("answered 40" in reason for _, _, reason in skipped)
    assert world.ask("SELECT count(*) FROM dead_letters") == [(0,)]
    before = len(world.simulator.requests)
    assert mirror_all(world, "contacts", "provider_threads").keys() <= ended.keys()
    assert {entry.operation for entry in world.simulator.requests[before:]} <= {"grants", "webhooks"}


@pytest.mark.parametrize(
    ("seed", "providers"), [(2, ("google", "imap", "icloud")), (3, ("microsoft", "ews", "yahoo"))]
)
@deep
def test_every_fault_at_random_still_gives_exactly_the_served_set(
    serve: Serve, seed: int, providers: tuple[str, ...]
) -> None:
    faults = Faults(rate=0.2, kinds=TRANSIENT | SPOILING, seed=seed, seconds=0.2)
    world = serve(Simulator(fleet(seed, providers), faults=faults, limits=Limits.off(), irregular=0.4))
    world.register()
    ended = mirror_all(world, page_size=20, since=SINCE)
    assert {each.state for each in ended.values()} == {"complete", "skipped"}
    assert {Fault(entry.fault) for entry in world.simulator.requests if entry.fault} & SPOILING
    calendars = stored(world, "calendars").keys()
    for stream in LISTED:
        ours = stored(world, stream)
        allowed = outcomes(world, stream)
        if stream == "events":
            # Of a calendar that came unreadable nothing is listed.
            allowed = {key: every for key, every in allowed.items() if key[:2] in calendars}
        expected = {
            key: found
            for key, every in allowed.items()
            if (found := ours.get(key) if ours.get(key) in every else every[0]) is not None
        }
        assert wrong(ours, expected) == {}, stream
    assert_dead_letters(world)


def test_events_back_to_a_date_before_1970_are_all_events_and_their_list_ends(serve: Serve) -> None:
    world = serve(Simulator(fleet(2, ("google", "icloud")), limits=Limits.off()))
    world.register()
    ended = mirror_all(world, since=datetime(1900, 1, 1, tzinfo=UTC))
    assert {each.state for each in ended.values()} <= {"complete", "skipped"}
    assert_mirrored(world)
    before = len(world.simulator.requests)
    mirror_all(world, "events")
    assert "events" not in {entry.operation for entry in world.simulator.requests[before:]}


def spoiled(world: World, stream: str) -> Counter[tuple[Key, Fault]]:
    """Return how often each record of a stream was served unreadable, and how."""
    found: Counter[tuple[Key, Fault]] = Counter()
    for entry in delivered(world, stream):
        for identity in entry.spoiled:
            place = {
                "grant_id": entry.grant_id,
                "id": identity,
                "calendar_id": entry.query.get("calendar_id"),
            }
            key = tuple(str(place[name]) for name in SHOWN[stream].key)
            found[key, Fault(entry.fault or "")] += 1
    return found


def delivered(world: World, stream: str) -> list[LoggedRequest]:
    """Return the requests for pages of a stream whose answers could be read."""
    readable = {None, *(fault.value for fault in DELIVERED)}
    return [
        entry
        for entry in world.simulator.requests
        if entry.operation in SHOWN[stream].operations and entry.status == 200 and entry.fault in readable
    ]


def outcomes(world: World, stream: str) -> dict[Key, tuple[Record | None, ...]]:
    """Return what may be seen of each record: it as it is, unless it came unreadable."""
    faults: dict[Key, set[Fault]] = {}
    for key, fault in spoiled(world, stream):
        faults.setdefault(key, set()).add(fault)
    found: dict[Key, tuple[Record | None, ...]] = {}
    truth, allowed = true_records(world, stream), served(world, stream)
    for key, record in allowed.items():
        every: list[Record | None] = [record]
        if faults.get(key, set()) - {Fault.LONE_SURROGATE}:
            every.append(None)
        if Fault.LONE_SURROGATE in faults.get(key, ()):
            value, names = SPOILED_FIELDS[Fault.LONE_SURROGATE]
            name = names[min(SHOWN[stream].operations)]
            mended = str(value).replace(SURROGATE, "\ufffd")
            every.append(as_shown(stream, truth[key] | {name: mended}))
        found[key] = tuple(every)
    return found


def true_records(world: World, stream: str) -> dict[Key, Record]:
    shown = SHOWN[stream]
    return {
        tuple(str(record[name]) for name in shown.key): record
        for mailbox in world.simulator.fleet
        for record in world.simulator.truth(mailbox.grant.id, shown.truth)
    }


def assert_dead_letters(world: World) -> None:
    """Hold what is kept as unreadable against what was served so."""
    kinds = {"contact": "contacts", "calendar": "calendars", "event": "events", "thread": "provider_threads"}
    kept: dict[str, Counter[tuple[object, ...]]] = {name: Counter() for name in LISTED}
    for kind, *letter in world.ask("SELECT object, grant_id, object_id, stored FROM dead_letters"):
        kept[kinds[kind]][tuple(letter)] += 1
    for stream in LISTED:
        expected: Counter[tuple[object, ...]] = Counter()
        for (key, fault), times in spoiled(world, stream).items():
            identity = None if fault in NAMELESS else key[-1]
            expected[key[0], identity, fault is Fault.LONE_SURROGATE] += times
        assert kept[stream] == expected, stream


def test_a_cursor_that_is_refused_begins_its_list_again(serve: Serve) -> None:
    rules = [FaultRule(Fault.CURSOR_EXPIRED, operation, first=1) for operation in ("contacts", "threads")]
    rules += [
        FaultRule(Fault.CURSOR_EXPIRED, "calendars", first=1),
        FaultRule(Fault.CURSOR_EXPIRED, "events", first=2),
        FaultRule(Fault.CURSOR_EXPIRED, "events_import", first=2),
    ]
    simulator = Simulator(
        fleet(4, ("google", "microsoft")), faults=Faults(rules), limits=Limits.off(), irregular=0.0
    )
    world = serve(simulator)
    world.register()
    ended = mirror_all(world, page_size=2, since=SINCE)
    assert {each.state for each in ended.values()} == {"complete"}
    assert sum(entry.fault == Fault.CURSOR_EXPIRED for entry in simulator.requests) == len(rules)
    assert_mirrored(world)


def test_a_grant_that_expires_in_the_middle_goes_on_where_it_stopped(serve: Serve) -> None:
    rules = [FaultRule(Fault.GRANT_EXPIRED, operation, first=3) for operation in ("contacts", "events")]
    world = serve(Simulator(fleet(5, ("ews",)), faults=Faults(rules), limits=Limits.off(), irregular=0.0))
    world.register()
    for stream in ("contacts", "events"):
        (ended,) = mirror_all(world, stream, page_size=10).values()
        assert (ended.state, ended.pages) == ("failed", len(delivered(world, stream)))
        assert ended.pages
        assert "401" in (ended.reason or "")
        assert "reconnect" in (ended.next_step or "").lower()
        stopped = len(world.simulator.requests)
        (ended,) = mirror_all(world, stream, page_size=10).values()
        assert ended.state == "complete"
        assert_mirrored(world, stream)
        pages = [
            (entry.query.get("source"), entry.query.get("calendar_id"), entry.page_token)
            for entry in delivered(world, stream)
        ]
        assert len(pages) == len(set(pages))
        assert any(entry.operation == stream for entry in world.simulator.requests[stopped:])


@pytest.mark.parametrize("times", [1, 99])
def test_a_list_that_is_refused_half_way_is_not_taken_for_all_there_is(serve: Serve, times: int) -> None:
    simulator = Simulator(fleet(6, ("google",)), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    world.register()
    refused: list[str | None] = []

    def half_way(asked: Asked) -> bool:
        if asked.operation != "contacts" or asked.page_token is None or len(refused) >= times:
            return False
        refused.append(asked.page_token)
        return True

    door.refuse(half_way, 400, {"error": {"type": "invalid_request_error", "message": "Bad request"}})
    ended = mirror_all(world, "contacts", page_size=2)
    assert refused
    assert {each.state for each in ended.values()} == {"complete" if times == 1 else "failed"}
    refused += ["enough"] * 99
    mirror_all(world, "contacts", page_size=2)
    assert stored(world, "contacts").keys() == served(world, "contacts").keys()


def test_what_the_owner_has_not_allowed_is_skipped_with_the_reason_and_the_rest_goes_on(serve: Serve) -> None:
    simulator = Simulator(fleet(6, ("google", "ews")), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    world.register()
    google = world.grant_id("google")
    answer = {"error": {"type": "insufficient_scopes", "message": "Request had insufficient scopes"}}
    door.refuse(
        lambda asked: asked.operation in {"contacts", "calendars"} and asked.grant_id == google, 403, answer
    )
    ended = mirror_all(world)
    states = {(stream, grant_id == google): word.state for (stream, grant_id), word in ended.items()}
    refused = {(stream, True): "skipped" for stream in ("contacts", "calendars", "events")}
    assert states == {(stream, of): "complete" for stream in LISTED for of in (True, False)} | refused
    assert "403" in (ended["contacts", google].reason or "")
    assert {key[0] for key in stored(world, "contacts")} == {world.grant_id("ews")}
    reasons = world.ask("SELECT reason FROM stream_ledger WHERE state = 'skipped' AND grant_id = ?", [google])
    # Three sources of contacts, and the calendars.
    assert len(reasons) == 4
    assert all("403" in reason for (reason,) in reasons)


def test_a_list_without_end_stops_and_says_so(serve: Serve) -> None:
    rules = [FaultRule(Fault.REPEATED_CURSOR, operation) for operation in ("contacts", "threads")]
    simulator = Simulator(fleet(7, ("ews",)), faults=Faults(rules), limits=Limits.off(), irregular=0.0)
    world = serve(simulator)
    world.register()
    for word in mirror_all(world, "contacts", "provider_threads", page_size=5).values():
        assert word.state == "failed"
        assert "same cursor twice" in (word.reason or "")
    states = world.ask("SELECT state, pages FROM stream_ledger ORDER BY ALL")
    # Its first page is kept, so that the next run need not begin again.
    assert states.count(("failed", 1)) == 2


def test_an_unexpected_error_is_logged_by_grant_and_without_the_calendars_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = serve(Simulator(fleet(3, ["google"]), limits=Limits.off()))
    world.register()
    (grant_id,) = [mailbox.grant.id for mailbox in world.simulator.fleet]
    calendars = [record["id"] for record in world.simulator.truth(grant_id, "calendars")]
    run = Listing.run

    def chokes(listing: Listing) -> None:
        if listing.part.scope in calendars:
            raise RuntimeError("no rule for this")
        run(listing)

    monkeypatch.setattr(Listing, "run", chokes)
    ended = mirror_all(world, "events")

    assert {each.state for each in ended.values()} == {"failed"}
    assert f"events of grant {grant_id} stopped by an unexpected builtins.RuntimeError" in caplog.text
    assert [each for each in calendars if each in caplog.text] == []
