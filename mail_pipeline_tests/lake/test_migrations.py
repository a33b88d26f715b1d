from pathlib import Path

import duckdb
import pytest

from mail_pipeline.addresses import canonical
from mail_pipeline.errors import StopRun
from mail_pipeline.lake import schema
from mail_pipeline.lake.attachment_tables import ATTACHMENT_TABLES
from mail_pipeline.lake.connection import attach, connect, open_duckdb
from mail_pipeline.lake.mart_tables import MART_TABLES
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


NEW_IN_3 = (*STREAM_TABLES, *ATTACHMENT_TABLES, *MART_TABLES)
BACK: dict[int, tuple[str, ...]] = {
    2: (
        *(f"DROP TABLE {table.name}" for table in NEW_IN_3),
        *(
            f"ALTER TABLE checkpoints DROP COLUMN {name}"
            for name in (
                *("subset", "adding", "stream"),
                *(f"planned_{what}" for what in ("messages", "pages", "units", "seconds")),
            )
        ),
        "ALTER TABLE all_grants DROP COLUMN streams_off",
        "ALTER TABLE all_folders DROP COLUMN excluded",
        "ALTER TABLE checkpoints RENAME COLUMN scope TO folder_id",
    ),
    3: ("ALTER TABLE checkpoints DROP COLUMN reached",),
    1: (*(f"DROP TABLE {name}" for name in LIVE), "ALTER TABLE all_messages DROP COLUMN remains"),
}
"""What makes a lake of each version out of one of the next."""


def make_older(data: Path, version: int) -> None:
    """Turn an empty lake into one as an older version made it, with a message and a checkpoint in it."""
    with open_duckdb() as connection:
        attach(connection, data, read_only=False)
        for view in schema.VIEWS:
            connection.execute(f"DROP VIEW {view.name}")
        for older in range(schema.VERSION - 1, version - 1, -1):
            for statement in BACK[older]:
                connection.execute(statement)
        connection.execute("INSERT INTO all_messages (grant_id, id, subject) VALUES ('g', 'm', 'Old')")
        for number, address in enumerate(OLD):
            connection.execute(
                "INSERT INTO message_participants VALUES ('g', 'm', 'to', ?, '', ?, ?, ?)",
                [number, address, address, address.rpartition("@")[2]],
            )
        checkpoint = {"partition_key": "g:F", "grant_id": "g", "version": 1}
        checkpoint |= {"folder_id": "F"} if version < 3 else {"scope": "F", "stream": "messages"}
        connection.execute(
            f"INSERT INTO checkpoints ({', '.join(checkpoint)}) VALUES ({', '.join('?' * len(checkpoint))})",
            list(checkpoint.values()),
        )
        connection.execute("UPDATE schema_versions SET version = ?", [version])


OLD = (
    "a.b+tag@gmail.com",
    "a.b@googlemail.com",
    "a.b+tag@example.org",
    "+tag@gmail.com",
    "ann+x@outlook.com",
)


@pytest.mark.parametrize("version", BACK)
def test_a_lake_of_an_older_version_becomes_one_of_this_with_all_that_is_in_it(data: Path, version: int):
    new = shape(data)
    make_older(data, version)
    with connect(data) as connection:
        assert version_of(connection) == version

    with Lake(data) as lake:
        passed = list(lake.column("SELECT version FROM schema_versions ORDER BY version"))
        assert passed == list(range(version, schema.VERSION + 1))
        assert list(lake.column("SELECT subject FROM messages")) == ["Old"]
        now = lake.table("SELECT address_canonical, domain FROM message_participants ORDER BY position")
        # From version 3 on they are stored in that form.
        told = [canonical(each) if version < 3 else (each, each.rpartition("@")[2]) for each in OLD]
        assert [tuple(row.values()) for row in now.to_pylist()] == told
        kept = lake.table("SELECT partition_key, scope, stream FROM checkpoints").to_pylist()
        assert kept == [{"partition_key": "g:F", "scope": "F", "stream": "messages"}]
        added = (*LIVE, *(table.name for table in NEW_IN_3))
        assert {count for name in added for count in lake.column(f"SELECT count(*) FROM {name}")} == {0}

    # Rows are appended by position, so the order of the columns counts.
    assert shape(data) == new
