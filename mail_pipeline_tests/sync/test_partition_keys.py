"""Partition keys: readable, unique within their grant in any case, and the same again for the same folder."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.sync.partition_keys import RECENT, is_partition_key, partition_key, slug, split

UNQUOTED = re.compile(r"[-a-zA-Z0-9_:]+")
names = st.text(max_size=70) | st.sampled_from(
    ["Sales 2024", "sales-2024", "SALES_2024", "", "/", "…", "@recent"]
)
folders = st.dictionaries(st.text(max_size=20), names, max_size=12)


def slugs(named: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for folder_id, name in named.items():
        found[folder_id] = slug(folder_id, name, found.values())
    return found


@given(folders)
def test_slugs_are_unique_in_any_case_and_need_no_quotes(named: dict[str, str]) -> None:
    found = slugs(named)

    assert len({each.lower() for each in found.values()}) == len(named)
    for each in found.values():
        assert UNQUOTED.fullmatch(each)
        assert each != RECENT
        key = partition_key("grant", each)
        assert is_partition_key(key, "grant")
        assert split(key) == ("grant", each)


@given(folders)
def test_the_same_folders_get_the_same_slugs_again(named: dict[str, str]) -> None:
    assert slugs(named) == slugs(dict(named))


@given(folders, st.text(max_size=20), names)
def test_a_new_folder_takes_no_other_ones_slug(named: dict[str, str], folder_id: str, name: str) -> None:
    found = slugs({key: value for key, value in named.items() if key != folder_id})
    new = slug(folder_id, name, found.values())

    assert new.lower() not in {each.lower() for each in found.values()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("INBOX", "INBOX"),
        ("Entwürfe", "Entwurfe"),
        ("[Gmail]/All Mail", "Gmail-All-Mail"),
        ('He said "hi", twice', "He-said-hi-twice"),
        ("100% + #1?", "100-1"),
        ("a_b:c-d", "a_b:c-d"),
        ("x" * 60, "x" * 48),
        ("x" * 47 + " y", "x" * 47),
    ],
)
def test_a_slug_reads_like_its_folder(name: str, expected: str) -> None:
    assert slug("id", name, ()) == expected


def test_a_name_with_nothing_to_read_is_told_by_its_id() -> None:
    one, other = slug("id-1", "送信済み", ()), slug("id-2", "📬", ())

    assert re.fullmatch(r"folder-[0-9a-f]{6}", one)
    assert one != other


def test_a_taken_slug_grows_by_the_folders_own_digest() -> None:
    first = slug("id-1", "Sales 2024", {"sales-2024"})

    assert re.fullmatch(r"Sales-2024-[0-9a-f]{6}", first)
    assert re.fullmatch(r"Sales-2024-[0-9a-f]{12}", slug("id-1", "Sales 2024", {"sales-2024", first.upper()}))


@pytest.mark.parametrize(
    "text", ["", "/", "g/", "/s", "g/s/t", "a b", "ü", "g/s\n", "g\n", "*", "g/*", '"g"', "a+b"]
)
def test_other_texts_are_no_partition_keys(text: str) -> None:
    assert not is_partition_key(text, split(text)[0])


@pytest.mark.parametrize("key", ["6c5d7f0e-1", "g/INBOX", "g/@recent", "a_b:c@d/e"])
def test_these_are(key: str) -> None:
    assert is_partition_key(key, split(key)[0])


@pytest.mark.parametrize("grant_id", ["a/b", "a/", "/b", "/"])
def test_a_grant_whose_id_has_a_slash_has_no_partition_key(grant_id: str) -> None:
    for key in (partition_key(grant_id), partition_key(grant_id, RECENT)):
        assert not is_partition_key(key, grant_id)


def test_a_key_without_a_slug_is_the_grants() -> None:
    assert split("g") == ("g", None)
    assert partition_key("g") == "g"
    assert split(partition_key("g", RECENT)) == ("g", "@recent")
