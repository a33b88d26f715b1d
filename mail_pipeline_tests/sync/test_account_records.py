"""Grant and folder records: what is kept, what never is, what is left out, and what makes one unreadable."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.sync.account_records import read_folder, read_grant
from mail_pipeline.sync.records import Unreadable


def test_a_grant_becomes_a_row() -> None:
    record = {
        "id": "g",
        "provider": "google",
        "email": "a@b.example",
        "grant_status": "valid",
        "scope": ["mail.read", "offline"],
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_001,
        "user_agent": "é",
        "object": "grant",
    }
    row, left_out = read_grant(record)
    assert left_out is None
    assert row == {
        "id": "g",
        "provider": "google",
        "email": "a@b.example",
        "status": "valid",
        "scopes": ["mail.read", "offline"],
        "per_folder": False,
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_001,
        "extra": '{"user_agent": "é"}',
    }


@pytest.mark.parametrize(
    ("provider", "per_folder"),
    [("imap", True), ("yahoo", True), ("icloud", True), ("ews", False), ("microsoft", False), ("new", False)],
)
def test_the_imap_family_is_read_folder_by_folder(provider: str, per_folder: bool) -> None:
    assert read_grant({"id": "g", "provider": provider})[0]["per_folder"] is per_folder


def test_a_bare_grant_is_valid_and_of_an_unknown_provider() -> None:
    row, _ = read_grant({"id": "g", "scope": None})

    assert (row["provider"], row["status"], row["scopes"], row["extra"]) == ("unknown", "valid", [], None)


def test_what_opens_an_account_is_not_kept() -> None:
    row, _ = read_grant({"id": "g", "settings": {"imap_password": "hunter2"}})

    assert "hunter2" not in json.dumps(row)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1_700_000_000, 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        (None, None),
    ],
)
def test_dates_come_as_seconds_or_as_text_in_utc(
    given: object, seconds: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "America/New_York")
        time.tzset()
        assert read_grant({"id": "g", "created_at": given})[0]["created_at"] == seconds
    time.tzset()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "id: expected text, got nothing"),
        ({"id": ""}, "id: expected text, got an empty one"),
        ({"id": 7}, "id: expected text, got a number"),
        ({"id": "g\0"}, "id: expected text without NUL, got text with it"),
        ({"provider": []}, "provider: expected text, got a list"),
        ({"provider": "g\0"}, "provider: expected text without NUL, got text with it"),
    ],
)
def test_without_an_id_or_a_provider_a_grant_is_unreadable_and_names_the_field(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read_grant({"id": "g", **fields})
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("name", "value", "column", "empty", "reason"),
    [
        ("email", {}, "email", None, "email: expected text, got an object"),
        ("grant_status", True, "status", "valid", "grant_status: expected text, got true or false"),
        ("scope", 3, "scopes", [], "scope: expected a list, got a number"),
        ("scope", [3], "scopes", [], "scope: expected text, got a number"),
        ("created_at", 1.5, "created_at", None, "created_at: expected unix seconds, got a decimal number"),
        ("created_at", "yesterday", "created_at", None, "created_at: expected unix seconds or an ISO date"),
        ("updated_at", -1, "updated_at", None, "updated_at: expected unix seconds from 0 to"),
        ("updated_at", "0001-01-01", "updated_at", None, "updated_at: expected unix seconds from 0 to"),
    ],
)
def test_a_field_of_a_grant_that_cannot_be_read_is_named_and_costs_no_other(
    name: str, value: Any, column: str, empty: Any, reason: str
) -> None:
    record = {
        "id": "g",
        "provider": "imap",
        "email": "a@b.example",
        "grant_status": "invalid",
        "scope": ["mail.read"],
        "created_at": 1,
        "updated_at": 2,
        "x": 3,
    }
    whole, _ = read_grant(record)
    row, left_out = read_grant({**record, name: value})

    assert row == {**whole, column: empty}
    assert left_out is not None
    assert left_out.startswith(reason)
    assert left_out.endswith("; stored without it")
    assert read_grant({**record, name: value}, {"g": whole}.__getitem__)[0] == whole


def test_a_folder_becomes_a_row() -> None:
    record = {
        "id": "f",
        "grant_id": "g",
        "name": "Gesendet",
        "parent_id": "p",
        "total_count": 7,
        "unread_count": 0,
        "attributes": ["\\Sent"],
        "background_color": "#fff",
    }
    row, left_out = read_folder(record, "imap")
    assert left_out is None
    assert row == {
        "id": "f",
        "name": "Gesendet",
        "role": "sent",
        "parent_id": "p",
        "total_count": 7,
        "unread_count": 0,
        "attributes": ["\\Sent"],
        "extra": '{"background_color": "#fff"}',
    }


def test_one_attribute_may_come_as_text() -> None:
    assert read_folder({"id": "f", "attributes": "\\Junk"}, "imap")[0]["role"] == "junk"


FOLDER = {
    "id": "f",
    "name": "Gesendet",
    "parent_id": "p",
    "total_count": 7,
    "unread_count": 2,
    "attributes": ["\\Sent"],
}


@pytest.mark.parametrize(
    ("name", "value", "empty", "reason"),
    [
        ("total_count", "many", None, "total_count: expected a whole number, got text"),
        ("total_count", -1, None, "total_count: expected a whole number from 0 to"),
        ("unread_count", 1.5, None, "unread_count: expected a whole number, got a decimal number"),
        ("name", 5, None, "name: expected text, got a number"),
        ("attributes", 7, [], "attributes: expected a list, got a number"),
        ("parent_id", {}, None, "parent_id: expected text, got an object"),
    ],
)
def test_a_field_of_a_folder_that_cannot_be_read_is_named_and_costs_no_other(
    name: str, value: Any, empty: Any, reason: str
) -> None:
    whole, _ = read_folder(FOLDER, "imap")
    row, left_out = read_folder({**FOLDER, name: value}, "imap")

    assert row == {**whole, name: empty, "role": row["role"]}
    assert left_out is not None
    assert left_out.startswith(reason)
    assert left_out.endswith("; stored without it")
    assert read_folder({**FOLDER, name: value}, "imap", {"f": whole}.__getitem__)[0] == whole


def test_all_fields_that_cannot_be_read_are_named_together() -> None:
    _, left_out = read_folder({"id": "f", "name": 5, "total_count": "7"}, "imap")

    assert left_out == (
        "name: expected text, got a number; total_count: expected a whole number, got text; "
        "stored without them"
    )


def test_without_an_id_a_folder_is_unreadable_and_names_the_field() -> None:
    with pytest.raises(Unreadable, match=r"^id: expected text, got nothing$"):
        read_folder({"name": "F"}, "imap")
    with pytest.raises(Unreadable, match=r"^id: expected text without NUL, got text with it$"):
        read_folder({"id": "f\0"}, "imap")


texts = st.text(st.characters() | st.sampled_from("\ud83d\udc00\0"), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    "id",
    "provider",
    "email",
    "scope",
    "created_at",
    "name",
    "attributes",
    "total_count",
    "settings",
    "x",
]


@given(json_values | st.dictionaries(st.sampled_from(NAMES) | texts, json_values))
def test_any_record_is_read_or_unreadable(record: object) -> None:
    for read in (read_grant, lambda each: read_folder(each, "imap")):
        try:
            row = read(record)
        except Unreadable:
            continue
        json.dumps(row, ensure_ascii=False).encode()
