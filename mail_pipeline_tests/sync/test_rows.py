"""What is known of a message survives the lake: as if it had never been stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.merge import Observation, RecordState
from mail_pipeline.sync.records import Body
from mail_pipeline.sync.rows import PARTS, MessageRows, read_states
from mail_pipeline_tests.sync.histories import folder_ids, known, observations, observe, texts

Tables = dict[str, pa.Table]


@dataclass
class Story:
    """One message: what is seen of it before it is stored, and after."""

    id: str
    before: list[Observation]
    after: list[Observation]
    misses: list[tuple[str, int]] = field(default_factory=list)
    deleted_at: int | None = None

    def begin(self) -> RecordState:
        state = RecordState(self.id)
        for observation in self.before:
            observe(state, observation)
        for folder, at in self.misses:
            state.miss(folder, at)
        if self.deleted_at is not None:
            state.delete(self.deleted_at)
        return state

    def go_on(self, state: RecordState) -> RecordState:
        for observation in self.after:
            observe(state, observation)
        return state


times = st.integers(1, 6)


def stories(identity: str) -> st.SearchStrategy[Story]:
    seen = observations(identity, times)
    misses = st.lists(st.tuples(folder_ids, times), max_size=2)
    return st.builds(
        Story,
        st.just(identity),
        st.lists(seen, min_size=1, max_size=3),
        st.lists(seen, max_size=3),
        misses,
        st.none() | times,
    )


def tables_of(states: list[RecordState]) -> Tables:
    rows = MessageRows()
    for state in states:
        rows.add("g", state)
    return rows.tables()


def read(tables: Tables) -> dict[str, RecordState]:
    found = read_states(tables["all_messages"], tables["message_participants"], tables["attachments"])
    assert {grant_id for grant_id, _ in found} <= {"g"}
    return {identity: state for (_, identity), state in found.items()}


@given(stories("m"))
def test_going_on_from_rows_is_going_on_from_memory(story: Story) -> None:
    stored = read(tables_of([story.begin()]))["m"]

    assert known(stored) == known(story.begin())
    assert known(story.go_on(stored)) == known(story.go_on(story.begin()))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(texts, min_size=1, max_size=12, unique=True).flatmap(lambda ids: st.tuples(*map(stories, ids)))
)
def test_the_lake_gives_back_what_it_was_given(lake: Lake, told: tuple[Story, ...]) -> None:
    put = tables_of([story.begin() for story in told])
    got = stored_and_read_back(lake, put)

    for name in ("all_messages", *PARTS):
        assert sorted(map(repr, got[name].to_pylist())) == sorted(map(repr, put[name].to_pylist())), name
    states = read(got)
    assert {story.id for story in told} == states.keys()
    for story in told:
        assert known(states[story.id]) == known(story.begin())


def stored_and_read_back(lake: Lake, tables: Tables) -> Tables:
    """Return what a transaction finds of what it has written, and leave the lake empty."""
    key = pa.table({"grant_id": ["g"]})
    with lake.transaction() as transaction:
        for name, rows in tables.items():
            transaction.append(name, rows)
        got = {name: transaction.matching(name, key) for name in tables}
        for name in tables:
            transaction.delete(name, key)
    return got


def row(**fields: Any) -> dict[str, Any]:
    state = RecordState("m")
    state.observe(Observation("m", 7, fields))
    found: dict[str, Any] = tables_of([state])["all_messages"].to_pylist()[0]
    return found


@pytest.mark.parametrize("text", ["", "\0", "plain", "a\0b", "Zoë \U0001d578 \ufeff\u200b", "x" * 100_000])
def test_a_body_is_kept_byte_for_byte(lake: Lake, data: Path, text: str) -> None:
    state = RecordState("m")
    state.observe(Observation("m", 7, {"body": Body.of(text)}))
    with lake.transaction() as transaction:
        for name, rows in tables_of([state]).items():
            transaction.append(name, rows)

    assert list(lake.column("SELECT body FROM message_bodies")) == [text]
    assert list(lake.column("SELECT body_bytes FROM messages")) == [len(text.encode())]


def test_no_body_yet_is_not_an_empty_body() -> None:
    assert row(subject="x")["body_bytes"] is None
    assert row(body=Body.of(""))["body_bytes"] == 0


def test_absent_null_and_empty_lists_stay_apart() -> None:
    def back(**fields: Any) -> dict[str, Any]:
        state = RecordState("m")
        state.observe(Observation("m", 7, fields))
        return read(tables_of([state]))["m"].fields

    assert back() == {}
    assert back(attachments=[], to=[]) == {"attachments": [], "to": []}
    assert back(subject=None) == {"subject": None}
    assert back(subject="") == {"subject": ""}


def test_the_first_sender_stands_in_the_messages_row() -> None:
    several = row(**{"from": [("Ann", "Ann@X.example"), ("Bob", "bob@x.example")]})
    assert (several["from_name"], several["from_address"]) == ("Ann", "Ann@X.example")
    nobody = row(**{"from": []})
    assert (nobody["from_name"], nobody["from_address"]) == (None, None)


@pytest.mark.parametrize(
    ("address", "canonical", "domain"),
    [
        (" Mixed.Case+Tag@Example.COM\n", "mixed.case+tag@example.com", "example.com"),
        ('"a@b"@C.example', '"a@b"@c.example', "c.example"),
        ("undisclosed-recipients:;", "undisclosed-recipients:;", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_addresses_can_be_grouped_by(address: str | None, canonical: str | None, domain: str | None) -> None:
    state = RecordState("m")
    state.observe(Observation("m", 7, {"to": [("n", address)]}))
    found = tables_of([state])["message_participants"].to_pylist()[0]

    assert (found["address"], found["address_canonical"], found["domain"]) == (address, canonical, domain)


def test_attachment_sizes_add_up_to_what_a_column_can_hold() -> None:
    def attachment(size: int | None) -> dict[str, Any]:
        names = ("id", "filename", "content_type", "is_inline", "content_id", "content_disposition")
        return {**dict.fromkeys(names), "size": size}

    summed = row(attachments=[attachment(10), attachment(None), attachment(5)])
    assert summed["has_attachments"] is True
    assert (summed["attachment_count"], summed["attachment_bytes"]) == (3, 15)
    assert row(attachments=[attachment(2**63 - 1)] * 2)["attachment_bytes"] == 2**63 - 1
    assert row(attachments=[])["has_attachments"] is False
    assert row()["has_attachments"] is None


def test_fields_without_a_column_are_kept_together() -> None:
    assert row(subject="x")["extra"] is None
    assert row(importance={"b": 1, "a": [None]}, metadata=None)["extra"] == (
        '{"importance": {"a": [null], "b": 1}, "metadata": null}'
    )


def test_a_deleted_message_keeps_its_row_and_leaves_the_view(lake: Lake) -> None:
    gone, back = RecordState("gone"), RecordState("back")
    for state in (gone, back):
        state.observe(Observation(state.id, 7, {"subject": "x"}))
        state.delete(8)
    back.observe(Observation("back", 9, {"unread": True}))
    with lake.transaction() as transaction:
        for name, rows in tables_of([gone, back]).items():
            transaction.append(name, rows)

    assert list(lake.column("SELECT id FROM messages")) == ["back"]
    assert sorted(lake.column("SELECT id FROM all_messages")) == ["back", "gone"]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.miss("INBOX", 5),
        lambda state: state.observe(Observation("m", 5, {}, "Archive")),
        lambda state: state.observe(Observation("m", 5, {"folders": ["Sent"]})),
    ],
)
def test_folder_rows_are_the_folders_it_is_in(change: Callable[[RecordState], None]) -> None:
    state = RecordState("m")
    state.observe(Observation("m", 1, {"folders": ["INBOX", "Work"]}))
    change(state)
    tables = tables_of([state])

    assert tables["message_folders"]["folder_id"].to_pylist() == state.folders
    assert tables["all_messages"]["folders"].to_pylist() == [state.folders]
