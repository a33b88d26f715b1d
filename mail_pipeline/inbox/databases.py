"""The databases notifications land in, SQLite or Postgres, and what their errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from mail_pipeline.disk import database_error, disk_errors
from mail_pipeline.errors import MailPipelineError, RetryLater, StopRun
from mail_pipeline.sqlite_files import sqlite_engine

_BUSY_SECONDS = 4.0
"""How long a lock is waited for. Whoever arrives while one commit waits waits for the next one
too, and Nylas hangs up after 10 seconds."""
_CONNECT_SECONDS = 4
_CHECKPOINT_PAGES = 16_384
"""128 MB, for when `WalCopier` cannot keep up; SQLite then makes a commit do it."""
_PAGE_BYTES = 8_192
"""Bodies are around 11 KB: fewer pages for each than with SQLite's own 4,096."""


def open_database(database_url: str | None, data: Path) -> sa.Engine:
    """Return an engine for Postgres where there is an address, else for `<data>/inbox.sqlite`.

    Its errors never show the values of a statement. Raises StopRun where the address cannot be right or the
    driver is missing.
    """
    return _sqlite(data / "inbox.sqlite") if database_url is None else _postgres(database_url)


@contextmanager
def database_errors(data: Path) -> Iterator[None]:
    """Turn what the database answers into errors that say the next step.

    RetryLater where it is locked or out of reach; StopRun where the disk or the file is at fault. Errors of
    another kind come as they are.
    """
    with disk_errors(data):
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise _classed(error, data) or error from error


def _classed(error: sa.exc.DBAPIError, data: Path) -> MailPipelineError | None:
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error.orig, sqlite3.Error):
        return _file_error(str(error.orig).lower(), data / "inbox.sqlite") or database_error(error.orig, data)
    if state == "53100":
        return StopRun(
            "The disk of the database that notifications land in is full; everything committed is safe",
            next_step="Free some space on the server of MAIL_PIPELINE_DATABASE_URL.",
        )
    if state in {"25006", "42501"}:
        return StopRun(
            "The database that notifications land in cannot be written",
            next_step="Let the user of MAIL_PIPELINE_DATABASE_URL create tables and write, on the primary.",
        )
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return RetryLater(
            "The database that notifications land in does not answer as it should "
            f"({type(error.orig).__name__}{f', {state}' if state else ''})",
            next_step="Check that the server of MAIL_PIPELINE_DATABASE_URL runs and lets this user in.",
        )
    return None


def _file_error(text: str, path: Path) -> MailPipelineError | None:
    if "not a database" in text or "malformed" in text:
        return StopRun(
            f"{path} is damaged, or is no SQLite file",
            next_step="Move it away, keep it, and start again: what was missed is found by `reconcile`.",
        )
    if "unable to open" in text:
        return StopRun(
            f"{path} cannot be opened",
            next_step="SQLite keeps its log beside it: give this user the right to write in that folder.",
        )
    if "locked" in text:
        return RetryLater(
            f"{path} is locked by another program",
            next_step="Close tools that have it open for writing; the work goes on by itself.",
        )
    return None


def _sqlite(path: Path) -> sa.Engine:
    engine = sqlite_engine(
        path,
        busy_seconds=_BUSY_SECONDS,
        pragmas={"page_size": _PAGE_BYTES, "wal_autocheckpoint": _CHECKPOINT_PAGES},
    )

    @sa.event.listens_for(engine, "connect")
    def _remember(_connection: DBAPIConnection, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info["file"] = path.stat().st_ino

    @sa.event.listens_for(engine, "commit")
    def _still_there(connection: sa.Connection) -> None:
        # SQLite goes on writing to a file that was moved or removed, and nobody would find what it writes.
        if not path.exists() or path.stat().st_ino != connection.info["file"]:
            raise RetryLater(
                f"{path} was moved or removed while it is in use",
                next_step="Put it back, or start the command again, which makes a new one.",
            )

    return engine


def _postgres(address: str) -> sa.Engine:
    try:
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(
            url,
            # A server that goes away without a word would otherwise hold every answer back.
            connect_args={"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": 1_000 * _CONNECT_SECONDS},
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except (sa.exc.ArgumentError, ValueError):
        raise StopRun(
            "MAIL_PIPELINE_DATABASE_URL cannot be read as an address",
            next_step="Write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters as %XX.",
        ) from None
    except ModuleNotFoundError:
        raise StopRun(
            "MAIL_PIPELINE_DATABASE_URL is set, and Postgres' driver is not installed",
            next_step="Install it: pip install 'mail-pipeline[postgres]'.",
        ) from None

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        # Other settings than `off` wait for the disk, or for even more.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_BUSY_SECONDS}s"])
        cursor.close()
        connection.commit()

    return engine
