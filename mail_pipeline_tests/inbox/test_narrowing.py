"""What lands holds nothing that is not wanted, and always enough to tell what to do about it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.inbox.narrowing import narrowed
from mail_pipeline.settings import Settings
from mail_pipeline.subset import EVERYTHING, Subsets
from mail_pipeline.subset.fields import KINDS

SECRET = "planted-secret"
LIGHT = {"id": "m", "grant_id": "g", "object": "message", "date": 1000, "folders": ["INBOX"], "unread": True}
MESSAGE = {
    **LIGHT,
    "subject": SECRET,
    "body": SECRET,
    "from": [{"name": SECRET, "email": f"{SECRET}@x.org"}],
    "new_field": SECRET,
}


def delivery(
    record: Any, type_: str = "message.created", source: str = "/google/emails/realtime", **extra: Any
) -> Delivery:
    data = {"application_id": "a", "object": record}
    envelope = {"specversion": "1.0", "id": "n", "type": type_, "source": source, "time": 5, "data": data}
    headers = {"content-type": "application/json", "x-nylas-signature": "ff", "content-length": "1"}
    return Delivery(1.5, headers, json.dumps(envelope | extra).encode())


def landed(given_delivery: Delivery, rules: dict[str, Any], **by_provider: dict[str, Any]) -> dict[str, Any]:
    subsets = Subsets(rules, by_provider, key=b"key")
    found = narrowed(given_delivery, subsets)
    assert narrowed(found, subsets).body == found.body
    assert found.received_at == given_delivery.received_at
    envelope: dict[str, Any] = json.loads(found.body)
    return envelope


def test_where_everything_is_wanted_it_lands_as_it_came() -> None:
    given_delivery = delivery(MESSAGE)
    assert narrowed(given_delivery, EVERYTHING) is given_delivery
    assert narrowed(given_delivery, Subsets(providers={"ews": {"bodies": False}})) is given_delivery


def test_fields_left_out_do_not_land_nor_does_what_nobody_knows() -> None:
    found = landed(
        delivery(MESSAGE, surprise=SECRET), {"exclude_message_fields": ("subject", "body", "from")}
    )
    assert SECRET not in json.dumps(found)
    assert (found["type"], found["data"]["object"]) == ("message.created", LIGHT)


def test_the_signature_and_the_encoding_of_what_came_are_not_claimed_of_what_lands() -> None:
    body = gzip.compress(delivery(MESSAGE).body)
    zipped = Delivery(1.0, {"content-encoding": "gzip", "x-nylas-signature": "ff", "x-other": "1"}, body)
    found = narrowed(zipped, Subsets({"bodies": False}))
    assert found.headers == {"x-other": "1"}
    assert "body" not in json.loads(found.body)["data"]["object"]


@pytest.mark.parametrize(
    ("rules", "source", "expected"),
    [
        ({"since": 1001}, "/google/emails/realtime", "bare"),
        ({"since": 1000}, "/google/emails/realtime", "whole"),
        ({"messages": False}, "/google/emails/realtime", "bare"),
        ({"exclude_folders": ("role:inbox",)}, "/google/emails/realtime", "bare"),
        ({"folders": ("role:sent",)}, "/google/emails/realtime", "bare"),
        ({"exclude_folders": ("role:junk",)}, "/google/emails/realtime", "whole"),
        ({"exclude_folders": ("role:junk",)}, "/microsoft/emails/realtime", "asks"),
        ({"exclude_folders": ("Private",)}, "/google/emails/realtime", "asks"),
        ({"search": "x"}, "/google/emails/realtime", "asks"),
    ],
)
def test_mail_outside_lands_as_its_ids_and_of_what_cannot_be_told_the_rest_is_asked_for(
    rules: dict[str, Any], source: str, expected: str
) -> None:
    found = landed(delivery(MESSAGE, source=source), rules)
    record = found["data"]["object"]
    if expected == "whole":
        assert record == MESSAGE
        return
    assert SECRET not in json.dumps(found)
    assert record == (LIGHT if expected == "asks" else {k: v for k, v in LIGHT.items() if k != "unread"})
    assert found["type"] == ("message.created.truncated" if expected == "asks" else "message.created")


def test_without_a_date_nobody_can_tell_how_old_it_is() -> None:
    record = {name: value for name, value in MESSAGE.items() if name != "date"}
    assert landed(delivery(record), {"since": 5})["type"] == "message.created.truncated"


@pytest.mark.parametrize(
    ("type_", "record"),
    [
        ("message.opened", {"id": "m", "grant_id": "g", "message_data": {"note": SECRET}}),
        ("thread.replied", {"id": "m", "grant_id": "g", "root": SECRET}),
        ("something.new", {"id": "m", "grant_id": "g", "root": SECRET}),
        ("message.deleted", {"id": "m", "grant_id": "g", "metadata": SECRET}),
    ],
)
def test_what_is_not_stored_anyway_lands_as_its_ids(type_: str, record: dict[str, Any]) -> None:
    found = landed(delivery(record, type_), {"bodies": False})
    assert found["data"]["object"] == {"id": "m", "grant_id": "g"}


def test_where_the_sender_tells_no_provider_the_strictest_rules_hold() -> None:
    for source in ("", "/nylas/system", "nonsense"):
        found = landed(delivery(MESSAGE, source=source), {}, ews={"exclude_message_fields": ("body", "from")})
        assert found["data"]["object"] == LIGHT | {"subject": SECRET}


def test_a_grant_lands_with_its_address_hashed() -> None:
    record = {"grant_id": "g", "provider": "ews", "email": f"{SECRET}@x.org", "name": SECRET, "code": 25012}
    found = landed(
        delivery(record, "grant.created", "/nylas/system"),
        {"hash_addresses": True, "bodies": False, "snippets": False},
    )
    assert SECRET not in json.dumps(found)
    assert found["data"]["object"]["email"].startswith("hmac:")


@pytest.mark.parametrize(
    "body",
    [
        SECRET.encode(),
        b"",
        b"[1]",
        b'"planted-secret"',
        b"\x1f\x8b" + SECRET.encode(),
        b'{"a":' * 100_000,
        json.dumps({"type": "message.created", "data": SECRET}).encode(),
        json.dumps({"type": 3, "data": {"object": SECRET}}).encode(),
    ],
)
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_of_what_cannot_be_read_nothing_lands_but_that_it_came(body: bytes, encoding: str) -> None:
    found = narrowed(Delivery(1.0, {"content-encoding": encoding}, body), Subsets({"bodies": False}))
    assert SECRET.encode() not in found.body
    assert isinstance(json.loads(found.body), dict)


@given(
    st.sampled_from(["message", "contact", "calendar", "event", "grant"]),
    st.sampled_from(["created", "updated", "deleted", "created.cleaned.truncated"]),
    st.dictionaries(
        st.sampled_from(sorted({name for kind in KINDS.values() for name in kind.fields} | {"odd"})),
        st.recursive(
            st.just(SECRET) | st.none() | st.integers(0, 3),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["email", "x"]), inner)
            ),
            max_leaves=4,
        ),
        max_size=6,
    ),
    st.sampled_from(["google", "imap", "ews"]),
)
def test_no_field_left_out_lands_of_any_object(
    kind: str, action: str, record: dict[str, Any], provider: str
) -> None:
    rules = {
        "exclude_message_fields": ("subject",),
        "bodies": False,
        "snippets": False,
        "hash_addresses": True,
        "exclude_contact_fields": ("job_title",),
        "exclude_event_fields": ("title", "location"),
    }
    found = landed(delivery(record, f"{kind}.{action}", f"/{provider}/x/realtime"), rules)
    kept = found["data"]["object"]
    subset = Subsets(rules, key=b"key").of("g", provider)
    assert all(subset.keeps(kind, name) for name in kept)
    for name in KINDS[kind].people | KINDS[kind].addresses:
        assert SECRET not in json.dumps(kept.get(name))


def test_the_table_narrows_whatever_is_stored_in_it(tmp_path: Path) -> None:
    config = tmp_path / "m.toml"
    config.write_text("bodies = false\nexclude_message_fields = ['subject', 'from']\n")
    settings = Settings(data=tmp_path / "data", config=config)
    with Landing.open(settings) as landing:
        landing.store([delivery(MESSAGE)])
        [row] = landing.after(0, limit=10, max_bytes=10**6)
    assert json.loads(row.body)["data"]["object"] == LIGHT
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()
