"""The file the user writes: all that is wrong in it is said at once, with its line and what is allowed."""

from pathlib import Path

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Settings
from mail_pipeline.subset import EVERYTHING, Subsets, read_subsets
from mail_pipeline.subset.conflicts import check_grant
from mail_pipeline.subset.file import PROVIDERS, read_file
from mail_pipeline.subset.folders import GOOGLE_ROLES, ROLES
from mail_pipeline.subset.resolved import STREAMS
from mail_pipeline.subset.rules import KEYS
from mail_pipeline.sync import roles

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "mail_pipeline.example.toml"
KEY = b"key of the tests"
MISTAKEN = """bodys = false
since = "2024-01-31"
exclude_message_fields = ["subjct"]
[provider.google]
messages = "no"
folders = ["role:spam"]
[provider.gogle]
bodies = 1
[grant."a b"]
exclude_message_fields = ["id"]
hash_key = "a secret of mine"
"""


def refused(text: str, key: bytes = KEY) -> list[str]:
    with pytest.raises(StopRun) as caught:
        read_file("m.toml", text, key)
    assert "docs/configuration.md" in caught.value.next_step
    return [line.strip() for line in caught.value.message.strip().split("\n")]


def test_every_mistake_is_told_at_once_with_its_line_and_what_is_allowed() -> None:
    keys = ", ".join([*KEYS, "provider", "grant"])
    assert refused(MISTAKEN) == [
        "m.toml has 9 mistakes:",
        f"line 1, bodys: unknown key. Did you mean bodies? Allowed: {keys}",
        'line 2, since: expected a date without quotes, such as 2024-01-31, found "2024-01-31"',
        'line 3, exclude_message_fields: "subjct" is no such field. Did you mean subject? Allowed: '
        "thread_id, subject, from, to, cc, bcc, reply_to, created_at, unread, starred, snippet, body, "
        "attachments, in_reply_to, schedule_id, send_at, use_draft, metadata",
        'line 5, provider.google.messages: expected true or false, found "no"',
        'line 6, provider.google.folders: "role:spam" names no role of a folder. Allowed: '
        f"{', '.join(ROLES)}",
        f"line 7, provider.gogle: no provider. Did you mean google? Allowed: {', '.join(PROVIDERS)}",
        "line 8, provider.gogle.bodies: expected true or false, found 1",
        'line 10, grant."a b".exclude_message_fields: id cannot be left out: nothing could be stored without '
        "it",
        f'line 11, grant."a b".hash_key: unknown key. Allowed: {keys}',
    ]


def test_what_stands_in_a_key_that_is_not_known_is_not_shown() -> None:
    assert "secret" not in "".join(refused(MISTAKEN))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exclude_folders = 'x'", "expected a list of folder names, patterns or roles, such as"),
        ("\nexclude_folders = ['x', 3]", "line 2, exclude_folders.1: expected a list of folder names"),
        ("search = ''", 'search: expected text: a search as the provider writes it, found ""'),
        ("since = 2024-01-31T12:00:00Z", "expected a date without quotes, such as 2024-01-31"),
        ("provider = 'google'", 'line 1, provider: expected tables such as [provider.NAME], found "google"'),
        ("[provider]\ngoogle = true", "line 2, provider.google: expected a table such as [provider.NAME]"),
        ("message_fields = ['id', 'date', 'when']", '"when" is no such field'),
        ("exclude_event_fields = ['when']", "when cannot be left out"),
        ("exclude_contact_fields = ['note']", "Did you mean notes?"),
        (
            "calendars = false",
            "line 1, calendars: events are listed calendar by calendar: set events = false",
        ),
        ("keep_domains = true", "keep_domains: says something only beside hash_addresses = true"),
        (
            "since = 2024-01-31\n[provider.google]\nsearch = 'x'",
            "line 3, provider.google.search: google takes no date beside a search: write it into the search "
            "(after:2024/01/31)",
        ),
        (
            "[provider.microsoft]\nsince = 2024-01-31\nsearch = 'x'",
            "line 3, provider.microsoft.search: microsoft takes no date",
        ),
        (
            "hash_addresses = true",
            "line 1, hash_addresses: addresses stand in clear in the text of mail: set bodies = false and "
            "snippets = false",
        ),
        (
            "bodies = false\nsnippets = false\nhash_addresses = true",
            "line 3, hash_addresses: the ids of Google's calendars are addresses: set calendars = false and "
            "events = false in [provider.google]",
        ),
        (
            "[grant.x]\nhash_addresses = true\nbodies = false",
            "line 2, grant.x.hash_addresses: addresses stand in clear in the text of mail: set snippets",
        ),
    ],
)
def test_a_mistake_says_what_is_expected(text: str, said: str) -> None:
    assert said in "\n".join(refused(text))


