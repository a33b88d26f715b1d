"""Backfill: a pool of mailboxes in one process, each listed to its first message.

A worker takes a grant with its lease, works its mailboxes one after the other and takes the next grant. All
pages go through one committer. The caller's thread gets the news.
"""

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mail_pipeline.errors import MailPipelineError, SkipMailbox, StopRun
from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import (
    Cancelled,
    GrantClient,
    GrantRejected,
    NylasClient,
    ProviderUnavailable,
    Throttled,
)
from mail_pipeline.settings import Settings
from mail_pipeline.sync.checkpoints import FAILED, REGISTERED, Checkpoint, newest_checkpoints
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.committer import Committer
from mail_pipeline.sync.coverage import is_covered
from mail_pipeline.sync.leases import LeaseLost, Leases
from mail_pipeline.sync.listing import BackfillOptions, Listing, has_more
from mail_pipeline.sync.partition_keys import split
from mail_pipeline.sync.progress import Mailbox, MailboxProgress, progress
from mail_pipeline.sync.seen import SeenIds

__all__ = ["BackfillOptions", "MailboxProgress", "backfill"]

_log = logging.getLogger(__name__)

_NEWS_SECONDS = 1.0
_LEASE_SECONDS = 1.0


def backfill(
    keys: Sequence[str],
    *,
    settings: Settings,
    options: BackfillOptions | None = None,
    on_progress: Callable[[MailboxProgress], None] | None = None,
) -> Iterator[MailboxProgress]:
    """Backfill the mailboxes of these partitions and yield each one's last word as it ends.

    A mailbox ends complete, listing (stopped by `max_pages`), paused or failed; the last two say why and
    what to do, and the others go on. One that is complete already is not listed again unless `options` ask
    for it. `on_progress` is called from the caller's thread, about once a second for each mailbox at work.
    A grant that another process works on is waited for. Ending the iteration early stops all work; what is
    stored stays, and the next call goes on from there.

    Raises StopRun for what stops everything: no key, a wrong key or address, a full disk, a newer lake.
    """
    settings.require_key()
    with ExitStack() as stack:
        stack.enter_context(_rare_collections())
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        committer = Committer(lake, leases)
        stack.callback(committer.close)
        client = stack.enter_context(open_client(settings))
        pool = _Pool(lake, leases, committer, client, options or BackfillOptions(), settings)
        stack.callback(pool.stop)
        yield from pool.work(keys, settings.workers, on_progress or (lambda _: None))


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: a page is many objects, none of them in a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(slots=True)
class _Task:
    """A mailbox of this run, and where it stands as its worker knows it."""

    mailbox: Mailbox
    checkpoint: Checkpoint
    started_at: float = 0.0
    ids_before: int = 0
    listing: Listing | None = None
    grant: GrantClient | None = None
    told: Checkpoint | None = None

    def begin(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.ids_before = checkpoint.ids_seen
        self.started_at = time.time()

    def progress(self) -> MailboxProgress:
        if self.listing is not None:
            self.checkpoint = self.listing.checkpoint
        return progress(
            self.mailbox,
            self.checkpoint,
            started_at=self.started_at or time.time(),
            now=time.time(),
            ids_before=self.ids_before,
            held_until=self.grant.pace.held_until if self.grant is not None else None,
        )


@dataclass(slots=True)
class _GrantWork:
    """The mailboxes of one grant: worked one after the other, under one lease."""

    grant_id: str
    provider: str
    tasks: list[_Task] = field(default_factory=list)


class _Pool:
    """The workers of one backfill."""

    def __init__(
        self,
        lake: Lake,
        leases: Leases,
        committer: Committer,
        client: NylasClient,
        options: BackfillOptions,
        settings: Settings,
    ) -> None:
        self._lake = lake
        self._leases = leases
        self._committer = committer
        self._client = client
        self._options = options
        self._settings = settings
        self._covered = False
        self._waiting: queue.SimpleQueue[_GrantWork | None] = queue.SimpleQueue()
        self._grants_left = 0
        self._news: queue.SimpleQueue[MailboxProgress | BaseException] = queue.SimpleQueue()
        self._at_work: dict[str, _Task] = {}
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def work(
        self, keys: Sequence[str], workers: int, on_progress: Callable[[MailboxProgress], None]
    ) -> Iterator[MailboxProgress]:
        wanted = list(dict.fromkeys(keys))
        grants, settled = self._sort(wanted)
        yield from settled
        if not grants:
            return
        self._client.check()
        self._covered = is_covered(self._settings, self._client)
        self._grants_left = len(grants)
        for grant in grants.values():
            self._waiting.put(grant)
        self._threads = [
            threading.Thread(target=self._run, name=f"mailbox-{number}")
            for number in range(min(workers, len(grants)))
        ]
        for thread in self._threads:
            thread.start()
        yield from self._tell(len(wanted) - len(settled), on_progress)

    def stop(self) -> None:
        self._stopping.set()
        self._client.cancel()
        self._release_workers()
        for thread in self._threads:
            thread.join()

    def _sort(self, wanted: list[str]) -> tuple[Mapping[str, _GrantWork], list[MailboxProgress]]:
        """Tell the mailboxes there is work for, by grant, from those whose outcome is known already."""
        table = text_table("partition_key", wanted)
        found = {
            row["partition_key"]: row for row in self._lake.table(queries.MAILBOXES, wanted=table).to_pylist()
        }
        grants: dict[str, _GrantWork] = {}
        settled = []
        for key, checkpoint in self._checkpoints(wanted, found).items():
            row = found.get(key)
            task = _Task(_mailbox(key, row), checkpoint, ids_before=checkpoint.ids_seen)
            if row is None or not row["active"]:
                settled.append(_gone(task))
            elif not has_more(checkpoint, self._options):
                settled.append(task.progress())
            else:
                work = grants.setdefault(row["grant_id"], _GrantWork(row["grant_id"], row["provider"]))
                work.tasks.append(task)
        return grants, settled

    def _checkpoints(self, wanted: list[str], found: Mapping[str, dict[str, Any]]) -> dict[str, Checkpoint]:
        """Return where each mailbox stands; one never listed, or gone and returned, stands at its top."""
        stored = newest_checkpoints(self._lake, wanted)
        standing = {}
        for key in wanted:
            row = found.get(key)
            mailbox = _mailbox(key, row)
            checkpoint = stored.get(key) or Checkpoint(partition_key=key, grant_id=mailbox.grant_id)
            if row is not None and row["state"] == REGISTERED:
                checkpoint = replace(checkpoint, state=REGISTERED)
            standing[key] = checkpoint
        return standing

    def _run(self) -> None:
        while not self._stopping.is_set() and (work := self._waiting.get()) is not None:
            try:
                if self._work(work):
                    self._finish()
                elif not self._stopping.wait(_LEASE_SECONDS):
                    self._waiting.put(work)
            except BaseException as error:
                self._news.put(error)
                return

    def _work(self, work: _GrantWork) -> bool:
        """Work a grant's mailboxes to their ends; False where another process has the grant now."""
        with self._lake.locked():
            if self._leases.take(work.grant_id) is None:
                return False
        try:
            with self._client.grant(work.grant_id, work.provider) as grant:
                self._work_mailboxes(work, grant)
        except LeaseLost:
            return False
        finally:
            self._leases.give_back(work.grant_id)
        return True

    def _work_mailboxes(self, work: _GrantWork, grant: GrantClient) -> None:
        seen = SeenIds()
        seen.add(self._lake.column(queries.MESSAGE_IDS, wanted=text_table("grant_id", [work.grant_id])))
        # Its holder before may have got further since this run began.
        standing = newest_checkpoints(self._lake, [task.mailbox.partition_key for task in work.tasks])
        ended: MailPipelineError | None = None
        while work.tasks:
            task = work.tasks[0]
            key = task.mailbox.partition_key
            task.begin(max(task.checkpoint, standing.get(key, task.checkpoint), key=_version))
            task.grant = grant
            task.listing = Listing(
                task.mailbox,
                task.checkpoint,
                grant=grant,
                committer=self._committer,
                seen=seen,
                options=self._options,
                covered=self._covered,
            )
            with self._mutex:
                self._at_work[key] = task
            ended = _list(task.listing, ended)
            with self._mutex:
                del self._at_work[key]
            work.tasks.pop(0)
            self._news.put(task.progress())

    def _finish(self) -> None:
        with self._mutex:
            self._grants_left -= 1
            if self._grants_left == 0:
                self._release_workers()

    def _release_workers(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)

    def _tell(self, count: int, on_progress: Callable[[MailboxProgress], None]) -> Iterator[MailboxProgress]:
        next_news = time.monotonic() + _NEWS_SECONDS
        while count:
            try:
                news = self._news.get(timeout=max(0.0, next_news - time.monotonic()))
            except queue.Empty:
                next_news = time.monotonic() + _NEWS_SECONDS
                with self._mutex:
                    at_work = list(self._at_work.values())
                for task in at_work:
                    on_progress(task.progress())
                continue
            if isinstance(news, BaseException):
                raise news
            count -= 1
            yield news


def _list(listing: Listing, ended: MailPipelineError | None) -> MailPipelineError | None:
    """List a mailbox, or stop it at once where its grant has `ended`; return what ends the grant."""
    if not listing.finished:
        try:
            if ended is not None:
                raise ended
            listing.run()
        except (StopRun, Cancelled, LeaseLost):
            listing.settle()
            raise
        except (GrantRejected, Throttled, ProviderUnavailable) as error:
            listing.stop(error)
            return error
        except MailPipelineError as error:
            listing.stop(error)
        except Exception as error:
            _log.exception("Mailbox %s stopped by an unexpected error", listing.mailbox.partition_key)
            listing.stop(
                SkipMailbox(
                    f"An unexpected {type(error).__name__} stopped the mailbox",
                    next_step="The log has its traceback; please report it. The next run goes on from here.",
                )
            )
    return ended


def _version(checkpoint: Checkpoint) -> int:
    return checkpoint.version


def _mailbox(key: str, row: dict[str, Any] | None) -> Mailbox:
    if row is None:
        return Mailbox(partition_key=key, grant_id=split(key)[0], provider="unknown")
    return Mailbox(
        partition_key=key,
        grant_id=row["grant_id"],
        provider=row["provider"],
        folder_id=row["folder_id"],
        folder_name=row["folder_name"],
        reported=row["reported"],
    )


def _gone(task: _Task) -> MailboxProgress:
    task.checkpoint = replace(
        task.checkpoint,
        state=FAILED,
        reason="There is no such mailbox: its grant or folder is unknown, or gone at the provider",
        next_step="Run the job refresh_accounts, then take a partition key from the list of partitions.",
    )
    return task.progress()
