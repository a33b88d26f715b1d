"""The writing end of the lake: transactions that are durable, whole and alone."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mail_pipeline.disk import disk_errors
from mail_pipeline.lake import schema
from mail_pipeline.lake.connection import CATALOG, attach, open_duckdb, tables_path
from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.lake.migrations import migrate
from mail_pipeline.lake.options import set_options
from mail_pipeline.lake.transaction import Parameters, Transaction, registered, table_files

_BATCH = 10_000


class Lake:
    """A lake open for writing; its methods may be called from several threads."""

    def __init__(self, data: Path) -> None:
        """Open the lake of a data folder, making it or bringing it to this version where needed.

        Raises StopRun where the folder cannot be written or a newer version has written it.
        """
        self.data = data
        self._mutex = threading.Lock()
        with disk_errors(data):
            tables_path(data).mkdir(parents=True, exist_ok=True)
            self._lock = WriteLock(data / "lake" / "write.lock")
            with self._lock.held(), ExitStack() as failed:
                self._connection = failed.enter_context(open_duckdb())
                # More would only take turns with the threads that fetch; it costs a fifth more CPU.
                self._connection.execute("SET threads = 1")
                # A writer hardly reads a file again, and these would take up to most of the memory.
                self._connection.execute("SET enable_external_file_cache = false")
                # Small rows in the catalog would need a flush that races with readers.
                self._connection.execute("SET ducklake_default_data_inlining_row_limit = 0")
                attach(self._connection, data, read_only=False)
                self._synced = set(table_files(tables_path(data), schema.STORED))
                migrate(self._connection, self._new_transaction)
                set_options(self._connection)
                failed.pop_all()

    def close(self) -> None:
        """Let go of the lake."""
        self._connection.close()

    def __enter__(self) -> "Lake":
        """Return the lake itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def column(self, statement: str, parameters: Parameters = (), **inputs: pa.Table) -> Iterator[Any]:
        """Run a query on the newest snapshot and yield the values of its one column.

        The query may name each of the `inputs` once, as a table.
        """
        with self._reader() as cursor, registered(cursor, inputs):
            cursor.execute(statement, parameters)
            while batch := cursor.fetchmany(_BATCH):
                yield from (value for (value,) in batch)

    def table(self, statement: str, parameters: Parameters = (), **inputs: pa.Table) -> pa.Table:
        """Run a query on the newest snapshot and return its rows as an Arrow table.

        The query may name each of the `inputs` once, as a table.
        """
        with self._reader() as cursor, registered(cursor, inputs):
            return cursor.execute(statement, parameters).to_arrow_table()

    @contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # A connection of its own, so that reading and a commit under way do not wait for each other.
        with disk_errors(self.data), self._connection.cursor() as cursor:
            cursor.execute(f"USE {CATALOG}")
            yield cursor

    def call(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run one statement of upkeep under the write lock and return its rows."""
        with self.locked():
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Write several tables at once: all of it is durable when the block ends, or none of it is there.

        Holds the write lock throughout. An exception from the block rolls back. Raises StopRun when the
        disk is full or read-only.
        """
        with self.locked(), self._new_transaction() as transaction:
            yield transaction

    def _new_transaction(self) -> Transaction:
        return Transaction(self._connection, tables_path(self.data), self._synced)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the write lock without a transaction; not re-entrant. Classes what the disk may answer."""
        # The file lock keeps out other processes, the mutex other threads of this one.
        with disk_errors(self.data), self._mutex, self._lock.held():
            yield
