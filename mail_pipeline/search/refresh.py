"""Bringing the search index up to the lake: what is new, edited or gone since the last time.

Each message has a likeness, a hash of its key, its subject and its body's own hash. What the lake has and the
index lacks is indexed, what the index has and the lake lacks is taken out. Nothing else has to be remembered,
so no way in which a message may change can be missed, and a refresh that was killed is simply gone on with.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mail_pipeline.disk import database_error, disk_errors
from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.marts.plain import plain
from mail_pipeline.search import queries
from mail_pipeline.search.index import Document, SearchIndex, discard, index_path, opened, reading

_BATCH = 1_000
_MEMORY = "1GB"
_COMPACTED_SHARE = 0.05
"""Words of a document taken out lie in the file until they are merged; compacting rewrites all of it."""


@dataclass(slots=True)
class Refreshed:
    """What a refresh did, and what there is after it."""

    documents: int = 0
    """Messages in the index now."""
    indexed: int = 0
    """New and edited messages."""
    removed: int = 0
    """Documents of messages that are gone or were edited."""
    to_index: int = field(default=0, repr=False)
    size_bytes: int = 0


def is_behind(data: Path) -> bool:
    """Tell whether the lake has had any commit since the last refresh, or there was none yet."""
    if not index_path(data).exists():
        return True
    with connect(data) as lake, _classed(data):
        try:
            with reading(data) as index:
                return index.lake() != _state(lake)
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise
            return True


def refresh(data: Path, on_batch: Callable[[Refreshed], None] | None = None) -> Refreshed:
    """Make the index equal to the lake of a data folder; safe to interrupt and to repeat.

    One at a time: a second one waits for the first. Memory is bounded by a batch of messages and some dozen
    bytes per message in the lake. A damaged index is made anew. Raises StopRun where there is no lake or the
    disk is full, RetryLater where another refresh takes over ten minutes.
    """
    with connect(data) as lake, disk_errors(data):
        folder = index_path(data).parent
        folder.mkdir(parents=True, exist_ok=True)
        lake.execute("SET memory_limit = $limit", {"limit": _MEMORY})
        lake.execute("SET temp_directory = $folder", {"folder": str(folder.resolve() / "spilled")})
        with _alone(data), _classed(data):
            try:
                return _refresh(data, lake, on_batch)
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                discard(data)
                return _refresh(data, lake, on_batch)


def erase(data: Path) -> None:
    """Remove the index with all its words, once no refresh is at work; the next refresh makes it anew.

    Raises RetryLater where a refresh takes over ten minutes.
    """
    if index_path(data).parent.exists():
        with _alone(data):
            discard(data)


def _alone(data: Path) -> AbstractContextManager[None]:
    return WriteLock(index_path(data).with_name("refresh.lock")).held()


def _refresh(
    data: Path, lake: duckdb.DuckDBPyConnection, on_batch: Callable[[Refreshed], None] | None
) -> Refreshed:
    report = Refreshed()
    with opened(data) as index:
        # Before anything is read: what is committed from here on is for the next refresh to see.
        state = _state(lake)
        if index.lake() != state:
            lake.execute(queries.LIVE)
            lake.register("indexed", _indexed(index))
            report.to_index = _one(lake, queries.MISSING_COUNT)
            _take_out(index, lake, report)
            for documents in _missing(lake):
                index.put(documents)
                report.indexed += len(documents)
                if on_batch is not None:
                    on_batch(report)
            if report.removed > _COMPACTED_SHARE * index.count():
                index.compact()
            index.refreshed(state)
        report.documents = index.count()
    report.size_bytes = index_path(data).stat().st_size
    return report


def _indexed(index: SearchIndex) -> pa.Table:
    # Sixteen bytes a document; as Python's own numbers it would be ten times that.
    known = np.fromiter(index.likenesses(), [("number", np.int64), ("likeness", np.int64)])
    return pa.table({name: pa.array(known[name].copy()) for name in ("number", "likeness")})


def _take_out(index: SearchIndex, lake: duckdb.DuckDBPyConnection, report: Refreshed) -> None:
    lake.execute(queries.OUTDATED)
    while rows := lake.fetchmany(_BATCH):
        index.remove(number for (number,) in rows)
        report.removed += len(rows)


def _missing(lake: duckdb.DuckDBPyConnection) -> Iterator[list[Document]]:
    lake.execute(queries.MISSING)
    while rows := lake.fetchmany(_BATCH):
        yield [
            Document(grant_id, identity, likeness, subject, _text(body))
            for grant_id, identity, likeness, subject, body in rows
        ]


def _text(body: str) -> str:
    # What is quoted below was written by somebody too, and may be all that is kept of it.
    return "\n".join(filter(None, plain(body)))


def _state(lake: duckdb.DuckDBPyConnection) -> str:
    return str(_one(lake, queries.LAKE_STATE))


def _one(lake: duckdb.DuckDBPyConnection, statement: str) -> Any:
    found = lake.execute(statement).fetchone()
    assert found is not None
    return found[0]


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return not isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError)


@contextmanager
def _classed(data: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(error, data) or error from error
