"""Reading message records: what the contract allows is read, everything else is kept and named."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.nylas.pages import decode
from mail_pipeline.sync.merge import RecordState
from mail_pipeline.sync.records import (
    TOO_DEEP,
    Body,
    DeadLetter,
    NulInKey,
    Unreadable,
    identity_of,
    raw,
    read_message,
    read_messages,
)
from mail_pipeline.sync.rows import STANDARD, MessageRows
from mail_pipeline.sync.texts import mended

SECRET = "Q3 layoffs, call +49 30 901820"
LAST_SECOND = 253_402_300_799


def fields(**record: Any) -> dict[str, Any]:
    return read_message({"id": "m", **record}, at=5).fields


def reason(**record: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        read_message({"id": "m", **record}, at=5)
    return str(caught.value)


def test_a_whole_record_is_read_field_by_field() -> None:
    record = {
        "id": "m",
        "grant_id": "g",
        "object": "message",
        "thread_id": "t",
        "subject": "s",
        "snippet": "sn",
        "body": "<p>é</p>",
        "date": 1_700_000_000,
        "unread": True,
        "starred": False,
        "folders": ["SENT", "INBOX", "SENT"],
        "from": [{"name": "Ann", "email": "ann@x.example"}],
        "to": [{"email": "bob@x.example"}, {"name": "undisclosed-recipients:", "email": ""}],
        "attachments": [{"id": "a", "size": 3, "content_type": "text/plain", "grant_id": "g"}],
        "importance": {"level": "high"},
    }
    observation = read_message(record, at=5)

    assert (observation.id, observation.at, observation.folder) == ("m", 5, None)
    assert observation.fields == {
        "thread_id": "t",
        "subject": "s",
        "snippet": "sn",
        "body": Body.of("<p>é</p>"),
        "date": 1_700_000_000,
        "unread": True,
        "starred": False,
        "folders": ["INBOX", "SENT"],
        "from": [("Ann", "ann@x.example")],
        "to": [(None, "bob@x.example"), ("undisclosed-recipients:", "")],
        "attachments": [
            {
                "id": "a",
                "filename": None,
                "content_type": "text/plain",
                "size": 3,
                "is_inline": None,
                "content_id": None,
                "content_disposition": None,
            }
        ],
        "importance": {"level": "high"},
    }


def test_an_id_is_enough() -> None:
    assert fields() == {}


def test_a_folders_own_listing_says_nothing_of_other_folders() -> None:
    observation = read_message({"id": "m", "folders": ["A", "B"], "subject": "s"}, at=5, folder="B")

    assert observation.folder == "B"
    assert observation.fields == {"subject": "s"}


@pytest.mark.parametrize("name", ["from", "to", "cc", "bcc", "reply_to", "attachments", "folders"])
def test_a_null_list_is_an_empty_one(name: str) -> None:
    assert fields(**{name: None}) == {name: []}


@pytest.mark.parametrize("name", ["thread_id", "subject", "snippet", "date", "unread", "starred"])
def test_a_null_is_kept_as_null(name: str) -> None:
    assert fields(**{name: None}) == {name: None}


def test_a_null_body_was_not_sent_and_an_empty_one_was() -> None:
    assert fields(body=None) == {}
    assert fields(body="") == {"body": Body.of("")}


def test_a_body_is_known_by_its_size_and_hash() -> None:
    body = Body.of("a\0é")

    assert (body.data, body.size) == ("a\0é".encode(), 4)
    assert body == Body(None, body.size, body.hash)
    assert body != Body.of("a\0e")
    assert SECRET not in repr(Body.of(SECRET))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"thread_id": 7}, "thread_id: expected text, got a number"),
        ({"subject": [SECRET]}, "subject: expected text, got a list"),
        ({"snippet": {"a": SECRET}}, "snippet: expected text, got an object"),
        ({"body": True}, "body: expected text, got true or false"),
        ({"body": 1.5}, "body: expected text, got a decimal number"),
        ({"date": SECRET}, "date: expected unix seconds, got text"),
        ({"date": True}, "date: expected unix seconds, got true or false"),
        ({"date": 1.5e9}, "date: expected unix seconds, got a decimal number"),
        ({"date": -1}, f"date: expected unix seconds from 0 to {LAST_SECOND}, got a number beyond them"),
        ({"date": 10**300}, f"date: expected unix seconds from 0 to {LAST_SECOND}, got a number beyond them"),
        ({"unread": SECRET}, "unread: expected true or false, got text"),
        ({"unread": 1}, "unread: expected true or false, got a number"),
        ({"starred": []}, "starred: expected true or false, got a list"),
        ({"folders": SECRET}, "folders: expected a list, got text"),
        ({"folders": [{"id": SECRET}]}, "folders: expected a list of texts, got an object in it"),
        ({"folders": [None]}, "folders: expected a list of texts, got nothing in it"),
        ({"from": {"email": SECRET}}, "from: expected a list, got an object"),
        ({"to": SECRET}, "to: expected a list, got text"),
        ({"cc": [SECRET]}, "cc: expected a list of objects, got text in it"),
        ({"bcc": [{"email": [SECRET]}]}, "bcc.email: expected text, got a list"),
        ({"reply_to": [{"name": 3}]}, "reply_to.name: expected text, got a number"),
        ({"attachments": SECRET}, "attachments: expected a list, got text"),
        ({"attachments": [SECRET]}, "attachments: expected a list of objects, got text in it"),
        ({"attachments": [{"filename": [SECRET]}]}, "attachments.filename: expected text, got a list"),
        ({"attachments": [{"size": SECRET}]}, "attachments.size: expected a whole number, got text"),
        (
            {"attachments": [{"size": -1}]},
            f"attachments.size: expected a whole number from 0 to {2**63 - 1}, got a number beyond them",
        ),
        ({"attachments": [{"is_inline": SECRET}]}, "attachments.is_inline: expected true or false, got text"),
        ({"id": None}, "id: expected text, got nothing"),
        ({"id": ""}, "id: expected text, got an empty one"),
        ({"id": 7}, "id: expected text, got a number"),
        ({"id": 0}, "id: expected text, got a number"),
        ({"id": [SECRET]}, "id: expected text, got a list"),
        ({"id": f"{SECRET}\0"}, "id: expected text without NUL, got text with it"),
    ],
)
def test_what_cannot_be_read_names_the_field_and_never_the_content(
    record: dict[str, Any], expected: str
) -> None:
    assert reason(**record) == expected


@pytest.mark.parametrize(
    ("record", "found"),
    [(None, "nothing"), (SECRET, "text"), (7, "a number"), ([SECRET], "a list"), (True, "true or false")],
)
def test_a_record_must_be_an_object(record: object, found: str) -> None:
    with pytest.raises(Unreadable, match=f"^record: expected an object, got {found}$"):
        read_message(record, at=5)


def test_the_last_second_a_timestamp_holds_is_read() -> None:
    assert fields(date=LAST_SECOND) == {"date": LAST_SECOND}
    assert fields(date=0) == {"date": 0}


def test_one_unreadable_record_does_not_cost_its_page() -> None:
    page = [{"id": "a"}, {"id": "b", "date": SECRET}, SECRET, {"subject": "no id"}, {"id": "c"}]
    observations, dead = read_messages(page, at=5)

    assert [each.id for each in observations] == ["a", "c"]
    assert dead == [
        DeadLetter("message", "b", "date: expected unix seconds, got text", json.dumps(page[1])),
        DeadLetter("message", None, "record: expected an object, got text", json.dumps(SECRET)),
        DeadLetter("message", None, "id: expected text, got nothing", json.dumps(page[3])),
    ]


def test_a_lone_surrogate_is_repaired_and_the_record_kept_as_it_came() -> None:
    record = {"id": "m", "subject": "cut \ud83d", "body": "\udc00x", "\ud800": "name", "to": None}
    observations, (letter,) = read_messages([record], at=5, folder="F")

    (observation,) = observations
    assert (observation.id, observation.folder) == ("m", "F")
    assert observation.fields["subject"] == "cut \ufffd"
    assert observation.fields["body"] == Body.of("\ufffdx")
    assert observation.fields["\ufffd"] == "name"
    assert letter.stored
    assert letter.object_id == "m"
    assert letter.reason == "text: expected Unicode, got a lone surrogate; stored with U+FFFD in its place"
    assert json.loads(letter.raw) == record


@pytest.mark.parametrize(
    "record", [{"\ud800": 1}, {"x": {"\ud800": 1}}, {"x": ["\ud800"]}, {"to": [{"name": "\ud800"}]}]
)
def test_a_lone_surrogate_is_found_wherever_it_is(record: dict[str, Any]) -> None:
    (observation,), (letter,) = read_messages([{"id": "m", **record}], at=5)

    assert letter.stored
    assert "\ufffd" in json.dumps(observation.fields, ensure_ascii=False)


@pytest.mark.parametrize("place", ["subject", "body", "thread_id", "id", "unknown"])
def test_a_record_with_a_lone_surrogate_and_a_wrong_type_is_a_dead_letter(place: str) -> None:
    torn = {"id": "m", place: "a\ud800"}
    for record in ({**torn, "date": SECRET}, {"date": SECRET, **torn}):
        observations, (letter,) = read_messages([record, {"id": "next"}], at=5)

        assert [each.id for each in observations] == ["next"]
        assert letter.reason == "date: expected unix seconds, got text"
        assert letter.object_id == ("a\ufffd" if place == "id" else "m")
        assert not letter.stored
        assert json.loads(letter.raw) == record


@pytest.mark.parametrize(
    ("torn", "field"),
    [
        ({"thread_id": "t\0"}, "thread_id"),
        ({"folders": ["\0", "B"]}, "folders"),
        ({"thread_id": "t\0", "folders": ["\0"]}, "thread_id"),
        ({"folders": ["\0"], "subject": "\ud800"}, "folders"),
    ],
)
def test_a_nul_in_what_names_a_thread_or_folder_is_repaired_and_the_record_kept_as_it_came(
    torn: dict[str, Any], field: str
) -> None:
    record = {"id": "m", **torn, "snippet": "a\0b", "x": "\0"}
    (observation,), (letter,) = read_messages([record], at=5)

    assert observation.fields["snippet"] == "a\0b"
    assert observation.fields["x"] == "\0"
    assert "\0" not in json.dumps([observation.fields.get(name) for name in ("thread_id", "folders")])
    assert "\ufffd" in str(observation.fields[field])
    assert letter == DeadLetter(
        "message",
        "m",
        f"{field}: expected text without NUL, got text with it; stored with U+FFFD in its place",
        json.dumps(record),
        stored=True,
    )


@pytest.mark.parametrize("torn", ["a\0", "a\0\ud800"])
def test_an_id_with_a_nul_makes_a_dead_letter_that_can_be_looked_up(torn: str) -> None:
    observations, (letter,) = read_messages([{"id": torn, "thread_id": "t\0"}, {"id": "b"}], at=5)

    assert [each.id for each in observations] == ["b"]
    assert (letter.reason, letter.stored) == ("id: expected text without NUL, got text with it", False)
    assert letter.object_id == mended(torn).replace("\0", "\ufffd")


def test_whole_pairs_of_surrogates_are_no_reason_for_a_repair() -> None:
    observations, dead = read_messages([{"id": "m", "subject": "👩‍👩‍👧"}], at=5)

    assert observations[0].fields == {"subject": "👩‍👩‍👧"}
    assert dead == []


def test_mending_leaves_everything_else_as_it_is() -> None:
    value = {"a": [1, 1.5, None, True, "é\0👩"], "b": {"c": "\ud83d\ude00"}}

    assert mended(value) == {"a": [1, 1.5, None, True, "é\0👩"], "b": {"c": "😀"}}


def test_a_record_nested_deeper_than_python_follows_is_a_dead_letter() -> None:
    # The decoder follows 1,024 levels, Python's own encoder fewer, and mending half as many.
    deep = b"[" * 1_010 + b"]" * 1_010
    half = b"[" * 600 + b"]" * 600
    page = [
        *decode(b'[{"id": "a", "date": 7, "x": %s}, {"id": "b"}]' % deep),
        *decode(b'[{"id": "c", "subject": "\\ud800", "x": %s}, {"id": "d"}]' % half),
    ]
    observations, dead = read_messages(page, at=5)

    assert [each.id for each in observations] == ["b", "d"]
    assert [each.object_id for each in dead] == ["a", "c"]
    assert {each.reason for each in dead} == {"record: expected an object, got one nested too deeply"}
    assert json.loads(dead[0].raw) == {"id": "a", "date": 7}
    assert json.loads(dead[1].raw) == page[2]


@pytest.mark.parametrize(("levels", "kept"), [(500, True), (501, False), (940, False)])
def test_what_is_stored_can_be_read_back_from_deep_in_the_stack(levels: int, kept: bool) -> None:
    page = decode(b'[{"id": "a", "x": %s}, {"id": "b", "x": [%s]}]' % (nested(levels), b"[]," * 2_000 + b"0"))
    observations, dead = read_messages(page, at=5)

    assert [each.id for each in observations] == (["a", "b"] if kept else ["b"])
    assert {each.reason for each in dead} == (set() if kept else {TOO_DEEP})


def nested(levels: int) -> bytes:
    return b'{"x": [' * (levels // 2) + b"[]" * (levels % 2) + b"]}" * (levels // 2)


def test_a_deep_list_instead_of_a_record_is_a_dead_letter() -> None:
    (record,) = decode(b"[%s%s]" % (b"[" * 1_010, b"]" * 1_010))

    assert read_messages([record], at=5)[1][0].reason == "record: expected an object, got a list"


texts = st.text(st.characters() | st.sampled_from("\ud83d\udc00\0"), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-2, 2**64) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({*STANDARD, "id", "grant_id", "object", "name", "email", "size"})
objects = st.dictionaries(st.sampled_from(NAMES) | texts, json_values, max_size=5)
person = st.fixed_dictionaries({}, optional={"name": texts | json_values, "email": texts})
near_misses = st.fixed_dictionaries(
    {"id": texts},
    optional={
        "subject": texts,
        "body": texts,
        "date": st.integers(-1, 2**40),
        "from": st.lists(person, max_size=2),
        "folders": st.lists(texts, max_size=2),
        "attachments": st.lists(st.fixed_dictionaries({}, optional={"id": texts, "size": st.integers()})),
        "extra": json_values,
    },
)
records = st.one_of(json_values, objects, near_misses)


@settings(max_examples=300)
@given(st.lists(records, max_size=5), st.none() | st.just("INBOX"))
def test_no_record_is_lost_and_none_stops_its_page(page: list[Any], folder: str | None) -> None:
    observations, dead = read_messages(page, at=5, folder=folder)

    assert len(observations) + sum(not letter.stored for letter in dead) == len(page)
    kept = [letter.raw for letter in dead if not letter.stored]
    assert kept == [raw(record) for record in page if not readable(record)]


def readable(record: object) -> bool:
    try:
        read_message(mended(record), at=5)
    except NulInKey:
        return True
    except Unreadable:
        return False
    return True


@settings(max_examples=150)
@given(st.lists(records, max_size=5), st.none() | st.just("INBOX"))
def test_what_was_read_fits_the_tables(page: list[Any], folder: str | None) -> None:
    observations, dead = read_messages(page, at=5, folder=folder)
    rows = MessageRows()
    for observation in observations:
        rows.add("g", RecordState.first(observation))

    tables = rows.tables()
    assert tables["all_messages"]["id"].to_pylist() == [each.id for each in observations]
    for letter in dead:
        cells = (letter.object, letter.object_id, letter.reason, letter.raw)
        assert pa.array(cells, pa.string()).to_pylist() == list(cells)


@settings(max_examples=300)
@given(records)
def test_a_wrong_record_answers_with_one_of_two_errors(record: Any) -> None:
    try:
        observation = read_message(record, at=5)
    except (Unreadable, UnicodeEncodeError):
        return
    assert observation.id == record["id"]
    assert observation.fields.keys() <= record.keys() - {"id", "grant_id", "object"}


@given(records)
def test_an_identity_can_always_be_stored(record: Any) -> None:
    identity = identity_of(record)

    assert identity is None or b"\0" not in identity.encode()
