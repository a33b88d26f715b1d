"""A SQLite file that is new to everybody is opened by all who come at once."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from filelock import FileLock

from mail_pipeline.sqlite_files import sqlite_engine

AT_ONCE = 8
FILES = 100
"""Without turns, one in about 40 of such new files refused somebody."""
SYNCHRONOUS_FULL = 2


def test_a_new_file_refuses_nobody(tmp_path: Path) -> None:
    start = threading.Barrier(AT_ONCE)
    failures: list[BaseException] = []

    def open_all() -> None:
        for number in range(FILES):
            engine = sqlite_engine(tmp_path / f"{number}.sqlite", busy_seconds=30)
            start.wait()
            try:
                with engine.begin() as connection:
                    connection.execute(sa.text("CREATE TABLE IF NOT EXISTS things (thing)"))
            except sa.exc.SQLAlchemyError as error:
                failures.append(error)
            engine.dispose()

    threads = [threading.Thread(target=open_all) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_commit_waits_for_the_disk_and_not_for_readers(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "file.sqlite", busy_seconds=0)
    with engine.begin() as writer:
        writer.execute(sa.text("CREATE TABLE things (thing)"))
        assert writer.scalar(sa.text("PRAGMA synchronous")) == SYNCHRONOUS_FULL
    with engine.begin() as reader:
        assert reader.scalar(sa.text("SELECT count(*) FROM things")) == 0
        with engine.begin() as writer:
            writer.execute(sa.text("INSERT INTO things VALUES (1)"))
    engine.dispose()


def test_a_turn_that_does_not_come_is_a_locked_database(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    engine = sqlite_engine(path, busy_seconds=0)
    with (
        FileLock(f"{path}.lock"),
        pytest.raises(sa.exc.OperationalError, match="database is locked"),
        engine.connect(),
    ):
        pass


def test_pragmas_shape_the_new_file(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "file.sqlite", busy_seconds=0, pragmas={"page_size": 8_192})
    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA page_size")) == 8_192
    engine.dispose()


def test_errors_do_not_show_values(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "file.sqlite", busy_seconds=0)
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError) as caught:
        connection.execute(sa.text("INSERT INTO things VALUES (:thing)"), {"thing": "Dear Ann"})
    engine.dispose()
    assert "Dear Ann" not in str(caught.value)
