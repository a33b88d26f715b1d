"""The writing end of the lake: transactions that are durable, whole and alone."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mail_pipeline.lake import schema
from mail_pipeline.lake.connection import CATALOG, attach, catalog_path, open_duckdb, tables_path
from mail_pipeline.lake.disk import disk_errors
from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.lake.migrations import migrate

_BATCH = 10_000

Parameters = Sequence[object] | Mapping[str, object]


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
            with self._lock.held():
                self._connection = open_duckdb()
                # Small rows in the catalog would need a flush that races with readers.
                self._connection.execute("SET ducklake_default_data_inlining_row_limit = 0")
                fresh = not catalog_path(data).exists()
                attach(self._connection, data, read_only=False)
                if fresh:
                    self._connection.execute("CALL lake.set_option('parquet_compression', 'zstd')")
                    self._connection.execute("CALL lake.set_option('data_inlining_row_limit', 0)")
                migrate(self._connection)

    def close(self) -> None:
        """Let go of the lake."""
        self._connection.close()

    def __enter__(self) -> "Lake":
        """Return the lake itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def column(self, statement: str, parameters: Parameters = ()) -> Iterator[Any]:
        """Run a query on the newest snapshot and yield the values of its one column."""
        with self._reader() as cursor:
            cursor.execute(statement, parameters)
            while batch := cursor.fetchmany(_BATCH):
                yield from (value for (value,) in batch)

    def table(self, statement: str, parameters: Parameters = (), **inputs: pa.Table) -> pa.Table:
        """Run a query on the newest snapshot and return its rows as an Arrow table.

        The query may name the `inputs` as tables.
        """
        with self._reader() as cursor, registered(cursor, inputs):
            return cursor.execute(statement, parameters).to_arrow_table()

    @contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # A connection of its own, so that reading and a commit under way do not wait for each other.
        with self._connection.cursor() as cursor:
            cursor.execute(f"USE {CATALOG}")
            yield cursor

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Write several tables at once: all of it is durable when the block ends, or none of it is there.

        Holds the write lock throughout. An exception from the block rolls back. Raises StopRun when the
        disk is full or read-only.
        """
        with self.locked():
            transaction = Transaction(self._connection, tables_path(self.data))
            transaction.begin()
            try:
                yield transaction
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the write lock without a transaction; not re-entrant. Classes what the disk may answer."""
        # The file lock keeps out other processes, the mutex other threads of this one.
        with disk_errors(self.data), self._mutex, self._lock.held():
            yield


class Transaction:
    """What can be done between BEGIN and COMMIT."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Path) -> None:
        """Take the connection, and the folder in which each table has a folder of files."""
        self._connection = connection
        self._folders = [tables / "main" / table.name for table in schema.STORED]
        self._before: set[str] = set()

    def begin(self) -> None:
        """Start, and note which files are there already."""
        self._before = set(self._files())
        self._connection.execute("BEGIN")

    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows whose columns stand in the table's own order."""
        if rows.num_rows:
            with registered(self._connection, {"incoming": rows}):
                self._connection.execute(f"INSERT INTO {schema.TABLES[table].name} SELECT * FROM incoming")

    def delete(self, table: str, keys: pa.Table) -> None:
        """Delete the rows whose columns, those that `keys` has, equal a row of `keys`."""
        if keys.num_rows:
            match = " AND ".join(f"t.{name} = k.{name}" for name in keys.column_names)
            with registered(self._connection, {"gone": keys}):
                self._connection.execute(
                    f"DELETE FROM {schema.TABLES[table].name} t USING gone k WHERE {match}"
                )

    def matching(self, table: str, keys: pa.Table) -> pa.Table:
        """Return the rows whose columns, those that `keys` has, equal a row of `keys`."""
        match = ", ".join(keys.column_names)
        with registered(self._connection, {"wanted": keys}):
            return self._connection.execute(
                f"SELECT * FROM {schema.TABLES[table].name} SEMI JOIN wanted USING ({match})"
            ).to_arrow_table()

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a statement inside the transaction and return its rows."""
        return self._connection.execute(statement, parameters).fetchall()

    def commit(self) -> None:
        """Make everything durable: first the files, which DuckDB does not sync itself, then the catalog."""
        touched = set()
        for path in set(self._files()) - self._before:
            _sync(path)
            touched.add(str(Path(path).parent))
        for folder in touched:
            _sync(folder)
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo everything; the files written so far are swept up by upkeep."""
        # A failed COMMIT has already ended the transaction.
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            return

    def _files(self) -> Iterator[str]:
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    yield from (entry.path for entry in entries)
            except FileNotFoundError:
                continue


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, pa.Table]) -> Iterator[None]:
    """Let statements name Arrow tables for the length of the block."""
    for name, rows in inputs.items():
        connection.register(name, rows)
    try:
        yield
    finally:
        for name in inputs:
            connection.unregister(name)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
