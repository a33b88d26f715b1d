"""What can be done to the lake between BEGIN and COMMIT, and how that is made durable."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mail_pipeline.lake import schema
from mail_pipeline.lake.table import Table

Parameters = Sequence[object] | Mapping[str, object]


class Transaction:
    """A transaction as a `with` block: durable and whole when it ends, or nothing of it is there.

    The caller holds the write lock.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, synced: set[str]) -> None:
        """Take the connection, the folder of the tables' files, and the paths known to be on disk."""
        self._connection = connection
        self._folder = folder
        self._synced = synced
        self._touched: dict[str, Table] = {}

    def __enter__(self) -> "Transaction":
        """Begin."""
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit, or roll back after an exception."""
        if kind is not None:
            self._rollback()
            return
        try:
            self._commit()
        except BaseException:
            self._rollback()
            raise

    def append(self, table: str, rows: pa.Table) -> None:
        """Add rows whose columns stand in the table's own order."""
        if rows.num_rows:
            name = self._touch(table)
            with registered(self._connection, {"incoming": rows}):
                self._connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")

    def delete(self, table: str, keys: pa.Table) -> None:
        """Delete the rows whose columns, those that `keys` has, equal a row of `keys`."""
        if keys.num_rows:
            name = self._touch(table)
            match = " AND ".join(f"t.{column} = k.{column}" for column in keys.column_names)
            with registered(self._connection, {"gone": keys}):
                self._connection.execute(f"DELETE FROM {name} t USING gone k WHERE {match}")

    def matching(self, table: str, keys: pa.Table) -> pa.Table:
        """Return the rows whose columns, those that `keys` has, equal a row of `keys`."""
        match = ", ".join(keys.column_names)
        with registered(self._connection, {"wanted": keys}):
            return self._connection.execute(
                f"SELECT * FROM {schema.TABLES[table].name} SEMI JOIN wanted USING ({match})"
            ).to_arrow_table()

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Run a query inside the transaction and return its rows."""
        return self._connection.execute(statement, parameters).fetchall()

    def given(self, statement: str, parameters: Parameters = (), **inputs: pa.Table) -> list[tuple[Any, ...]]:
        """Run a query that names the `inputs` as tables, and return its rows."""
        with registered(self._connection, inputs):
            return self.rows(statement, parameters)

    def change(
        self, table: str, statement: str, parameters: Parameters = (), **inputs: pa.Table
    ) -> list[tuple[Any, ...]]:
        """Run a statement that writes files of one table and may name the `inputs`; return its rows."""
        self._touch(table)
        with registered(self._connection, inputs):
            return self.rows(statement, parameters)

    def _commit(self) -> None:
        # DuckDB does not sync the files it writes, so a COMMIT could outlive them in a power cut.
        written = set(table_files(self._folder, self._touched.values())) - self._synced
        for path in written:
            sync(path)
        folders = {str(Path(path).parent) for path in written}
        if folders - self._synced:
            # A table's first file makes its folder, whose name must last as well.
            folders |= {str(self._folder), str(self._folder / "main")}
        for folder in folders:
            sync(folder)
        self._connection.execute("COMMIT")
        self._synced |= written | folders

    def _rollback(self) -> None:
        # A failed COMMIT has already ended the transaction.
        with suppress(duckdb.TransactionException):
            self._connection.execute("ROLLBACK")

    def _touch(self, table: str) -> str:
        self._touched[table] = schema.TABLES[table]
        return self._touched[table].name


def table_files(folder: Path, tables: Iterable[Table]) -> Iterator[str]:
    """Yield the paths of the files of these tables, below the folder of all tables."""
    for table in tables:
        with suppress(FileNotFoundError), os.scandir(folder / "main" / table.name) as entries:
            yield from (entry.path for entry in entries)


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


def sync(path: str | Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
