"""SQLite's log, brought into the database file without holding up whoever stores.

SQLite by itself does so inside a commit: at 32 MB of log that commit, and everybody waiting for it, waits a
tenth of a second. A thread alone does not mend that: a disk syncs in the order in which it is asked to, so a
commit waits for all that was copied just before it. Hence little by little.
"""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import sqlalchemy as sa

_log = logging.getLogger(__name__)

_STEP_BYTES = 2 * 2**20
"""Bodies after which the log is copied: a disk of 1 GB/s syncs them in 2 ms."""
_LOG_BYTES = 64 * 2**20
"""Bodies after which the log begins anew: one that is written over is cheaper than one that grows."""
_LAST_PASSES = 3
"""Each finds what was stored during the one before, and so a fraction of it."""
_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"


class WalCopier:
    """Copies on a thread, while commits go on, and now and then a last bit between two commits.

    Only where all is copied does SQLite begin its log anew.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Take the engine of a SQLite file."""
        self._engine = engine
        self._mutex = threading.Lock()
        self._log_bytes = 0
        self._new_bytes = 0
        self._hardly_any_left = False
        self._copying: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wal")

    def stored(self, size: int) -> None:
        """Note that so many bytes were committed; raises nothing, for they are."""
        with self._mutex:
            self._log_bytes += size
            self._new_bytes += size
            if self._copying is not None:
                # On a disk that cannot keep up, whoever stores has to wait.
                if not self._copying.done() and self._log_bytes <= 2 * _LOG_BYTES:
                    return
                self._copying.result()
                self._copying = None
            if self._hardly_any_left:
                self._copy(passes=1)
                self._hardly_any_left = False
                self._log_bytes = self._new_bytes = 0
            elif self._log_bytes > _LOG_BYTES:
                self._hardly_any_left = True
                self._copying = self._thread.submit(self._copy, _LAST_PASSES)
            elif self._new_bytes > _STEP_BYTES:
                self._new_bytes = 0
                self._copying = self._thread.submit(self._copy, passes=1)

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    def _copy(self, passes: int) -> None:
        try:
            with self._engine.connect() as connection:
                for _ in range(passes):
                    connection.exec_driver_sql(_CHECKPOINT)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            # The log grows meanwhile; what it holds is durable.
            _log.warning("The log of the landing table was not brought in (%s)", type(error).__qualname__)
