"""What a subset keeps of records: nothing of what is left out, nothing twice, and no address once hashed."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.subset import Subset, Subsets
from mail_pipeline.subset.fields import CHOOSABLE, KINDS
from mail_pipeline.subset.folders import FolderRules, Standing
from mail_pipeline.subset.resolved import STREAMS

KEY = b"key of the tests"
SECRET = "planted-secret"
HASHED = Subsets({"hash_addresses": True, "bodies": False, "snippets": False}, key=KEY)
ADDRESS = "Ann.Planted-Secret@Example.com"


def of(provider: str = "google", **rules: Any) -> Subset:
    return Subsets(rules, key=KEY).of("g", provider)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.just(SECRET) | st.just(ADDRESS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["email", "name", "type", "comment", SECRET]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def records(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    names = st.sampled_from([*KINDS[kind].fields, "unknown", SECRET])
    return kind, draw(st.dictionaries(names, _JSON, max_size=8))


@given(records(), st.sets(st.sampled_from([name for kind in CHOOSABLE for name in KINDS[kind].fields])))
def test_what_is_left_out_is_gone_and_all_else_is_as_it_was(
    record: tuple[str, dict[str, Any]], names: set[str]
) -> None:
    kind, given_record = record
    rules: dict[str, Any] = {f"exclude_{each}_fields": tuple(names) for each in CHOOSABLE}
    subset = of(**rules)
    before = json.dumps(given_record)
    stripped = subset.strip(kind, given_record)

    assert json.dumps(given_record) == before
    assert subset.strip(kind, stripped) == stripped
    if kind in subset.left_out:
        assert not names.intersection(stripped) - KINDS[kind].always or kind == "thread"
        assert stripped.keys() <= set(subset.select(kind))
        assert stripped.keys() == given_record.keys() & set(subset.select(kind))
    if kind != "thread":
        assert all(given_record[name] == value for name, value in stripped.items())


@given(records())
def test_no_address_outlives_hashing_wherever_it_may_stand_in_a_field_of_people(
    record: tuple[str, dict[str, Any]],
) -> None:
    kind, given_record = record
    subset = HASHED.of("g", "google")
    people = KINDS[kind].people | KINDS[kind].addresses | KINDS[kind].telling
    stripped = subset.strip(kind, {name: value for name, value in given_record.items() if name in people})

    assert "secret" not in json.dumps(stripped).lower()
    assert subset.strip(kind, stripped) == stripped


def test_an_address_becomes_its_keyed_hash_with_or_without_its_domain() -> None:
    digest = hmac.new(KEY, b"ann@example.com", hashlib.sha256).hexdigest()
    plain, domains = of(hash_addresses=True), of(hash_addresses=True, keep_domains=True)
    assert plain.hashing is not None
    assert domains.hashing is not None
    assert plain.hashing.address(" Ann@Example.com ") == f"hmac:{digest}"
    assert domains.hashing.address("ann@example.com") == f"hmac:{digest}@example.com"
    assert plain.hashing.address("") == ""
    assert plain.strip("message", {"from": [{"name": "Ann", "email": "ANN@example.com"}]}) == {
        "from": [{"email": f"hmac:{digest}"}]
    }
    assert plain.strip("grant", {"id": "g", "email": "ann@example.com", "name": "Ann"}) == {
        "id": "g",
        "email": f"hmac:{digest}",
    }


def test_two_keys_are_told_apart_without_either_being_told() -> None:
    one, other = (
        Subsets({"hash_addresses": True}, key=key).of("g", "ews") for key in (b"key-one", b"key-two")
    )
    assert one.describe() != other.describe()
    assert "key-one" not in repr(one) + str(one.describe())


def test_a_record_that_is_no_object_holds_nothing_once_anything_is_left_out() -> None:
    assert of().strip("message", SECRET) == SECRET
    assert of(bodies=False).strip("message", SECRET) is None
    assert of(bodies=False).strip("contact", SECRET) == SECRET


def test_a_thread_follows_its_messages() -> None:
    record = {
        "id": "t",
        "subject": SECRET,
        "snippet": SECRET,
        "participants": [{"email": "x@y"}],
        "latest_draft_or_message": {"id": "m", "body": SECRET, "subject": SECRET, "unread": True},
    }
    subset = of(exclude_message_fields=("subject", "bcc"), bodies=False, snippets=False)
    assert subset.strip("thread", record) == {
        "id": "t",
        "latest_draft_or_message": {"id": "m", "unread": True},
    }


def test_switches_and_field_lists_add_up() -> None:
    assert of().message_select() == ()
    assert of(bodies=False, message_fields=("subject", "body", "unread")).message_select() == (
        *("id", "grant_id", "object", "subject", "date", "folders", "unread"),
    )


def test_streams_are_on_until_switched_off() -> None:
    subset = of(events=False, threads=False, contacts=True)
    assert [stream for stream in STREAMS if subset.wants(stream)] == ["messages", "contacts", "calendars"]


FOLDERS = [
    {"id": "1", "name": "INBOX", "role": "inbox", "parent_id": None},
    {"id": "2", "name": "Private", "role": None, "parent_id": None},
    {"id": "3", "name": "Letters", "role": None, "parent_id": "2"},
    {"id": "4", "name": "Junk", "role": "junk", "parent_id": None},
    {"id": "5", "name": None, "role": None, "parent_id": "5"},
]


@pytest.mark.parametrize(
    ("wanted", "excluded", "kept"),
    [
        ((), (), "12345"),
        (("role:inbox",), (), "1"),
        ((), ("role:junk", "private"), "135"),
        ((), ("Private*",), "145"),
        (("Private/*", "inb?x"), (), "13"),
        (("*",), ("Letters",), "124"),
        ((), ("role:inbox", "role:trash"), "2345"),
    ],
)
def test_folders_are_in_or_out_by_role_or_by_a_pattern_of_their_name_or_path(
    wanted: tuple[str, ...], excluded: tuple[str, ...], kept: str
) -> None:
    standings = FolderRules(wanted, excluded).standings(FOLDERS)
    assert "".join(each for each, found in standings.items() if found is Standing.WANTED) == kept


@pytest.mark.parametrize(
    ("provider", "folders", "kept", "shown"),
    [
        ("google", ["in", "free"], True, ["in", "free"]),
        ("google", ["free"], False, ["free"]),
        ("google", ["in", "out"], False, ["in", "out"]),
        ("google", [], False, []),
        ("imap", ["in", "out"], True, ["in"]),
        ("imap", ["in", "free"], True, ["in"]),
        ("imap", ["out"], False, []),
        ("imap", [], False, []),
    ],
)
def test_an_excluded_label_excludes_its_mail_and_an_excluded_folder_only_its_copy(
    provider: str, folders: list[str], kept: bool, shown: list[str]
) -> None:
    subset = of(provider, folders=("in",), exclude_folders=("out",))
    rules = {"in": Standing.WANTED, "free": Standing.NOT_ASKED_FOR, "out": Standing.EXCLUDED}
    record = {"id": "m", "folders": folders}
    assert subset.keeps_message(record, rules.__getitem__) is kept
    assert subset.only_wanted(record, rules.__getitem__)["folders"] == shown
    # The list of a folder that is wanted shows its copies, whatever else it says.
    assert subset.keeps_message(record, rules.__getitem__, listed_in="in")


def test_mail_older_than_since_is_not_wanted() -> None:
    subset = of(since=100)
    found = {
        date: subset.keeps_message({"date": date}, lambda _: Standing.WANTED)
        for date in (99, 100, None, "99", True)
    }
    assert found == {99: False, 100: True, None: True, "99": True, True: True}


def test_a_provider_that_is_not_known_gets_the_strictest_of_all() -> None:
    subsets = Subsets({"bodies": False}, {"ews": {"exclude_message_fields": ("subject",), "bodies": True}})
    strictest = subsets.strictest("g")
    assert {name for name in KINDS["message"].fields if not strictest.keeps("message", name)} == {
        "body",
        "subject",
    }


def test_the_description_is_the_same_whatever_the_order_and_tells_every_difference() -> None:
    rules: dict[str, Any] = {
        "since": 5,
        "search": "x",
        "bodies": False,
        "folders": ("a",),
        "exclude_folders": ("b",),
        "hash_addresses": True,
    }
    whole = of(**rules).describe()
    assert whole == of(**dict(reversed(rules.items()))).describe()
    parts = [
        of(**{name: value for name, value in rules.items() if name != left}).describe() for left in rules
    ]
    assert len({whole, *parts}) == len(rules) + 1
    assert of(events=False, exclude_contact_fields=("notes",)).describe() is None
