"""Whatever the order, repetition and split in which records are learned of, the tables end the same."""

import copy
import json
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.beside import store_beside
from mail_pipeline.sync.checkpoints import LISTING, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation, RecordState
from mail_pipeline.sync.streams import RECORD_STREAMS, RecordStream
from mail_pipeline_tests.live.envelopes import NOW, apply_offline, envelope, know, land
from mail_pipeline_tests.live.test_order import in_parts, kind_of
from mail_pipeline_tests.sync.test_committer import comparable

GRANTS = 24
TEXTS = (None, "one", "two", "", "a\0b \u2028 שלום")
PEOPLE: Sequence[Any] = (
    None,
    [],
    [{"name": "Ann", "email": "Ann@Oak.example"}],
    [{"name": "Room"}, {"email": "", "type": "home"}],
)
ANYTHING: Sequence[Any] = (1, True, 1.5, None, {"a": [1]}, [])
WHENS = (
    {"object": "time", "time": NOW, "timezone": "Europe/Berlin"},
    {"start_time": -3_600, "end_time": NOW, "start_timezone": "Asia/Tokyo"},
    {"object": "date", "date": "1960-02-29"},
    {"object": "datespan", "start_date": "2026-01-31", "end_date": "2026-02-01"},
    None,
)
VALUES: dict[str, dict[str, Sequence[Any]]] = {
    "contacts": {
        "given_name": TEXTS,
        "company_name": TEXTS,
        "emails": PEOPLE,
        "groups": (None, [], [{"id": "A"}], [{"id": "B"}, {"id": "A"}]),
        "updated_at": (None, 0, NOW),
        "importance": ANYTHING,
    },
    "calendars": {"name": TEXTS, "is_primary": (True, False, None), "importance": ANYTHING},
    "events": {
        "title": TEXTS,
        "when": WHENS,
        "participants": PEOPLE,
        "organizer": (None, {}, {"name": "Ann", "email": "ann@oak.example"}),
        "recurrence": (None, [], ["RRULE:FREQ=WEEKLY"]),
        "original_start_time": (None, -1, NOW),
        "importance": ANYTHING,
    },
    "provider_threads": {
        "subject": TEXTS,
        "unread": (True, False, None),
        "message_ids": (None, [], ["m1", "m2"]),
        "participants": PEOPLE,
        "latest_draft_or_message": ({"id": "m1"},),
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


def fact(stream: str, chance: random.Random) -> Fact:
    """Draw one thing that may be learned of a record of a stream."""
    how = chance.choice(("page", "page", "get", "created", "updated", "deleted"))
    scope = chance.choice(SCOPES.get(stream, (None,)))
    if how == "deleted":
        anywhere = stream == "events" and chance.random() < 0.5
        return Fact(how, chance.choice("xy"), None if anywhere else scope, NOW + chance.randint(1, 5), {})
    chosen = [name for name in VALUES[stream] if chance.random() < 0.6]
    record = {name: chance.choice(VALUES[stream][name]) for name in chosen}
    return Fact(how, chance.choice("xy"), scope, NOW + chance.randint(1, 5), record)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_repetition_and_split_of_what_is_learned_ends_in_the_tables_of_the_order_of_times(
    data: Path, lake: Lake, seed: int
) -> None:
    chance = random.Random(seed)
    histories = {
        (name, f"grant {number}"): [fact(name, chance) for _ in range(chance.randint(2, 7))]
        for name in RECORD_STREAMS
        for number in range(GRANTS)
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

    for stream in RECORD_STREAMS.values():
        own = {grant_id: history for (name, grant_id), history in histories.items() if name == stream.name}
        found = contents(lake, stream)
        with Lake(data / "in the order of times") as expected:
            store_in_time(expected, stream, own)
            in_time = contents(expected, stream)
        assert found.keys() == own.keys()
        for grant_id, history in own.items():
            assert found[grant_id] == in_time[grant_id], history
        assert_as_the_rules_say(lake, stream, own)
    assert_doubts_are_asked_for(lake)


def begin(lake: Lake, leases: Leases, committer: Committer, stream: RecordStream, grant_id: str) -> None:
    with lake.locked():
        leases.take(stream.lease(grant_id))
    checkpoint = Checkpoint(partition_key=f"{stream.name}:{grant_id}", grant_id=grant_id, stream=stream.name)
    committer.begin(checkpoint, stream)


def learn(data: Path, lake: Lake, committer: Committer, parts: dict[tuple[str, str], list[Fact]]) -> None:
    """Store the next part of each history: pages under a lease, the rest beside it."""
    ways: dict[str, list[tuple[RecordStream, str, list[Fact]]]] = {}
    for (name, grant_id), part in parts.items():
        ways.setdefault(kind_of(part[0]), []).append((RECORD_STREAMS[name], grant_id, part))
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
                grant_id: observed(stream, part)
                for one, grant_id, part in ways.get("get", [])
                if one is stream
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


def store_in_time(lake: Lake, stream: RecordStream, histories: Mapping[str, Iterable[Fact]]) -> None:
    with lake.transaction() as transaction:
        store = stream.store(transaction)
        store.merge({grant_id: in_order(stream, history) for grant_id, history in histories.items()})
        store.flush()


def in_order(stream: RecordStream, history: Iterable[Fact]) -> list[Observation]:
    return observed(stream, sorted(history, key=lambda fact: fact.at))


def contents(lake: Lake, stream: RecordStream) -> dict[str, dict[str, list[str]]]:
    """Return by grant all rows in the tables of a stream."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    tables = (stream.layout.table.name, *(part.table for part in stream.parts))
    for table in tables:
        for row in lake.table("SELECT * FROM query_table(?)", [table]).to_pylist():
            own = found.setdefault(row.pop("grant_id"), {name: [] for name in tables})
            own[table].append(row)
    return {
        grant_id: {table: comparable(rows) for table, rows in own.items()} for grant_id, own in found.items()
    }


def assert_as_the_rules_say(
    lake: Lake, stream: RecordStream, histories: Mapping[str, Iterable[Fact]]
) -> None:
    """Hold the records against what `RecordState`, which knows no tables, makes of the order of times."""
    states: dict[tuple[str, ...], RecordState] = {}
    for grant_id, history in histories.items():
        for each in in_order(stream, history):
            key = grant_id, each.within, each.id
            states.setdefault(key, RecordState(each.id)).observe(each)
    rows = lake.table("SELECT * FROM query_table(?)", [stream.layout.table.name]).to_pylist()
    assert len(rows) == len(states)
    for row in rows:
        state = states[row["grant_id"], row[stream.within] if stream.within else "", row["id"]]
        assert json.loads(row["record"]) == state.fields
        assert (row["deleted_at"] is not None) == state.deleted


def assert_doubts_are_asked_for(lake: Lake) -> None:
    """Each event that may be the one of a deletion without a calendar waits for an answer of the API."""
    doubtful = """
        SELECT e.grant_id, e.calendar_id, e.id FROM all_events e JOIN all_events nowhere
            ON nowhere.grant_id = e.grant_id AND nowhere.id = e.id AND nowhere.calendar_id = ''
        WHERE e.calendar_id <> '' AND e.deleted_at IS NULL AND e.observed_at <= coalesce(
                nowhere.deleted_at, to_timestamp((nowhere.field_times->>'id')::BIGINT)
            )
    """
    asked = "SELECT grant_id, folder_id, object_id FROM fetches WHERE object = 'event' AND reason = 'missing'"
    wanted = {tuple(row.values()) for row in lake.table(doubtful).to_pylist()}
    assert wanted
    assert wanted <= {tuple(row.values()) for row in lake.table(asked).to_pylist()}
