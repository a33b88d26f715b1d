"""Reading contacts, calendars and events: what is odd is kept and named, and costs nothing beside it."""

import json
from typing import Any

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Page
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import DeadLetter
from mail_pipeline.sync.streams import CALENDARS, CONTACTS, EVENTS, PROVIDER_THREADS, RecordStream

STREAMS = (CONTACTS, CALENDARS, EVENTS, PROVIDER_THREADS)
OF_THE_LAKE = {
    "deleted_at": "2026-01-31",
    "observed_at": [1],
    "record": 7,
    "field_times": True,
    "grant_id": {},
}


def read(
    stream: RecordStream, *records: dict[str, Any], at: int = 5
) -> tuple[list[Observation], list[DeadLetter]]:
    page = Page(list(records), None, at, 0, 0, "")
    return stream.read_records(page, "c" if stream is EVENTS else "")


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_field_named_like_a_column_of_the_lakes_own_is_kept_and_changes_none(
    lake: Lake, stream: RecordStream
) -> None:
    observations, dead = read(stream, {"id": "x", **OF_THE_LAKE})
    assert dead == []
    for found in (observations, read(stream, {"id": "x", "observed_at": "later"}, at=6)[0]):
        with lake.transaction() as transaction:
            store = stream.store(transaction)
            store.merge({"g": found})
            store.flush()

    [row] = lake.table(
        f"SELECT grant_id, epoch(observed_at)::BIGINT AS observed_at, deleted_at, field_times, record "
        f"FROM all_{stream.name}"
    ).to_pylist()
    kept = {name: value for name, value in OF_THE_LAKE.items() if name != "grant_id"}
    assert json.loads(row.pop("record")) == {**kept, "observed_at": "later"}
    assert json.loads(row.pop("field_times")) == {"deleted_at": 5, "record": 5, "field_times": 5}
    assert row == {"grant_id": "g", "observed_at": 6, "deleted_at": None}


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_an_id_with_a_nul_is_a_dead_letter_and_costs_no_other_record(stream: RecordStream) -> None:
    observations, (letter,) = read(stream, {"id": "x\0"}, {"id": "y"})

    assert [each.id for each in observations] == ["y"]
    assert letter.reason == "id: expected text without NUL, got text with it"
    assert letter.object_id == "x\ufffd"


def test_an_event_of_a_calendar_with_a_nul_is_a_dead_letter() -> None:
    page = Page([{"id": "e", "calendar_id": "c\0"}], None, 5, 0, 0, "")

    assert (
        EVENTS.read_records(page, "")[1][0].reason
        == "calendar_id: expected text without NUL, got text with it"
    )


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        (CONTACTS, {"emails": [{"email": "a\ud800"}]}),
        (CONTACTS, {"groups": [{"id": "\ud800"}]}),
        (EVENTS, {"participants": [{"name": "\ud800"}]}),
        (EVENTS, {"when": {"time": 1, "x": "\ud800"}}),
        (EVENTS, {"id": "\ud800"}),
        (CALENDARS, {"id": "\ud800"}),
    ],
)
def test_a_lone_surrogate_is_repaired_wherever_it_is_and_the_record_kept_as_it_came(
    lake: Lake, stream: RecordStream, field: dict[str, Any]
) -> None:
    record = {"id": "x", **field}
    observations, (letter,) = read(stream, record)
    with lake.transaction() as transaction:
        store = stream.store(transaction)
        store.merge({"g": observations})
        store.flush()

    assert letter.stored
    assert json.loads(letter.raw) == record
    assert list(lake.column(f"SELECT id FROM all_{stream.name}")) == [observations[0].id]
