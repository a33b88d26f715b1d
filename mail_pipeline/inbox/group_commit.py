"""Group commit: what waits is stored together, in one transaction, while the next group gathers."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from mail_pipeline.errors import RetryLater
from mail_pipeline.inbox.landing import Delivery

_MOST_IN_GROUP = 1_000
_MOST_BYTES_IN_GROUP = 16 * 2**20
"""Bound how long one transaction keeps other receivers waiting."""


class QueueFull(RetryLater):
    """More waits to be stored than may."""


class Stopping(RetryLater):
    """The receiver stops and takes nothing more."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one transaction did: how many deliveries, in how many seconds, and why it failed, if it did."""

    deliveries: int
    seconds: float
    error: Exception | None


class GroupCommit:
    """Stores deliveries in groups, on one thread. Everything else happens on the event loop."""

    def __init__(
        self,
        store: Callable[[Sequence[Delivery]], None],
        *,
        most_waiting: int,
        most_bytes: int,
        on_commit: Callable[[Commit], None],
    ) -> None:
        """Take what stores a group durably, and how many deliveries and bytes may wait for it.

        `on_commit` is called on the event loop after each group.
        """
        self._store = store
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._on_commit = on_commit
        self._waiting: deque[tuple[Delivery, asyncio.Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="group-commit")
        self._writer: asyncio.Task[None] | None = None
        self._stopping = False
        self.deliveries = 0
        """Not stored yet, those of the group under way included."""
        self.body_bytes = 0
        """Of those deliveries."""

    async def store(self, delivery: Delivery) -> None:
        """Return when the delivery is durable.

        Raises QueueFull, Stopping, or whatever kept its group from being stored.
        """
        size = len(delivery.body)
        if self._stopping:
            raise Stopping("The receiver is stopping")
        if self.deliveries >= self._most_waiting or self.body_bytes + size > self._most_bytes:
            raise QueueFull("Too many notifications wait to be stored")
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        self._waiting.append((delivery, stored))
        self.deliveries += 1
        self.body_bytes += size
        if self._writer is None:
            self._writer = loop.create_task(self._write_all())
        await stored

    async def close(self) -> None:
        """Take nothing more; return when everything that waited is stored or refused."""
        self._stopping = True
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._take()
            deliveries = [delivery for delivery, _ in group]
            started = monotonic()
            error: Exception | None = None
            try:
                await loop.run_in_executor(self._thread, self._store, deliveries)
            except Exception as caught:
                error = caught
            self.deliveries -= len(group)
            self.body_bytes -= sum(len(delivery.body) for delivery in deliveries)
            for _, stored in group:
                if stored.done():
                    continue
                if error is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(error)
            self._on_commit(Commit(len(group), monotonic() - started, error))
        self._writer = None

    def _take(self) -> list[tuple[Delivery, asyncio.Future[None]]]:
        group: list[tuple[Delivery, asyncio.Future[None]]] = []
        size = 0
        while self._waiting and len(group) < _MOST_IN_GROUP and size < _MOST_BYTES_IN_GROUP:
            group.append(self._waiting.popleft())
            size += len(group[-1][0].body)
        return group
