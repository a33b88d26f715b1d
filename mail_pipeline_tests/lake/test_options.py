"""A lake has all its options, wherever its first writer was killed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.lake.schema import MAIL_TABLES
from mail_pipeline.lake.writer import Lake

OPTIONS = "SELECT option_name, scope_entry, value FROM lake.options() ORDER BY ALL"


def options(data: Path) -> list[dict[str, str]]:
    with Lake(data) as lake:
        return lake.table(OPTIONS).to_pylist()


def catalog(data: Path, statement: str) -> int:
    with closing(sqlite3.connect(catalog_path(data))) as connection, connection:
        return connection.execute(statement).rowcount


def test_bodies_come_in_short_row_groups_and_commits_of_mail_are_not_sorted(tmp_path: Path) -> None:
    of_tables = {
        (each["scope_entry"], each["option_name"], each["value"])
        for each in options(tmp_path)
        if each["scope_entry"]
    }
    assert of_tables == {
        ("main.message_bodies", "parquet_row_group_size", "2048"),
        *((f"main.{table}", "sort_on_insert", "false") for table in MAIL_TABLES),
    }


@pytest.mark.parametrize(
    "lost",
    [
        "scope IS NOT NULL",
        "key = 'sort_on_insert' AND scope_id = (SELECT max(scope_id) FROM ducklake_metadata)",
        "key IN ('parquet_row_group_size', 'target_file_size')",
    ],
)
def test_options_that_were_not_set_before_a_kill_are_set_by_the_next_writer(
    tmp_path: Path, lost: str
) -> None:
    whole = options(tmp_path)
    assert catalog(tmp_path, f"DELETE FROM ducklake_metadata WHERE {lost}") > 0
    assert options(tmp_path) == whole


def test_an_option_that_somebody_changed_stays_so(tmp_path: Path) -> None:
    options(tmp_path)
    changed = "UPDATE ducklake_metadata SET value = '64000000' WHERE key = 'target_file_size'"
    assert catalog(tmp_path, changed) == 1
    assert "64000000" in {each["value"] for each in options(tmp_path)}
