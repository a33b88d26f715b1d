"""Whatever the order, repetition and split in which records are learned of, the tables end the same."""

import copy
import itertools
import json
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.beside import store_beside
from mail_pipeline.sync.checkpoints import LISTING, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import MessageState, Observation
from mail_pipeline.sync.streams import RECORD_STREAMS, RecordStream
from mail_pipeline_tests.live.envelopes import NOW, apply_offline, envelope, know, land
from mail_pipeline_tests.sync.test_committer import comparable

GRANTS = 8
texts = st.sampled_from(["one", "two", "", "a\0b \u2028 שלום"])
flags = st.sampled_from([True, False, None])
seconds = st.integers(-2_000_000_000, 4_000_000_000)
people = st.none() | st.lists(
    st.sampled_from([{"name": "Ann", "email": "Ann@Oak.example"}, {"name": "Room"}, {"email": "", "type": "home"}]),
    max_size=2,
)
anything = st.sampled_from([1, True, 1.5, None, {"a": [1]}, []])
WHEN = st.sampled_from(
    [
        {"object": "time", "time": NOW, "timezone": "Europe/Berlin"},
        {"start_time": -3_600, "end_time": NOW, "start_timezone": "Asia/Tokyo"},
        {"object": "date", "date": "1960-02-29"},
        {"object": "datespan", "start_date": "2026-01-31", "end_date": "2026-02-01"},
        None,
    ]
)
VALUES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "contacts": {
        "given_name": st.none() | texts,
        "company_name": texts,
        "emails": people,
        "groups": st.none() | st.lists(st.sampled_from([{"id": "A"}, {"id": "B"}]), max_size=2),
        "updated_at": st.none() | st.integers(0, NOW),
        "importance": anything,
    },
    "calendars": {"name": texts, "is_primary": flags, "importance": anything},
    "events": {
        "title": texts,
        "when": WHEN,
        "participants": people,
        "organizer": st.none() | st.sampled_from([{"name": "Ann", "email": "ann@oak.example"}, {}]),
        "recurrence": st.none() | st.lists(st.just("RRULE:FREQ=WEEKLY"), max_size=1),
        "original_start_time": st.none() | seconds,
        "importance": anything,
    },
    "provider_threads": {
        "subject": texts,
        "unread": flags,
        "message_ids": st.none() | st.lists(texts, max_size=2),
        "participants": people,
    },
}
SCOPES = {"contacts": (None, "address_book", "inbox"), "events": ("A", "B")}


class Fact(NamedTuple):
    """One thing that is learned of a record."""

    how: str
    """page, get, created, updated or deleted."""
    identity: str
    scope: str | None
    """Source or calendar; a deletion may not say which."""
    at: int
    record: dict[str, Any]


def facts(stream: str) -> st.SearchStrategy[Fact]:
    identities, moments = st.sampled_from(["x", "y"]), st.integers(NOW + 1, NOW + 5)
    scopes = st.sampled_from(SCOPES.get(stream, (None,)))
    records = st.fixed_dictionaries({}, optional=VALUES[stream])
    shows = st.sampled_from(["page", "page", "get", "created", "updated"])
    seen = st.builds(Fact, shows, identities, scopes, moments, records)
    anywhere = scopes | st.none() if stream == "events" else scopes
    gone = st.builds(Fact, st.just("deleted"), identities, anywhere, moments, st.just({}))
    return st.one_of(seen, seen, gone)


Lives = dict[tuple[str, str], list[Fact]]
"""What is learned, by stream and grant."""
lives = st.fixed_dictionaries(
    {
        name: st.lists(st.lists(facts(name), min_size=2, max_size=6), min_size=GRANTS, max_size=GRANTS)
        for name in RECORD_STREAMS
    }
)
numbers = itertools.count(1)


@settings(
    max_examples=3,
    # Shrinking would take minutes of commits.
    phases=[Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
    ],
)
@given(drawn=lives, chance=st.randoms(use_true_random=False))
def test_any_order_repetition_and_split_of_what_is_learned_ends_in_the_tables_of_the_order_of_times(
    data: Path, lake: Lake, drawn: dict[str, list[list[Fact]]], chance: random.Random
) -> None:
    first = next(numbers) * GRANTS
    histories: Lives = {
        (name, f"grant {first + place}"): history
        for name, several in drawn.items()
        for place, history in enumerate(several)
    }
    know(data, *sorted({grant_id for _, grant_id in histories}))
    learning = {key: in_parts(history, chance) for key, history in histories.items()}
    leases = Leases(data)
    committer = Committer(lake, leases)
    try:
        for name, grant_id in histories:
            begin(lake, leases, committer, RECORD_STREAMS[name], grant_id)
        while any(learning.values()):
            learn(data, lake, committer, {key: parts.pop() for key, parts in learning.items() if parts})
    finally:
        committer.close()
        leases.close()

    for (name, grant_id), history in histories.items():
        store_in_time(lake, RECORD_STREAMS[name], f"{grant_id} in time", history)
    for (name, grant_id), history in histories.items():
        stream = RECORD_STREAMS[name]
        found = contents(lake, stream, grant_id)
        assert found == contents(lake, stream, f"{grant_id} in time"), (name, history)
        assert_as_the_rules_say(lake, stream, grant_id, history)
    assert_doubts_are_asked_for(lake)


