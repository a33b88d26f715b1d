"""SQLite files that several threads and processes open at once."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine.interfaces import DBAPIConnection


_POLL_SECONDS = 0.005


def write_ahead(connection: DBAPIConnection, path: Path, *, wait: float) -> None:
    """Put a file whose connection was just opened into write-ahead mode, durable at each commit.

    SQLite refuses that at once, whatever timeout it has, where another connection is reading the new file: so
    each opens it in its turn, and waits up to `wait` seconds. Raises sqlite3.OperationalError as SQLite does.
    """
    cursor = connection.cursor()
    try:
        with FileLock(f"{path}.lock", timeout=wait, poll_interval=_POLL_SECONDS):
            cursor.execute("PRAGMA journal_mode = WAL")
    except Timeout:
        raise sqlite3.OperationalError("database is locked") from None
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
