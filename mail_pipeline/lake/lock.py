"""The write lock: one writer of the lake at a time, across threads and processes of a machine.

DuckLake on SQLite answers two writers with "database is locked", at COMMIT, and does not retry; so the lock
is held from BEGIN to COMMIT. Readers never take it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mail_pipeline.errors import RetryLater

_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 600.0


class WriteLock:
    """A file lock that the kernel lets go of when its holder dies."""

    def __init__(self, path: Path) -> None:
        """Take the path of the lock file; its folder must exist."""
        self._lock = FileLock(path, thread_local=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; not re-entrant. Raises RetryLater when another holds it for ten minutes."""
        try:
            self._lock.acquire(timeout=_PATIENCE_SECONDS, poll_interval=_POLL_SECONDS)
        except Timeout:
            raise RetryLater(
                f"Another process has held {self._lock.lock_file} for ten minutes",
                next_step="Look for a stopped mail-pipeline or dagster process on this machine.",
            ) from None
        try:
            yield
        finally:
            self._lock.release()
