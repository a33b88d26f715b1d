"""Ids once taken in are never called new."""

from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.sync.seen import SeenIds


@given(st.lists(st.lists(st.text(max_size=5))))
def test_no_id_taken_in_is_denied(batches: list[list[str]]) -> None:
    seen = SeenIds()
    for batch in batches:
        seen.add(batch)
        assert all(identity in seen for identity in batch)

    assert all(identity in seen for batch in batches for identity in batch)
    together = [identity for batch in batches for identity in batch]
    assert seen.among(together) == set(together)


def test_those_never_taken_in_are_told_from_the_others_at_once() -> None:
    seen = SeenIds()
    seen.add(f"message-{number}" for number in range(10_000))
    seen.add(["late"])

    assert seen.among(["message-3", "other", "late", "message-9999"]) == {"message-3", "late", "message-9999"}
    assert seen.among([]) == set()


def test_an_empty_set_denies() -> None:
    assert "a" not in SeenIds()


def test_a_hundred_thousand_ids_are_known_and_as_many_others_are_not() -> None:
    seen = SeenIds()
    ids = [f"message-{number}" for number in range(100_000)]
    seen.add(iter(ids[:50_000]))
    for start in range(50_000, 100_000, 200):
        seen.add(ids[start : start + 200])

    assert all(identity in seen for identity in ids)
    assert not any(f"other-{number}" in seen for number in range(100_000))