def begin(lake: Lake, leases: Leases, committer: Committer, stream: RecordStream, grant_id: str) -> None:
    with lake.locked():
        leases.take(stream.lease(grant_id))
    checkpoint = Checkpoint(partition_key=f"{stream.name}:{grant_id}", grant_id=grant_id, stream=stream.name)
    committer.begin(checkpoint, stream)


def in_parts(history: Sequence[Fact], chance: random.Random) -> list[list[Fact]]:
    """Return a history in any order, some of it twice, in parts of one kind that are stored in one go."""
    shuffled = [*history, *(fact for fact in history if chance.random() < 0.4)]
    chance.shuffle(shuffled)
    parts: list[list[Fact]] = []
    for fact in shuffled:
        if parts and way_of(parts[-1][0]) == way_of(fact) and chance.random() < 0.5:
            parts[-1].append(fact)
        else:
            parts.append([fact])
    return parts


def way_of(fact: Fact) -> str:
    return fact.how if fact.how in {"page", "get"} else "notification"


def learn(data: Path, lake: Lake, committer: Committer, parts: dict[tuple[str, str], list[Fact]]) -> None:
    """Store the next part of each history: pages under a lease, the rest beside it."""
    ways: dict[str, list[tuple[RecordStream, str, list[Fact]]]] = {}
    for (name, grant_id), part in parts.items():
        ways.setdefault(way_of(part[0]), []).append((RECORD_STREAMS[name], grant_id, part))
    pages = [
        Write(f"{stream.name}:{grant_id}", {"state": LISTING}, repeats=observed(stream, part))
        for stream, grant_id, part in ways.get("page", [])
    ]
    waiting = [committer.submit(write) for write in pages]
    told = [
        envelope(
            f"{stream.kind}.{fact.how}",
            fact.at,
            {**fact.record, "id": fact.identity, "grant_id": grant_id},
            **({stream.within: fact.scope} if stream.within else {}),
        )
        for stream, grant_id, part in ways.get("notification", [])
        for fact in part
    ]
    if told:
        land(data, told)
        assert apply_offline(data).count("applied") == len(told)
    with lake.transaction() as transaction:
        for stream in RECORD_STREAMS.values():
            fetched = {
                grant_id: observed(stream, part) for one, grant_id, part in ways.get("get", []) if one is stream
            }
            store_beside(transaction, stream.kind, fetched, time.time())
    for future in waiting:
        future.result()


def observed(stream: RecordStream, history: Iterable[Fact]) -> list[Observation]:
    found = []
    for fact in history:
        within = fact.scope or "" if stream.within else ""
        if fact.how == "deleted":
            found.append(Observation(fact.identity, fact.at, gone=True, within=within))
            continue
        # Notifications and single answers do not say which source a contact is from.
        scope = fact.scope if fact.how == "page" or stream.within else None
        record = {**copy.deepcopy(fact.record), "id": fact.identity}
        found.append(stream.observe(record, fact.at, scope or ""))
    return found


def store_in_time(lake: Lake, stream: RecordStream, grant_id: str, history: Iterable[Fact]) -> None:
    in_time = sorted(history, key=lambda fact: fact.at)
    with lake.transaction() as transaction:
        store = stream.store(transaction)
        store.merge({grant_id: observed(stream, in_time)})
        store.flush()


def contents(lake: Lake, stream: RecordStream, grant_id: str) -> dict[str, list[str]]:
    """Return all rows of a grant in the tables of a stream, without its id."""
    statement = "SELECT * EXCLUDE grant_id FROM query_table(?) WHERE grant_id = ?"
    tables = (stream.layout.table.name, *(part.table for part in stream.parts))
    return {name: comparable(lake.table(statement, [name, grant_id]).to_pylist()) for name in tables}


def assert_as_the_rules_say(lake: Lake, stream: RecordStream, grant_id: str, history: Iterable[Fact]) -> None:
    """Hold the records against what `MessageState`, which knows no tables, makes of the order of times."""
    states: dict[tuple[str, str], MessageState] = {}
    for each in sorted(observed(stream, history), key=lambda each: each.at):
        states.setdefault((each.within, each.id), MessageState(each.id)).observe(each)
    within = stream.within or "''"
    rows = lake.table(
        f"SELECT {within} AS within, id, record, deleted_at FROM {stream.layout.table.name} WHERE grant_id = ?",
        [grant_id],
    ).to_pylist()
    assert len(rows) == len(states)
    for row in rows:
        state = states[row["within"], row["id"]]
        assert json.loads(row["record"]) == state.fields
        assert (row["deleted_at"] is not None) == state.deleted


def assert_doubts_are_asked_for(lake: Lake) -> None:
    """Each event that may be the one of a deletion without a calendar waits for an answer of the API."""
    doubtful = """
        SELECT e.grant_id, e.calendar_id, e.id FROM all_events e JOIN all_events nowhere
            ON nowhere.grant_id = e.grant_id AND nowhere.id = e.id AND nowhere.calendar_id = ''
        WHERE e.calendar_id <> '' AND e.deleted_at IS NULL AND e.grant_id NOT LIKE '% in time'
            AND e.observed_at <= coalesce(
                nowhere.deleted_at, to_timestamp((nowhere.field_times->>'id')::BIGINT)
            )
    """
    asked = "SELECT grant_id, folder_id, object_id FROM fetches WHERE object = 'event' AND reason = 'missing'"
    wanted = {tuple(row.values()) for row in lake.table(doubtful).to_pylist()}
    assert wanted
    assert wanted <= {tuple(row.values()) for row in lake.table(asked).to_pylist()}
