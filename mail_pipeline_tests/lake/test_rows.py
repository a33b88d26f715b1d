"""Rows go into the lake by column, with their times, and what is read goes back in as it was."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.lake.rows import arrow_table, table_of, unix_seconds
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.sync.dead_letters import dead_letter_row
from mail_pipeline.sync.records import DeadLetter

LETTER = DeadLetter("message", "m", "date: expected unix seconds, got text", "{}")
MOMENTS = st.integers(-(2**31), 2**33)


def observed_at(*moments: object) -> list[datetime | None]:
    rows = [(*dead_letter_row(LETTER, 0, "g", "p")[:-1], moment) for moment in moments]
    column: list[datetime | None] = arrow_table("dead_letters", rows)["observed_at"].to_pylist()
    return column


@given(st.lists(st.none() | MOMENTS))
def test_whole_seconds_become_times(moments: list[int | None]) -> None:
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [None if moment is None else begin + timedelta(seconds=moment) for moment in moments]
    assert observed_at(*moments) == expected


@given(st.integers(0, 2**52))
def test_a_time_keeps_its_microseconds(microseconds: int) -> None:
    [found] = observed_at(microseconds / 1_000_000)
    assert found == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))))
def test_a_time_that_was_read_goes_back_in_beside_seconds(there: datetime) -> None:
    assert observed_at(there, 0) == [there, datetime(1970, 1, 1, tzinfo=UTC)]


def test_a_time_that_was_read_becomes_seconds_and_all_else_stays() -> None:
    assert unix_seconds(datetime(1970, 1, 2, microsecond=999_999, tzinfo=UTC)) == 86_400
    assert [unix_seconds(value) for value in (None, 7, "text", True)] == [None, 7, "text", True]


def test_rows_by_name_go_to_the_columns_of_their_names() -> None:
    names = TABLES["dead_letters"].column_names
    row = dict(zip(names, dead_letter_row(LETTER, 5, "g", "p"), strict=True))
    shuffled = dict(reversed(row.items()))
    assert table_of("dead_letters", [shuffled]).equals(arrow_table("dead_letters", [tuple(row.values())]))
    assert (row["grant_id"], row["partition_key"], row["object_id"], row["observed_at"]) == ("g", "p", "m", 5)


def test_a_row_without_one_of_the_columns_is_refused() -> None:
    with pytest.raises(KeyError, match="partition_key"):
        table_of("dead_letters", [{"grant_id": "g"}])


def test_no_rows_are_an_empty_table_with_all_columns() -> None:
    for name, table in TABLES.items():
        if table.select is None:
            assert arrow_table(name, []).equals(table_of(name, []))
            assert arrow_table(name, []).schema == table.arrow
