"""DuckDB connections to the lake: the writer's, and the one people query with."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb

from mail_pipeline.disk import disk_errors
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.extensions import EXTENSIONS, extension_file, is_as_installed

CATALOG = "lake"
"""Name under which the lake is attached."""

_BUSY_TIMEOUT_MS = 30_000
_READY = "SELECT version FROM schema_versions LIMIT 0"


def catalog_path(data: Path) -> Path:
    """Return where the catalog of a data folder lies."""
    return data / "lake" / "catalog.sqlite"


def tables_path(data: Path) -> Path:
    """Return the folder that holds the Parquet files of a data folder."""
    return data / "lake" / "tables"


def connect(data: str | Path) -> duckdb.DuckDBPyConnection:
    """Open the lake of a data folder for reading, beside any number of writers.

    Every statement sees one consistent snapshot. Nothing is downloaded. Raises StopRun, naming the folder,
    where there is no lake.
    """
    folder = Path(data)
    if not catalog_path(folder).exists():
        raise _no_lake(folder)
    with ExitStack() as failed:
        connection = failed.enter_context(open_duckdb())
        try:
            with disk_errors(folder):
                attach(connection, folder, read_only=True)
                connection.execute(_READY)
        except (duckdb.CatalogException, duckdb.InvalidInputException) as error:
            # Its first writer has not come further yet.
            raise _no_lake(folder) from error
        failed.pop_all()
    return connection


def require_lake(data: Path) -> None:
    """Raise StopRun where a data folder has no lake: opening one for writing would make it."""
    connect(data).close()


def open_duckdb() -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the lake's extensions, from their wheels and nowhere else.

    DuckDB checks the signature of an extension that is not, byte for byte, what its wheel brought.
    """
    files = {name: extension_file(name) for name in EXTENSIONS}
    trusted = all(is_as_installed(name, file) for name, file in files.items())
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_unsigned_extensions": str(trusted).lower(),
        }
    )
    for file in files.values():
        connection.load_extension(str(file))
    # DuckDB lets nobody switch it on again.
    connection.execute("SET allow_unsigned_extensions = false")
    connection.execute("SET TimeZone = 'UTC'")
    # In a notebook without ipywidgets the bar is off, and even switching it off is refused.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (True,):
        connection.execute("SET enable_progress_bar = false")
    # Else a scan of the catalog goes by ranges of row ids, looked up before, and loses the rows that a commit
    # in between has replaced: deleted rows would come back for the length of a statement.
    connection.execute("SET GLOBAL sqlite_disable_multithreaded_scans = true")
    return connection


def records(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of what was executed last, each by the names of its columns."""
    names = [name for name, *_ in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def attach(connection: duckdb.DuckDBPyConnection, data: Path, *, read_only: bool) -> None:
    """Attach the lake of a data folder and make it the default catalog."""
    options = [
        "READ_ONLY" if read_only else "META_JOURNAL_MODE 'WAL'",
        f"META_BUSY_TIMEOUT {_BUSY_TIMEOUT_MS}",
        # The catalog remembers where it was made; the folder may have been moved since.
        f"DATA_PATH '{_quoted(tables_path(data))}/'",
        "OVERRIDE_DATA_PATH true",
    ]
    # ATTACH takes no parameters; the path is ours, quoted.
    connection.execute(
        f"ATTACH 'ducklake:sqlite:{_quoted(catalog_path(data))}' AS {CATALOG} ({', '.join(options)})"
    )
    connection.execute(f"USE {CATALOG}")


def _no_lake(folder: Path) -> StopRun:
    return StopRun(
        f"There is no lake in {folder.resolve()}",
        next_step="Run `mail-pipeline demo` or `mail-pipeline backfill --all` first, "
        "or set MAIL_PIPELINE_DATA to the folder that has one.",
    )


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
