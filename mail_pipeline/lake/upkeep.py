"""Upkeep: few files instead of many, and no files that nobody needs.

Each step takes the write lock for itself and bounds what it rewrites, so that writers wait for one step at
most. Readers are never in the way: they keep the snapshot they have begun with.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from mail_pipeline.errors import RetryLater
from mail_pipeline.lake import schema
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.lake.extremes import recount_extremes
from mail_pipeline.lake.mart_tables import MART_TABLES
from mail_pipeline.lake.writer import Lake

SMALL_BYTES = 2 * 2**20
"""Files below this are merged while others write."""
SMALL_MAIL_BYTES = {
    "all_messages": 2**19,
    "message_participants": 2**19,
    "message_folders": 2**17,
    "attachments": 2**17,
}
"""The same for mail, which a backfill writes: more than it commits at once and less than a merge makes of
it, so that no row is merged twice before `upkeep`. To merge them over and over took a tenth of its CPU."""
MEDIUM_BYTES = 64 * 2**20
"""Files below this are merged by `upkeep`, into files of the lake's `target_file_size` at the most."""
_RESULTS_PER_STEP = 1
_DELETED_SHARE = 0.3
_DELETED_SHARE_OF_MARTS = 0.001
"""A file with deleted rows is never merged, and each refresh of the marts deletes a few in many files."""
_SAFE_AGE = timedelta(days=1)
"""Files younger than this may belong to a transaction or a query under way."""

_SUPERSEDED = """
DELETE FROM checkpoints USING (
    SELECT partition_key, max(version) AS newest FROM checkpoints GROUP BY ALL
) AS kept
WHERE checkpoints.partition_key = kept.partition_key AND checkpoints.version < kept.newest
"""
_MERGE = """
CALL ducklake_merge_adjacent_files('lake', $table, max_file_size => $below, max_compacted_files => $results)
"""
_REWRITE = "CALL ducklake_rewrite_data_files('lake', $table, delete_threshold => $share)"
_EXPIRE = "CALL ducklake_expire_snapshots('lake', older_than => now() - $age::INTERVAL)"
_CLEAN_UP = "CALL ducklake_cleanup_old_files('lake', older_than => now() - $age::INTERVAL)"
_ORPHANS = "CALL ducklake_delete_orphaned_files('lake', older_than => now() - $age::INTERVAL)"
_GIVE_BACK = "SET GLOBAL allocator_bulk_deallocation_flush_threshold = '1MB'"
_KEEP = "RESET GLOBAL allocator_bulk_deallocation_flush_threshold"
_FILES = """
SELECT table_name, file_count AS number, delete_file_count > 0 AS with_deleted, file_size_bytes AS size_bytes
FROM ducklake_table_info('lake')
"""
_SMALL = """
SELECT count(*) FROM ducklake_list_files('lake', $table)
WHERE data_file_size_bytes < $below AND delete_file IS NULL
"""


@dataclass(slots=True)
class UpkeepReport:
    """What an upkeep did, and what the tables are like after it."""

    checkpoints_dropped: int = 0
    snapshots_expired: int = 0
    files_removed: int = 0
    files: dict[str, int] = field(default_factory=dict)
    """Parquet files of each table now."""
    size_bytes: int = 0


def tidy(lake: Lake, *, bodies: bool = False) -> None:
    """Merge the small files that commits leave behind, so that queries stay quick meanwhile.

    Bodies are left to `upkeep` unless asked for: few queries read them, and they are most of the bytes.
    """
    with _giving_memory_back(lake):
        for table, files in _files(lake).items():
            # A transaction that finds nothing to merge costs as much as one that does.
            if files.number > 1 and (bodies or table != "message_bodies") and _small(lake, table) > 1:
                _merge(lake, table, _small_below(table))


def tidy_after(lake: Lake, table: str, files: int) -> bool:
    """Tidy, bodies too, where a table that every commit appends to has so many small files; tell whether."""
    if _small(lake, table) < files:
        return False
    tidy(lake, bodies=True)
    return True


