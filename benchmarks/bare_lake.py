"""The shortest way into a DuckLake: a few columns of each message, ten pages a commit, and nothing else.

So this is what the lake itself costs. Nothing is validated, hashed, merged or leased, one mailbox is listed
from its top, and whoever kills it loses up to ten pages. Files are synced before a commit, like the engine's.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import requests

_PAGES = 10
_EXTENSIONS = ("ducklake", "sqlite_scanner")
_PEOPLE = ("from", "to", "cc", "bcc", "reply_to")
_TEXT: pa.DataType = pa.string()
_TABLES: dict[str, dict[str, pa.DataType]] = {
    "messages": {
        **dict.fromkeys(("grant_id", "id", "thread_id", "subject", "snippet"), _TEXT),
        "date": pa.int64(),
        **dict.fromkeys(("unread", "starred"), pa.bool_()),
        "folders": pa.list_(_TEXT),
    },
    "bodies": {"id": _TEXT, "body": _TEXT},
    "participants": dict.fromkeys(("message_id", "role", "name", "email"), _TEXT),
    "attachments": {
        **dict.fromkeys(("message_id", "id", "filename", "content_type"), _TEXT),
        "size": pa.int64(),
    },
    "cursors": {"grant_id": _TEXT, "cursor": _TEXT},
}


def backfill(address: str, folder: Path) -> int:
    """Store the first mailbox of the server in a new lake; return how many messages the lake holds."""
    with _lake(folder) as lake, requests.Session() as session:
        session.headers["Authorization"] = "Bearer benchmark"
        grant = orjson.loads(session.get(f"{address}/v3/grants", timeout=120).content)["data"][0]["id"]
        synced: set[Path] = set()
        for messages, cursor in _groups(session, f"{address}/v3/grants/{grant}/messages"):
            lake.execute("BEGIN")
            for name, rows in _rows(grant, messages, cursor).items():
                _append(lake, name, rows)
            new = set((folder / "tables").rglob("*.parquet")) - synced
            for file in new:
                _sync(file)
            lake.execute("COMMIT")
            synced |= new
        count = lake.execute("SELECT count(*) FROM messages").fetchone()
    return int(count[0]) if count else 0


def _lake(folder: Path) -> duckdb.DuckDBPyConnection:
    lake = duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": "1"})
    for name in _EXTENSIONS:
        folder_of_wheel = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
        lake.load_extension(str(folder_of_wheel / f"{name}.duckdb_extension"))
    lake.execute("SET ducklake_default_data_inlining_row_limit = 0")
    lake.execute(
        f"ATTACH 'ducklake:sqlite:{folder / 'catalog.sqlite'}' AS lake "
        f"(DATA_PATH '{folder / 'tables'}/', META_JOURNAL_MODE 'WAL')"
    )
    lake.execute("USE lake")
    lake.execute("CALL lake.set_option('parquet_compression', 'zstd')")
    lake.execute("CALL lake.set_option('parquet_compression_level', '1')")
    for name, columns in _TABLES.items():
        _given(lake, pa.schema(columns).empty_table(), f"CREATE TABLE {name} AS FROM given")
    return lake


def _groups(session: requests.Session, url: str) -> Iterator[tuple[list[Any], str | None]]:
    """Yield the messages of ten pages, or of what is left, and the cursor behind them."""
    messages: list[Any] = []
    parameters = {"limit": "200"}
    pages = 0
    while True:
        with session.get(url, params=parameters, timeout=120, stream=True) as answer:
            answer.raise_for_status()
            page = orjson.loads(answer.raw.read())
        messages += page["data"]
        pages += 1
        cursor = page.get("next_cursor")
        if cursor is None or pages % _PAGES == 0:
            yield messages, cursor
            messages = []
        if cursor is None:
            return
        parameters["page_token"] = cursor


def _rows(grant: str, messages: Sequence[Any], cursor: str | None) -> dict[str, list[tuple[Any, ...]]]:
    names = list(_TABLES["messages"])[1:]
    return {
        "messages": [(grant, *(each[name] for name in names)) for each in messages],
        "bodies": [(each["id"], each["body"]) for each in messages],
        "participants": [
            (each["id"], role, person["name"], person["email"])
            for each in messages
            for role in _PEOPLE
            for person in each[role]
        ],
        "attachments": [
            (each["id"], item["id"], item["filename"], item["content_type"], item["size"])
            for each in messages
            for item in each["attachments"]
        ],
        "cursors": [(grant, cursor)],
    }


def _append(lake: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        columns = zip(_TABLES[name].items(), zip(*rows, strict=True), strict=True)
        arrays = {column: pa.array(values, kind) for (column, kind), values in columns}
        _given(lake, pa.table(arrays), f"INSERT INTO {name} FROM given")


def _given(lake: duckdb.DuckDBPyConnection, rows: pa.Table, statement: str) -> None:
    # As a stream, for DuckDB would import pyarrow.dataset to read a table.
    lake.register("given", rows.__arrow_c_stream__())  # type: ignore[no-untyped-call]
    lake.execute(statement)
    lake.unregister("given")


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    json.dump({"messages": backfill(sys.argv[1], Path(sys.argv[2]))}, sys.stdout)
