"""Leases: one worker per grant, across all processes of the lake.

A lease is a row with its holder and a fencing number that grows each time the grant changes hands. The number
is compared inside every commit, so a worker that was paused, lost its lease and wakes up cannot write.

A lease runs out after a minute without renewal. On the machine where its holder ran that is not waited for:
each process holds a file lock for as long as it lives, and a lease whose file lock is free is free.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout

from mail_pipeline.disk import database_error, disk_errors
from mail_pipeline.errors import RetryLater, traced
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sqlite_files import sqlite_engine

_log = logging.getLogger(__name__)

FIRST_FENCE = 1
"""The fencing number of a lease that nobody has held before."""

_SECONDS = 60.0
_RENEW_EVERY = 15.0
_BUSY_SECONDS = 30.0

_metadata = sa.MetaData()
_leases = sa.Table(
    "leases",
    _metadata,
    sa.Column("grant_id", sa.Text, primary_key=True),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=True),
    sa.Column("expires_at", sa.Float, nullable=False),
)


class LeaseLost(RetryLater):
    """Another worker has taken the grant over; what this one still holds must not be written."""

    def __init__(self, grant_id: str) -> None:
        """Take the grant whose lease is gone."""
        super().__init__(
            f"Another worker has taken over grant {grant_id}",
            next_step="Nothing to do: that worker goes on from the last stored page.",
        )


class Leases:
    """The leases one process holds. Methods may be called from several threads."""

    def __init__(self, data: Path, *, renew_every: float = _RENEW_EVERY) -> None:
        """Open the lease table of a data folder and show, by a file lock, that this process lives.

        What is held is renewed every so many seconds. Raises StopRun where the folder cannot be written.
        """
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._data = data
        self._living = data / "workers"
        self._life = FileLock(self._living / f"{self.holder}.lock", thread_local=False)
        with _state_errors(data), ExitStack() as failed:
            self._living.mkdir(parents=True, exist_ok=True)
            self._engine = sqlite_engine(data / "state.sqlite", busy_seconds=_BUSY_SECONDS)
            failed.callback(self._engine.dispose)
            with self._engine.begin() as connection:
                # `create_all` looks first and creates then; two processes that start together would clash.
                connection.execute(sa.schema.CreateTable(_leases, if_not_exists=True))
            self._life.acquire(timeout=0)
            failed.pop_all()
        self._fences: dict[str, int] = {}
        self._mutex = threading.Lock()
        self._closing = threading.Event()
        self._renewer = threading.Thread(
            target=self._renew_until_closed, args=(renew_every,), name="lease-renewal", daemon=True
        )
        self._renewer.start()

    def take(self, grant_id: str) -> int | None:
        """Take the lease of a grant and return its fencing number; None while another worker holds it.

        Must be called under the lake's write lock, so that no commit of the holder before is under way.
        """
        now = time.time()
        with _state_errors(self._data), self._engine.begin() as connection:
            row = connection.execute(sa.select(_leases).where(_leases.c.grant_id == grant_id)).one_or_none()
            if row is not None and self._is_held(row.holder, row.expires_at, now):
                return None
            fence = FIRST_FENCE if row is None else int(row.fence) + 1
            values = {"fence": fence, "holder": self.holder, "expires_at": now + _SECONDS}
            if row is None:
                connection.execute(_leases.insert().values(grant_id=grant_id, **values))
            else:
                connection.execute(_leases.update().where(_leases.c.grant_id == grant_id).values(**values))
        with self._mutex:
            self._fences[grant_id] = fence
        return fence

    def check(self, grant_id: str) -> int:
        """Return the fencing number under which this process may write to the grant.

        Must be called under the lake's write lock. Raises LeaseLost where another has taken over.
        """
        with self._mutex:
            fence = self._fences.get(grant_id)
        with _state_errors(self._data), self._engine.connect() as connection:
            current = connection.execute(
                sa.select(_leases.c.fence, _leases.c.holder).where(_leases.c.grant_id == grant_id)
            ).one_or_none()
        if fence is None or current is None or (current.fence, current.holder) != (fence, self.holder):
            raise LeaseLost(grant_id)
        return fence

    def knows(self, grant_id: str) -> bool:
        """Tell whether anybody ever held the lease of a grant; that outlives the grant itself."""
        with _state_errors(self._data), self._engine.connect() as connection:
            found = connection.execute(sa.select(_leases.c.fence).where(_leases.c.grant_id == grant_id))
            return found.first() is not None

    def give_back(self, grant_id: str) -> None:
        """Let another worker have the grant."""
        with self._mutex:
            fence = self._fences.pop(grant_id, None)
        # Where that cannot be written down, the lease runs out by itself.
        with _logged("give back a lease"):
            self._update(grant_id, fence, holder=None, expires_at=0.0)

    @contextmanager
    def held(self, lake: Lake, grant_id: str, leases: Iterable[str] = ()) -> Iterator[None]:
        """Hold a grant's lease, or these `leases` of it, for the length of the block.

        Raises RetryLater where another worker holds one of them.
        """
        with ExitStack() as stack:
            for lease in leases or (grant_id,):
                with lake.locked():
                    if self.take(lease) is None:
                        raise RetryLater(
                            f"Another worker is at work on grant {grant_id}",
                            next_step="Do this again when that has ended.",
                        )
                stack.callback(self.give_back, lease)
            yield

    def close(self) -> None:
        """Give everything back."""
        self._closing.set()
        self._renewer.join()
        for grant_id in list(self._fences):
            self.give_back(grant_id)
        self._life.release()
        Path(self._life.lock_file).unlink(missing_ok=True)
        self._engine.dispose()

    def _is_held(self, holder: str | None, expires_at: float, now: float) -> bool:
        if holder is None or expires_at <= now:
            return False
        return holder == self.holder or not self._is_dead(holder)

    def _is_dead(self, holder: str) -> bool:
        # Only this machine's kernel knows whether a process of this machine lives.
        if holder.rsplit("-", 2)[0] != socket.gethostname():
            return False
        path = self._living / f"{holder}.lock"
        if not path.exists():
            return True
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        lock.release()
        path.unlink(missing_ok=True)
        return True

    def _renew_until_closed(self, every: float) -> None:
        while not self._closing.wait(every):
            with self._mutex:
                held = dict(self._fences)
            with _logged("renew the leases"):
                for grant_id, fence in held.items():
                    self._update(grant_id, fence, expires_at=time.time() + _SECONDS)

    def _update(self, grant_id: str, fence: int | None, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                _leases.update()
                .where(
                    _leases.c.grant_id == grant_id,
                    _leases.c.fence == fence,
                    _leases.c.holder == self.holder,
                )
                .values(**values)
            )


@contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        _log.warning("Could not %s: %s", what, traced(error))


@contextmanager
def _state_errors(data: Path) -> Iterator[None]:
    with disk_errors(data):
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise database_error(error, data) or error from error