def upkeep(lake: Lake, *, keep: timedelta = timedelta(days=7)) -> UpkeepReport:
    """Do all upkeep there is. Snapshots older than `keep` can no longer be travelled to.

    Contents do not change. Safe to interrupt and to run beside writers and readers.
    """
    report = UpkeepReport()
    with lake.transaction() as transaction:
        report.checkpoints_dropped = transaction.change("checkpoints", _SUPERSEDED)[0][0]
    for table, files in _files(lake).items():
        if files.with_deleted:
            share = _DELETED_SHARE_OF_MARTS if schema.TABLES[table] in MART_TABLES else _DELETED_SHARE
            _rewrite(lake, table, share)
        while files.number > 1 and _merge(lake, table, MEDIUM_BYTES):
            continue
    report.snapshots_expired = len(lake.call(_EXPIRE, {"age": keep}))
    for statement in (_CLEAN_UP, _ORPHANS):
        report.files_removed += len(lake.call(statement, {"age": _SAFE_AGE}))
    recount_extremes(lake)
    after = _files(lake)
    report.files = {table: files.number for table, files in after.items()}
    report.size_bytes = sum(files.size_bytes for files in after.values())
    return report


def purge(lake: Lake) -> None:
    """Remove for good what has been deleted: from the tables' files, from old snapshots, from the catalog.

    Nobody can look back any more, and a query under way may lose its files. Raises RetryLater where the
    catalog is being read: all is removed by then, but for what its log still holds.
    """
    for table, files in _files(lake).items():
        # Rows deleted from a file lie in it until it is written anew.
        if files.with_deleted:
            _rewrite(lake, table, 0.0)
    lake.call(_EXPIRE, {"age": timedelta()})
    for statement in (_CLEAN_UP, _ORPHANS):
        lake.call(statement, {"age": timedelta()})
    recount_extremes(lake)
    with lake.locked(), closing(sqlite3.connect(catalog_path(lake.data))) as catalog:
        # Its free pages, and its log, hold what was in it: a file's least and greatest subject, among others.
        catalog.execute("VACUUM")
        busy, *_ = catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise RetryLater(
            f"The catalog in {lake.data} is being read, so its log still holds what is removed",
            next_step="Do this again.",
        )


class _Files(NamedTuple):
    """The Parquet files of a table."""

    number: int
    with_deleted: bool
    """Whether rows of some are deleted."""
    size_bytes: int


def _files(lake: Lake) -> dict[str, _Files]:
    rows = lake.table(_FILES).to_pylist()
    return {name: _Files(**row) for row in rows if (name := row.pop("table_name")) in schema.TABLES}


@contextmanager
def _giving_memory_back(lake: Lake) -> Iterator[None]:
    """Let DuckDB return what a merge took: kept, it would come on top of the pages of a backfill.

    Not at other times: commits, which take the same again and again, would cost a tenth more CPU.
    """
    lake.call(_GIVE_BACK)
    try:
        yield
    finally:
        lake.call(_KEEP)


def _small_below(table: str) -> int:
    return SMALL_MAIL_BYTES.get(table, SMALL_BYTES)


def _small(lake: Lake, table: str) -> int:
    """Return how many files a merge of small ones would take."""
    return int(next(lake.column(_SMALL, {"table": table, "below": _small_below(table)})))


def _rewrite(lake: Lake, table: str, share: float) -> None:
    with lake.transaction() as transaction:
        transaction.change(table, _REWRITE, {"table": table, "share": share})


def _merge(lake: Lake, table: str, below: int) -> int:
    """Merge one step's worth of a table's files and return how many files it made."""
    parameters = {"table": table, "below": below, "results": _RESULTS_PER_STEP}
    with lake.transaction() as transaction:
        return sum(made for *_, made in transaction.change(table, _MERGE, parameters))
