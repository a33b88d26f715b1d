"""The log of the landing table is copied little by little, and does not grow without end, whoever reads."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from mail_pipeline.inbox.databases import open_database
from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.inbox.wal import WalCopier
from mail_pipeline.settings import Settings

MB = 2**20


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(None, tmp_path)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bodies (body BLOB)")
    yield engine
    engine.dispose()


def store(engine: sa.Engine, megabytes: int) -> int:
    """Commit so much; return how many bytes that was."""
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO bodies VALUES (?)", (bytes(megabytes * MB),))
    return megabytes * MB


def test_the_log_begins_anew_while_much_is_stored(tmp_path: Path):
    group = [Delivery(1.0, {}, bytes(MB))] * 4
    with Landing.open(Settings(data=tmp_path)) as landing:
        for _ in range(100):
            landing.store(group)
        log = (tmp_path / "inbox.sqlite-wal").stat().st_size

        assert landing.count() == 400
    assert log < 160 * MB
    assert (tmp_path / "inbox.sqlite").stat().st_size > 400 * MB


def test_a_few_megabytes_are_copied_long_before_the_log_is_full(engine: sa.Engine, tmp_path: Path):
    copier = WalCopier(engine)
    for _ in range(4):
        copier.stored(store(engine, 1))
    copier.close()

    copied = (tmp_path / "inbox.sqlite").stat().st_size
    assert 2 * MB < copied < 5 * MB


def test_a_reader_keeps_the_log_from_beginning_anew_only_while_it_reads(engine: sa.Engine, tmp_path: Path):
    log = tmp_path / "inbox.sqlite-wal"
    copier = WalCopier(engine)
    for _ in range(3):
        store(engine, 1)
    with engine.connect() as reader, closing(reader.exec_driver_sql("SELECT body FROM bodies")) as bodies:
        bodies.fetchone()
        for _ in range(20):
            copier.stored(store(engine, 8))
        grown = log.stat().st_size
        assert grown > 160 * MB

    for _ in range(40):
        copier.stored(store(engine, 8))
    copier.close()

    assert log.stat().st_size < grown + 100 * MB


def test_a_copy_that_fails_is_told_and_stops_nobody(
    engine: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    copier = WalCopier(engine)
    size = store(engine, 4)
    engine.dispose()
    (tmp_path / "inbox.sqlite").write_bytes(b"not a database" * 1_000)
    copier.stored(size)
    copier.close()

    [record] = caplog.records
    assert record.getMessage() == "The log of the landing table was not brought in (DatabaseError)"
