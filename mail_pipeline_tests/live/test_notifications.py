"""What a notification says, whatever its suffixes; and what cannot be read says so without its content."""

import gzip
import json
from collections.abc import Callable
from itertools import chain, combinations, permutations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mail_pipeline.inbox.payload import MOST_INFLATED
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.notifications import (
    SUFFIXES,
    Notification,
    read_change,
    read_changes,
    read_notification,
)
from mail_pipeline.sync.records import Body, Unreadable
from mail_pipeline_tests.live.envelopes import GRANT, JSON_TYPE, NOW, envelope, landed, whole

PARTIAL = ("id", "grant_id", "object", "thread_id", "subject", "from", "to", "cc", "date", "body", "snippet")
SECRET = "zq-content-that-no-reason-may-tell"
GZIP = {**JSON_TYPE, "content-encoding": "gzip"}


def read(sent: Any) -> Notification:
    return read_notification(landed(json.dumps(sent).encode()))


def said(kind: str, **fields: Any) -> Observation:
    return read_change(read(envelope(kind, NOW, whole("m"), **fields)))


def without(sent: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return an envelope that lacks the field at this path."""
    inner = sent
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return sent


def with_(sent: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    """Return an envelope that has this value at this path."""
    inner = sent
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return sent


def created() -> dict[str, Any]:
    return envelope("message.created", NOW, whole("m", subject=SECRET, body=SECRET))


EVERY_SUFFIXES = list(
    chain.from_iterable(
        permutations(chosen)
        for size in range(len(SUFFIXES) + 1)
        for chosen in combinations(sorted(SUFFIXES), size)
    )
)


@pytest.mark.parametrize("trigger", ["message.created", "message.updated", "message.deleted"])
def test_suffixes_are_told_from_the_trigger_in_any_combination_and_order(trigger: str) -> None:
    assert len(EVERY_SUFFIXES) == 65
    for suffixes in EVERY_SUFFIXES:
        kind = ".".join((trigger, *suffixes))
        found = read(envelope(kind, NOW, id="m"))
        assert (found.type, found.trigger, found.suffixes) == (kind, trigger, frozenset(suffixes))


def test_each_suffix_drops_its_own_fields_in_any_combination_and_order() -> None:
    everything = said("message.created").fields
    for suffixes in EVERY_SUFFIXES:
        found = said(".".join(("message.created", *suffixes)), cleaning_status="success", snippet="").fields
        expected = {**everything, "cleaning_status": "success", "snippet": ""}
        if "cleaned" in suffixes:
            del expected["cleaning_status"], expected["body"]
        if "truncated" in suffixes:
            expected.pop("body", None)
        if "metadata" in suffixes:
            # False says something of a flag, "" nothing of a text that this scope does not show.
            del expected["snippet"]
        assert found == expected


def test_a_cleaned_body_is_not_the_messages() -> None:
    found = said("message.created.cleaned", body="# At noon", cleaning_error="none")

    assert {"body", "cleaning_status", "cleaning_error"}.isdisjoint(found.fields)
    assert found.fields["subject"] == "Lunch?"


def test_metadata_without_content_does_not_empty_what_is_known() -> None:
    found = said("message.updated.metadata", body="", snippet=None, attachments=[], unread=False)

    assert {"body", "snippet", "attachments"}.isdisjoint(found.fields)
    assert (found.fields["unread"], found.fields["starred"]) == (False, False)


def test_metadata_tells_that_a_message_left_all_folders() -> None:
    found = said("message.updated.metadata", folders=[], cc=None)

    assert found.fields["folders"] == []
    assert "cc" not in found.fields


def test_an_update_carries_what_it_carries() -> None:
    part = {name: value for name, value in whole("m").items() if name in PARTIAL}
    found = read_change(read(envelope("message.updated", NOW, part, unread=False)))

    assert (found.id, found.at, found.gone, found.folder) == ("m", NOW, False, None)
    assert found.fields.keys() == (set(PARTIAL) | {"unread"}) - {"id", "grant_id", "object"}
    assert found.fields["body"] == Body.of("<p>At noon</p>")
    assert found.fields["from"] == [("Ann", "ann@example.org")]


def test_empty_is_not_absent() -> None:
    found = read_change(read(envelope("message.updated", NOW, id="m", cc=[], to=None, body=None)))

    # A null list is an empty one; a null body was not sent.
    assert found.fields == {"cc": [], "to": []}


def test_a_deletion_says_nothing_but_that_it_is_gone() -> None:
    found = read_change(read(envelope("message.deleted", NOW, whole("m"))))

    assert found == Observation("m", NOW, gone=True)


def test_a_grant_may_stand_beside_the_object() -> None:
    sent = without(envelope("message.bounce_detected", NOW, type="mailbox_unavailable"), *OBJECT, "grant_id")
    found = read(with_(sent, "beside", "data", "grant_id"))

    assert (found.trigger, found.grant_id, found.object_id) == ("message.bounce_detected", "beside", None)


@pytest.mark.parametrize(
    "kind", ["booking.created", "thread.replied.legacy", "message.opened", "x", "a.b.c.d", "truncated", "."]
)
def test_a_type_nobody_has_heard_of_is_read(kind: str) -> None:
    found = read(envelope(kind, NOW, id="o"))

    assert (found.type, found.grant_id, found.object_id, found.occurred_at) == (kind, GRANT, "o", NOW)


def test_unknown_fields_are_kept() -> None:
    found = said("message.created", in_reply_to={"deep": [1]})

    assert found.fields["in_reply_to"] == {"deep": [1]}


def test_a_compressed_notification_reads_as_the_same() -> None:
    body = json.dumps(created()).encode()

    assert read_notification(landed(gzip.compress(body), GZIP)) == read_notification(landed(body))


OBJECT = ("data", "object")
BAD: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no type": (lambda: without(created(), "type"), "type: expected text, got nothing"),
    "empty type": (lambda: with_(created(), "", "type"), "type: expected text, got nothing"),
    "type a number": (lambda: with_(created(), 7, "type"), "type: expected text, got a number"),
    "type a list": (lambda: with_(created(), [SECRET], "type"), "type: expected text, got a list"),
    "id an object": (lambda: with_(created(), {}, "id"), "id: expected text, got an object"),
    "no time": (lambda: without(created(), "time"), "time: expected unix seconds, got nothing"),
    "time a text": (lambda: with_(created(), "1", "time"), "time: expected unix seconds, got text"),
    "time true": (lambda: with_(created(), True, "time"), "time: expected unix seconds, got true or false"),
    "time a decimal": (lambda: with_(created(), 1.5, "time"), "time: expected unix seconds, got a decimal"),
    "time negative": (lambda: with_(created(), -1, "time"), "time: expected unix seconds from 0"),
    "time in ms": (lambda: with_(created(), NOW * 1000, "time"), "time: expected unix seconds from 0"),
    "no data": (lambda: without(created(), "data"), "data: expected an object, got nothing"),
    "data a list": (lambda: with_(created(), [SECRET], "data"), "data: expected an object, got something"),
    "no object": (lambda: without(created(), *OBJECT), "data.object: expected an object, got nothing"),
    "object a text": (lambda: with_(created(), SECRET, *OBJECT), "data.object: expected an object, got some"),
    "no grant": (lambda: without(created(), *OBJECT, "grant_id"), "data.object.grant_id: expected text"),
    "empty grant": (lambda: with_(created(), "", *OBJECT, "grant_id"), "data.object.grant_id: expected text"),
    "grant a number": (lambda: with_(created(), 1, *OBJECT, "grant_id"), "data.object.grant_id: expected te"),
    "half an emoji in type": (lambda: with_(created(), "\ud83d", "type"), "type: expected Unicode"),
    "half an emoji in grant": (
        lambda: with_(created(), "\ud83d", *OBJECT, "grant_id"),
        "data.object.grant_id: expected Unicode",
    ),
    "NUL in grant": (
        lambda: with_(created(), "g\0", *OBJECT, "grant_id"),
        "data.object.grant_id: expected text without NUL",
    ),
    "NUL in the object's id": (
        lambda: with_(created(), "m\0\ud83d", *OBJECT, "id"),
        "data.object.id: expected text without NUL",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_envelope_is_unreadable_and_the_reason_names_the_field_not_the_content(name: str) -> None:
    make, reason = BAD[name]
    with pytest.raises(Unreadable) as caught:
        read(make())

    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


BAD_BODIES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "nothing": (b"", JSON_TYPE, "body: expected JSON"),
    "HTML": (f"<html>{SECRET}</html>".encode(), JSON_TYPE, "body: expected JSON"),
    "cut off": (json.dumps(created()).encode()[:-1], JSON_TYPE, "body: expected JSON"),
    "not UTF-8": (b'{"type": "\xff\xfe ' + SECRET.encode() + b'"}', JSON_TYPE, "type: expected Unicode"),
    "a list": (json.dumps([SECRET]).encode(), JSON_TYPE, "record: expected an object, got a list"),
    "a text": (json.dumps(SECRET).encode(), JSON_TYPE, "record: expected an object, got text"),
    "null": (b"null", JSON_TYPE, "record: expected an object, got nothing"),
    "far too deep": (b"[" * 500_000 + b"]" * 500_000, JSON_TYPE, "record: expected an object, got a list"),
    "broken gzip": (gzip.compress(SECRET.encode())[:-5], GZIP, "body: The body is no whole gzip"),
    "no gzip": (json.dumps(created()).encode(), GZIP, "body: The body is no whole gzip"),
    "a gzip bomb": (gzip.compress(bytes(MOST_INFLATED + 1)), GZIP, "body: The body inflates to more than"),
    "unknown encoding": (b"{}", {"content-encoding": "br"}, "body: The body's Content-Encoding"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_no_json_object_is_unreadable(name: str) -> None:
    body, headers, reason = BAD_BODIES[name]
    with pytest.raises(Unreadable) as caught:
        read_notification(landed(body, headers))

    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "id: expected text, got nothing"),
        ({"id": ""}, "id: expected text, got an empty one"),
        ({"id": 5}, "id: expected text, got a number"),
        ({"subject": [SECRET]}, "subject: expected text, got a list"),
        ({"unread": SECRET}, "unread: expected true or false, got text"),
        ({"date": SECRET}, "date: expected unix seconds, got text"),
        ({"folders": SECRET}, "folders: expected a list, got text"),
        ({"folders": [None]}, "folders: expected a list of texts, got nothing in it"),
        ({"from": [SECRET]}, "from: expected a list of objects, got text in it"),
        ({"to": [{"email": {SECRET: 1}}]}, "to.email: expected text, got an object"),
        ({"attachments": [{"size": -1}]}, "attachments.size: expected a whole number"),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(fields: dict[str, Any], reason: str) -> None:
    notification = read(envelope("message.updated", NOW, whole("m"), **fields))
    with pytest.raises(Unreadable) as caught:
        read_changes(notification)

    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("identity", [None, "", 7])
def test_a_deletion_without_an_id_is_unreadable(identity: object) -> None:
    with pytest.raises(Unreadable, match=r"data\.object\.id: expected text"):
        read_changes(read(envelope("message.deleted", NOW, id=identity)))


def test_half_an_emoji_costs_no_message() -> None:
    sent = envelope("message.created", NOW, whole("m\ud83d"), subject="cut \ud83d", note=["\udc00"])
    observation, letter = read_changes(read(sent))

    assert (observation.id, observation.fields["subject"]) == ("m\ufffd", "cut \ufffd")
    assert observation.fields["note"] == ["\ufffd"]
    assert letter is not None
    assert (letter.stored, letter.object_id) == (True, "m\ufffd")
    assert json.loads(letter.raw)["subject"] == "cut \ud83d"


def test_half_an_emoji_in_the_id_names_the_same_message_everywhere() -> None:
    gone = read(envelope("message.deleted", NOW, id="m\ud83d"))

    assert gone.object_id == "m\ufffd"
    assert read_changes(gone)[0].id == "m\ufffd"


def test_a_nul_in_the_id_of_a_thread_or_folder_costs_no_message() -> None:
    sent = envelope("message.created", NOW, whole("m"), thread_id="t\0", folders=["f\0", "g"], subject="a\0b")
    observation, letter = read_changes(read(sent))

    assert observation.fields["thread_id"] == "t\ufffd"
    assert observation.fields["folders"] == ["f\ufffd", "g"]
    assert observation.fields["subject"] == "a\0b"
    assert letter is not None
    assert letter.stored
    assert json.loads(letter.raw)["thread_id"] == "t\0"


@pytest.mark.parametrize("action", ["created", "deleted"])
def test_an_event_of_a_calendar_with_a_nul_is_unreadable(action: str) -> None:
    with pytest.raises(Unreadable, match=r"^calendar_id: expected text without NUL"):
        read_changes(read(envelope(f"event.{action}", NOW, id="e", calendar_id="c\0")))


@pytest.mark.parametrize(("text", "depth"), [("plain", 985), ("half \ud83d", 600), ("plain", 50_000)])
def test_a_record_nested_too_deeply_is_unreadable(text: str, depth: int) -> None:
    deep = json.dumps(envelope("message.created", NOW, id="m", subject=text, extra="DEEP"))
    body = deep.replace('"DEEP"', "[" * depth + "]" * depth).encode()

    with pytest.raises(Unreadable, match="nested too deeply"):
        read_changes(read_notification(landed(body)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "grant_id", "subject", "body", "folders", "to", "size"]), inner
        )
    ),
    max_leaves=8,
)
kinds = st.sampled_from(["message.created", "message.updated.truncated", "message.deleted", "folder.x", "y"])
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "type": kinds | json_values,
        "id": st.just("e") | json_values,
        "time": st.just(NOW) | json_values,
        "data": json_values
        | st.fixed_dictionaries(
            {"object": json_values | st.fixed_dictionaries({"id": st.just("m"), "grant_id": st.just("g")})},
            optional={"grant_id": json_values},
        ),
    },
)


@given((envelopes | json_values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
@example(b'{"type":"message.created","time":1,"data":{"object":{"grant_id":"g","id":"\\ud83d"}}}')
@example(b'{"type":"message.created","time":1,"data":{"object":{"grant_id":"g","id":"x","n":NaN}}}')
def test_any_body_is_read_or_unreadable_for_a_field_that_the_reason_names(body: bytes) -> None:
    try:
        notification = read_notification(landed(body))
        observation, _ = read_changes(notification)
    except Unreadable as error:
        field, colon, _ = str(error).partition(":")
        names = {"body", "record", "type", "id", "time", "data", "data.object", "text", *whole("m")}
        assert colon
        assert field in names or field.startswith(("data.object.", "to.", "attachments."))
    else:
        assert notification.type
        assert notification.grant_id
        assert observation.id
