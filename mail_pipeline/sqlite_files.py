"""SQLite files that several threads and processes open at once."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine.interfaces import DBAPIConnection

_NO_PRAGMAS: Mapping[str, int] = MappingProxyType({})
_POLL_SECONDS = 0.005


def sqlite_engine(path: Path, *, busy_seconds: float, pragmas: Mapping[str, int] = _NO_PRAGMAS) -> sa.Engine:
    """Return an engine for a file in write-ahead mode, where a commit waits for the disk.

    A lock is waited for so long. The `pragmas` are set on each connection, before the file is made. Errors
    never show the values of a statement.
    """
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_seconds},
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value:d}")
        try:
            # SQLite refuses this at once, whatever timeout it has, where another connection looks at the new
            # file in the same moment.
            with FileLock(f"{path}.lock", timeout=busy_seconds, poll_interval=_POLL_SECONDS):
                cursor.execute("PRAGMA journal_mode = WAL")
        except Timeout:
            raise sqlite3.OperationalError("database is locked") from None
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    return engine
