from pathlib import Path

import duckdb
import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake import schema
from mail_pipeline.lake.attachment_tables import ATTACHMENT_TABLES
from mail_pipeline.lake.connection import attach, connect, open_duckdb
from mail_pipeline.lake.migrations import migrate, version_of
from mail_pipeline.lake.stream_tables import STREAM_TABLES
from mail_pipeline.lake.writer import Lake

WIDER = "ALTER TABLE dead_letters ADD COLUMN colour VARCHAR"


def bring(lake: Lake, target: int, steps: dict[int, list[str]]) -> None:
    """Migrate as opening the lake does, to a version of the test's own."""
    with lake.locked():
        migrate(lake._connection, lake._new_transaction, target=target, steps=steps)


def columns(data: Path) -> list[str]:
    with connect(data) as connection:
        return [name for name, *_ in connection.execute("DESCRIBE dead_letters").fetchall()]


def test_a_new_lake_has_this_programs_version(data: Path):
    with connect(data) as connection:
        assert version_of(connection) == schema.VERSION


def test_opening_a_lake_again_changes_nothing(data: Path):
    with connect(data) as connection:
        before = connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone()
    Lake(data).close()
    with connect(data) as connection:
        assert connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone() == before


def test_an_older_lake_is_brought_up_step_by_step(lake: Lake):
    now = schema.VERSION
    bring(lake, now + 2, {now + 1: [WIDER], now + 2: [WIDER.replace("colour", "weight")]})
    assert columns(lake.data)[-2:] == ["colour", "weight"]
    versions = list(lake.column("SELECT version FROM schema_versions ORDER BY version"))
    assert versions == [now, now + 1, now + 2]


def test_a_step_that_fails_leaves_the_version_before_it_whole(lake: Lake):
    now = schema.VERSION
    steps = {now + 1: [WIDER], now + 2: [WIDER.replace("colour", "weight"), "SELECT no_such_column"]}
    with pytest.raises(duckdb.Error, match="no_such_column"):
        bring(lake, now + 2, steps)
    assert columns(lake.data)[-1] == "colour"
    with connect(lake.data) as connection:
        assert version_of(connection) == now + 1


def test_a_lake_of_a_newer_version_is_refused_and_left_alone(data: Path):
    with Lake(data) as lake:
        bring(lake, schema.VERSION + 1, {schema.VERSION + 1: []})
    with pytest.raises(
        StopRun, match=r"newer mail_pipeline: its schema version is \d+.*Update mail_pipeline"
    ):
        Lake(data)
    with connect(data) as connection:
        assert version_of(connection) == schema.VERSION + 1


LIVE = ("notifications", "fetches", "written_beside", "webhooks", "gaps", "reconciliations")


def shape(data: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of every table and view, in order."""
    with connect(data) as connection:
        return {
            name: [(column, kind) for column, kind, *_ in connection.execute(f"DESCRIBE {name}").fetchall()]
            for name in schema.TABLES
        }


def make_first_version(data: Path) -> None:
    """Turn an empty lake into one as the first version made it, with a message in it."""
    with open_duckdb() as connection:
        attach(connection, data, read_only=False)
        for name in LIVE:
            connection.execute(f"DROP TABLE {name}")
        for table in (*ATTACHMENT_TABLES, *STREAM_TABLES):
            connection.execute(f"DROP TABLE {table.name}")
        connection.execute("ALTER TABLE checkpoints RENAME COLUMN scope TO folder_id")
        connection.execute("ALTER TABLE all_grants DROP COLUMN streams_off")
        connection.execute("ALTER TABLE all_folders DROP COLUMN excluded")
        for name in (
            "subset",
            "adding",
            "stream",
            *(f"planned_{what}" for what in ("messages", "pages", "units", "seconds")),
        ):
            connection.execute(f"ALTER TABLE checkpoints DROP COLUMN {name}")
        connection.execute("ALTER TABLE all_messages DROP COLUMN remains")
        connection.execute("INSERT INTO all_messages (grant_id, id, subject) VALUES ('g', 'm', 'Old')")
        connection.execute("UPDATE schema_versions SET version = 1")


def test_a_lake_of_the_first_version_becomes_one_of_the_newest_with_all_that_is_in_it(data: Path):
    new = shape(data)
    make_first_version(data)
    with connect(data) as connection:
        assert version_of(connection) == 1

    with Lake(data) as lake:
        assert list(lake.column("SELECT version FROM schema_versions ORDER BY version")) == [1, 2, 3]
        assert list(lake.column("SELECT subject FROM messages")) == ["Old"]
        assert [each for name in LIVE for each in lake.column(f"SELECT count(*) FROM {name}")] == [0] * 6

    # Rows are appended by position, so the order of the columns counts.
    assert shape(data) == new