def test_hashing_needs_a_key_that_is_not_in_the_file() -> None:
    text = (
        "hash_addresses = true\nbodies = false\nsnippets = false\n"
        "[provider.google]\ncalendars = false\nevents = false"
    )
    assert "MAIL_PIPELINE_HASH_KEY" in refused(text, b"")[1]
    assert read_file("m.toml", text, KEY).of("g", "google").hashing is not None


def test_what_is_no_toml_says_where() -> None:
    assert refused("a = 1\nb = [") == ["m.toml is not TOML: Invalid value (at end of document)"]
    assert "line 2" in refused("a = 1\nb 2")[0]


def test_what_one_provider_alone_refuses_is_told_where_the_grant_is_known() -> None:
    subsets = read_file("m.toml", "since = 2024-01-31\n[grant.g]\nsearch = 'x'")
    for provider in ("ews", "imap", "yahoo", "icloud"):
        check_grant(subsets, "g", provider)
    with pytest.raises(StopRun, match=r"grant g for what cannot be: grant\.g\.search: google takes no date"):
        check_grant(subsets, "g", "google")


def test_the_most_specific_wins_key_by_key() -> None:
    subsets = read_file(
        "m.toml",
        """
        since = 2020-01-01
        bodies = false
        exclude_folders = ["a"]
        [provider.imap]
        since = 2024-01-01
        exclude_folders = ["b"]
        [grant.g]
        bodies = true
        exclude_folders = []
        """,
    )
    general, imap, own = subsets.of("other", "ews"), subsets.of("other", "imap"), subsets.of("g", "imap")
    assert [each.keeps("message", "body") for each in (general, imap, own)] == [False, False, True]
    assert [each.folders.excluded for each in (general, imap, own)] == [("a",), ("b",), ()]
    assert [each.since for each in (general, imap, own)] == [1577836800, 1704067200, 1704067200]


@pytest.mark.parametrize("day", ["1970-01-01", "1900-01-01"])
def test_a_date_before_all_mail_leaves_nothing_out(day: str) -> None:
    assert read_file("m.toml", f"since = {day}").of("g", "google") == EVERYTHING.of("g", "google")


def test_no_file_and_an_empty_one_mean_everything(tmp_path: Path) -> None:
    empty = tmp_path / "m.toml"
    empty.write_text("# nothing\n")
    for subsets in (read_subsets(Settings()), read_subsets(Settings(config=empty))):
        assert subsets.everything
        assert subsets.of("g", "google").everything
        assert subsets.of("g", "google").describe() is None
        assert all(subsets.of("g", "google").wants(stream) for stream in STREAMS)
    assert Subsets().everything


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_is_named_and_cannot_be_read_stops(tmp_path: Path, content: bytes | None) -> None:
    named = tmp_path / "m.toml"
    if content is not None:
        named.write_bytes(content)
    with pytest.raises(StopRun, match="cannot be read"):
        read_subsets(Settings(config=named))


def test_the_example_is_right_and_shows_every_key() -> None:
    example = EXAMPLE.read_text()
    subsets = read_file(EXAMPLE.name, example, KEY)
    assert subsets.of("g", "google").hashing is not None
    uncommented = [line.removeprefix("# ") for line in example.splitlines()]
    assert {key for key in KEYS if not any(line.startswith(f"{key} = ") for line in uncommented)} == set()


def test_every_key_field_and_role_is_in_the_documentation() -> None:
    text = (DOCS / "configuration.md").read_text()
    assert {
        key for key in (*KEYS, *STREAMS, *ROLES) if f"`{key}`" not in text and f"`role:{key}`" not in text
    } == set()


def test_roles_are_those_that_folders_can_have() -> None:
    known = {*roles._BY_ATTRIBUTE.values(), *GOOGLE_ROLES.values(), *roles._BY_NAME.values()}
    assert set(ROLES) == known
