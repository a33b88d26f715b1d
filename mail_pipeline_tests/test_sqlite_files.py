"""A SQLite file that is new to everybody is opened by all who come at once."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from mail_pipeline.sqlite_files import write_ahead

AT_ONCE = 8
FILES = 100
"""Without turns, one in about 40 of such new files refused somebody."""
SYNCHRONOUS_FULL = 2


def test_a_new_file_refuses_nobody(tmp_path: Path) -> None:
    start = threading.Barrier(AT_ONCE)
    failures: list[BaseException] = []

    def open_all() -> None:
        for number in range(FILES):
            path = tmp_path / f"{number}.sqlite"
            start.wait()
            try:
                with closing(sqlite3.connect(path, timeout=30)) as connection:
                    write_ahead(connection, path, wait=30)
                    connection.execute("CREATE TABLE IF NOT EXISTS things (thing)")
            except sqlite3.Error as error:
                failures.append(error)

    threads = [threading.Thread(target=open_all) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_commit_waits_for_the_disk_and_not_for_readers(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
        write_ahead(writer, path, wait=0)
        writer.execute("CREATE TABLE things (thing)")
        reading = reader.execute("SELECT name FROM sqlite_schema")
        with writer:
            writer.execute("INSERT INTO things VALUES (1)")

        assert writer.execute("PRAGMA synchronous").fetchone() == (SYNCHRONOUS_FULL,)
        assert reading.fetchall() == [("things",)]


def test_a_turn_that_does_not_come_is_a_locked_database(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    with FileLock(f"{path}.lock"), closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            write_ahead(connection, path, wait=0)
