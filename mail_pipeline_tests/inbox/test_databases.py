"""Whatever a server's defaults are, a commit waits for the disk, and no lock is waited for without end."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mail_pipeline.errors import RetryLater
from mail_pipeline.inbox.databases import open_database
from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.settings import Settings
from mail_pipeline_tests.inbox.conftest import Postgres

psycopg = pytest.importorskip("psycopg", reason="Postgres' driver is not installed")

SYNCHRONOUS_FULL = 2


def test_sqlite_syncs_its_log_at_every_commit(tmp_path: Path):
    engine = open_database(None, tmp_path)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA synchronous")) == SYNCHRONOUS_FULL
    engine.dispose()


@pytest.mark.parametrize(("default", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_postgres_waits_for_the_disk_even_where_its_default_is_not_to(
    postgres: Postgres, tmp_path: Path, default: str, used: str
):
    url = postgres.new_database(tmp_path.name)
    engine = open_database(f"{url}&options=-c%20synchronous_commit={default}", tmp_path)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == used
    engine.dispose()


def test_a_table_that_is_locked_is_not_waited_for_without_end(postgres: Postgres, tmp_path: Path):
    url = postgres.new_database(tmp_path.name)
    with Landing.open(Settings(database_url=url)) as landing, psycopg.connect(url) as locking:
        locking.execute("LOCK TABLE notifications IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RetryLater):
            landing.store([Delivery(1.0, {}, b"")])
        locking.rollback()
        landing.store([Delivery(1.0, {}, b"")])

        assert landing.count() == 1
