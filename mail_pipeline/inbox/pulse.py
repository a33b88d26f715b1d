"""Whether a receiver can store: asked by /healthz, and written down as its heartbeat."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.inbox.group_commit import Commit
from mail_pipeline.inbox.landing import Landing

BEAT_SECONDS = 15.0
_FRESH_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Pulse:
    """The heartbeat of one receiver. A beat is a durable write, and so shows that storing works.

    Where storing fails, the beats stop, and begin a new stretch of time when it works again: the silence
    between is what gap repair looks for.
    """

    def __init__(self, landing: Landing, receiver: str) -> None:
        """Take the table to write to, and a name that no other receiver has."""
        self._landing = landing
        self._receiver = receiver
        # Not the thread of the group commit: a heartbeat should not wait for a burst to be stored.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heartbeat")
        self._new_stretch = True
        self._problem: str | None = None
        self._known_at = float("-inf")
        self._commit_failed_at = float("-inf")
        self._check: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._regular: asyncio.Task[None] | None = None

    def committed(self, commit: Commit) -> None:
        """Learn from a transaction of the group commit."""
        if commit.error is None:
            self._commit_failed_at = float("-inf")
            self._learn(None)
        else:
            self._commit_failed_at = time.monotonic()
            self._learn(commit.error)

    async def problem(self) -> str | None:
        """Return what keeps the receiver from storing; None where it can. Never older than a second."""
        if time.monotonic() - self._known_at > _FRESH_SECONDS:
            await self._beat()
        return self._problem

    def start(self) -> None:
        """Beat from now on."""
        self._regular = asyncio.create_task(self._beat_regularly())

    async def stop(self) -> None:
        """Beat a last time."""
        self._stopped.set()
        if self._regular is not None:
            await self._regular
        await self._beat()
        self._thread.shutdown()

    async def _beat_regularly(self) -> None:
        while not self._stopped.is_set():
            await self._beat()
            try:
                await asyncio.wait_for(self._stopped.wait(), BEAT_SECONDS)
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        if self._check is None:
            self._check = asyncio.create_task(self._try())
        # All who ask meanwhile wait for the same answer.
        await asyncio.shield(self._check)

    async def _try(self) -> None:
        began = time.monotonic()
        try:
            # A small row may still fit where a group of bodies did not: wait until that is old news.
            if began - self._commit_failed_at > BEAT_SECONDS:
                await self._write()
                if self._commit_failed_at < began:
                    self._learn(None)
        except Exception as error:
            self._learn(error)
        finally:
            self._check = None

    async def _write(self) -> None:
        started, self._new_stretch = self._new_stretch, False
        write = partial(self._landing.beat, self._receiver, time.time(), started=started)
        await asyncio.get_running_loop().run_in_executor(self._thread, write)

    def _learn(self, error: Exception | None) -> None:
        self._known_at = time.monotonic()
        before, self._problem = self._problem, None if error is None else _told(error)
        if error is not None:
            self._new_stretch = True
        if self._problem == before:
            return
        if self._problem is None:
            _log.warning("Notifications are stored again")
        else:
            _log.error("Notifications are answered 503: %s", self._problem)


def _told(error: Exception) -> str:
    # The text of an error that is not ours may hold anything.
    return str(error) if isinstance(error, MailPipelineError) else f"Unexpected {type(error).__qualname__}"
