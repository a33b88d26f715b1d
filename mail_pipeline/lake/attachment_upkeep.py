"""Removing the bytes of attachments that nobody refers to (any more)."""

import pyarrow as pa

from mail_pipeline.lake import attachment_queries as queries
from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.lake.writer import Lake

_AT_ONCE = 500
"""Files removed under one hold of the write lock."""


def claim(lake: Lake, store: FileStore) -> None:
    """Make the store this lake's own. Raises StopRun where it is another's."""
    (made_at,) = lake.column(queries.LAKE_MADE_AT)
    with lake.locked():
        store.claim(str(made_at))


def forget_files(lake: Lake, store: FileStore, grant_id: str) -> int:
    """Remove a grant's rows of `attachment_files`, and the files no other grant refers to; return how many.

    Files go before their rows do, so that an interrupted call, made again, comes to the same end. Their rows
    leave the lake's older snapshots, which hold no bytes, with the next upkeep that expires these.
    """
    removed = 0
    while True:
        # Nobody can commit a row that refers to a file while it is being removed.
        with lake.transaction() as transaction:
            own = [sha for (sha,) in transaction.rows(queries.FILES_OF_GRANT_ALONE, [grant_id, _AT_ONCE])]
            store.remove(own)
            if not own:
                transaction.change("attachment_files", queries.FORGET_ATTACHMENT_FILES, [grant_id])
                return removed
            files = pa.table({"grant_id": [grant_id] * len(own), "sha256": pa.array(own, pa.string())})
            transaction.delete("attachment_files", files)
        removed += len(own)


def remove_orphans(lake: Lake, store: FileStore) -> int:
    """Remove files that no row refers to: what was fetched by a process killed before it could say so.

    Only those older than a day. Returns how many.
    """
    claim(lake, store)
    removed = store.remove_leftovers()
    for hashes in store.listed():
        files = pa.table({"sha256": pa.array(sorted(hashes), pa.string())})
        with lake.locked():
            orphans = [row["sha256"] for row in lake.table(queries.ORPHANED_FILES, files=files).to_pylist()]
            store.remove(orphans)
        removed += len(orphans)
    return removed
