"""SQLite's log, brought into the database file without holding up whoever stores.

SQLite by itself does so inside a commit: at 32 MB of log that commit, and everybody waiting for it, waits a
tenth of a second.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import sqlalchemy as sa

_log = logging.getLogger(__name__)

_LOG_BYTES = 64 * 2**20
"""Bodies after which the log is brought in: a log that is written over is cheaper than one that grows."""
_FEW_PAGES = 256
_MOST_PASSES = 5
_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Copies the bulk on a thread, while commits go on, and the rest between two commits.

    Only where all is copied does SQLite begin its log anew.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine of a SQLite file."""
        self._engine = engine
        self._mutex = threading.Lock()
        self._bytes = 0
        self._bulk: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")

    def stored(self, size: int) -> None:
        """Note that so many bytes were committed; raises nothing, for they are."""
        with self._mutex:
            self._bytes += size
            if self._bulk is None:
                if self._bytes > _LOG_BYTES:
                    self._bulk = self._thread.submit(self._copy, _MOST_PASSES)
            elif self._bulk.done() or self._bytes > 2 * _LOG_BYTES:
                # On a disk that cannot keep up, whoever stores has to wait.
                self._bulk.result()
                self._copy(passes=1)
                self._bulk = None
                self._bytes = 0

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    def _copy(self, passes: int) -> None:
        try:
            with self._engine.connect() as connection:
                before = 0
                for _ in range(passes):
                    _, _, copied = connection.exec_driver_sql(_CHECKPOINT).one()
                    # The next pass would find about as much as this one did.
                    if copied - before < _FEW_PAGES:
                        return
                    before = copied
        except (sa.exc.SQLAlchemyError, OSError) as error:
            # The log grows meanwhile; what it holds is durable.
            _log.warning("The log of the landing table was not brought in (%s)", type(error).__qualname__)
