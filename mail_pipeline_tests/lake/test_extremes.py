"""After rows are deleted for good every question finds what is left, and nothing tells of the others."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.lake.rows import table_of
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.upkeep import purge, upkeep
from mail_pipeline.lake.writer import Lake

EXTREMES = """
SELECT s.min_value, s.max_value
FROM ducklake_table_column_stats s
JOIN ducklake_column c USING (table_id, column_id)
JOIN ducklake_table t ON t.table_id = c.table_id
WHERE t.table_name = 'all_messages' AND c.column_name = ?
"""


def store(lake: Lake, messages: Sequence[dict[str, Any]]) -> None:
    with lake.transaction() as transaction:
        transaction.append("all_messages", table_of("all_messages", messages))


def message(grant: str, number: int, **fields: Any) -> dict[str, Any]:
    known = {"grant_id": grant, "id": f"{grant}{number}", "date": number, "observed_at": 1, **fields}
    return dict.fromkeys(TABLES["all_messages"].column_names) | known


def delete(lake: Lake, grant: str, numbers: Sequence[int]) -> None:
    keys = pa.table({"grant_id": [grant] * len(numbers), "id": [f"{grant}{number}" for number in numbers]})
    with lake.transaction() as transaction:
        transaction.delete("all_messages", keys)


def extremes(lake: Lake, column: str) -> tuple[str | None, str | None]:
    with closing(sqlite3.connect(catalog_path(lake.data))) as catalog:
        least, greatest = catalog.execute(EXTREMES, [column]).fetchone()
        return least, greatest


def found(lake: Lake, condition: str) -> int:
    with connect(lake.data) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {condition}").fetchone() or (0,)
        return int(count)


def test_what_was_stored_before_a_purge_is_found_after_the_next_commit(lake: Lake) -> None:
    store(lake, [message("a", number) for number in range(5)] + [message("c", number) for number in range(5)])
    store(lake, [message("b", number) for number in range(5)])
    delete(lake, "b", range(5))
    purge(lake)
    store(lake, [message("c", 9)])

    assert found(lake, "grant_id = 'a'") == 5
    assert found(lake, "grant_id = 'c'") == 6
    assert found(lake, "date < '1970-01-01 00:00:03'") == 6
    assert list(lake.column("SELECT count(*) FROM messages WHERE grant_id = 'a'")) == [5]


def test_the_catalog_tells_of_nothing_that_was_purged(lake: Lake) -> None:
    store(lake, [message("a", 1, subject="after"), message("m", 2, subject="middle")])
    store(lake, [message("z", 3, subject="zealous")])
    assert extremes(lake, "subject") == ("after", "zealous")
    delete(lake, "z", [3])
    delete(lake, "a", [1])
    purge(lake)
    assert extremes(lake, "subject") == ("middle", "middle")
    store(lake, [message("m", 4, subject="more")])
    assert extremes(lake, "subject") == ("middle", "more")


def test_a_table_that_was_emptied_has_none(lake: Lake) -> None:
    store(lake, [message("a", 1)])
    delete(lake, "a", [1])
    purge(lake)
    assert extremes(lake, "id") == (None, None)
    store(lake, [message("b", 2)])
    assert extremes(lake, "id") == ("b2", "b2")
    assert found(lake, "id = 'b2'") == 1


def test_a_lake_that_an_older_version_purged_is_mended_by_its_next_upkeep(lake: Lake) -> None:
    store(lake, [message("a", 1), message("c", 2)])
    with closing(sqlite3.connect(catalog_path(lake.data))) as catalog, catalog:
        catalog.execute("UPDATE ducklake_table_column_stats SET min_value = NULL, max_value = NULL")
    with Lake(lake.data) as after:
        store(after, [message("b", 3)])
        assert extremes(after, "grant_id") == ("b", "b")
        upkeep(after)
        assert extremes(after, "grant_id") == ("a", "c")
        assert found(after, "grant_id = 'a'") == 1


def test_a_snapshot_that_can_be_travelled_to_is_whole_after_upkeep(lake: Lake) -> None:
    store(lake, [message("a", 1)])
    store(lake, [message("z", 2)])
    past = next(lake.column("SELECT max(snapshot_id) FROM lake.snapshots()"))
    delete(lake, "z", [2])
    upkeep(lake)
    with connect(lake.data) as connection:
        then = f"SELECT id FROM all_messages AT (VERSION => {int(past)}) WHERE grant_id >= 'z'"
        assert connection.execute(then).fetchall() == [("z2",)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("body_bytes", [9, 10, 2**63 - 1, 2**63 - 2, None]),
        ("body_hash", [0, 9, 10, 2**64 - 1, 2**64 - 2]),
        ("unread", [True, False, None]),
        ("date", [0, 5, 86_400, 253_402_300_799]),
        ("subject", ["", "10", "9", "Z", "z", "é", "\U0001f600", None]),
    ],
)
def test_counted_anew_they_are_what_duckdb_counts(lake: Lake, column: str, values: list[Any]) -> None:
    for number, value in enumerate(values):
        store(lake, [message("a", number, **{column: value})])
    before = extremes(lake, column)
    assert None not in before
    upkeep(lake)
    assert extremes(lake, column) == before


@settings(max_examples=20, deadline=None)
@given(
    stored=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), unique=True, min_size=1),
    purged=st.sampled_from("abcd"),
    later=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(100, 199)), unique=True, min_size=1),
)
def test_every_mailbox_is_found_whatever_is_purged_between(
    tmp_path_factory: pytest.TempPathFactory,
    stored: list[tuple[str, int]],
    purged: str,
    later: list[tuple[str, int]],
) -> None:
    with Lake(tmp_path_factory.mktemp("lake")) as lake:
        store(lake, [message(grant, number) for grant, number in stored])
        delete(lake, purged, [number for grant, number in stored if grant == purged])
        purge(lake)
        store(lake, [message(grant, number) for grant, number in later])
        left = [key for key in stored if key[0] != purged] + later

        for grant in "abcd":
            assert found(lake, f"grant_id = '{grant}'") == len([key for key in left if key[0] == grant])
        for number in (0, 50, 100, 150):
            moment = datetime.fromtimestamp(number, UTC).isoformat()
            assert found(lake, f"date < '{moment}'") == len([key for key in left if key[1] < number])
