"""A pool of workers in one process: each takes a grant with its lease and lists its slices one by one.

All pages go through one committer. The caller's thread gets the news.
"""

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from mail_pipeline.errors import MailPipelineError, SkipMailbox, StopRun, traced
from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Cancelled, GrantClient, NylasClient
from mail_pipeline.settings import Settings
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.checkpoints import FAILED, SKIPPED, Checkpoint, newest_checkpoints
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.committer import Committer
from mail_pipeline.sync.coverage import is_covered
from mail_pipeline.sync.leases import FIRST_FENCE, LeaseLost, Leases
from mail_pipeline.sync.listing import Listing
from mail_pipeline.sync.narrowing import note_less
from mail_pipeline.sync.position import BackfillOptions
from mail_pipeline.sync.progress import MailboxProgress, Slice, progress
from mail_pipeline.sync.refusals import REFUSED_IN_A_ROW, ends_the_grant, may_end_the_grant
from mail_pipeline.sync.seen import SeenIds
from mail_pipeline.sync.streams.mail import MAIL
from mail_pipeline.sync.streams.stream import Stream

_log = logging.getLogger(__name__)

_NEWS_SECONDS = 1.0
_LEASE_SECONDS = 1.0
_LEASES_LOST = 5
"""In a row, with nothing stored between: then something is wrong that waiting does not mend."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: a page is many objects, none of them in a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(slots=True)
class Task:
    """A slice of this run, and where it stands as its worker knows it."""

    part: Slice
    checkpoint: Checkpoint
    stream: Stream = MAIL
    started_at: float = 0.0
    ids_before: int = 0
    listing: Listing | None = None
    grant: GrantClient | None = None

    def begin(self, checkpoint: Checkpoint) -> None:
        """Note where it stands as its turn comes."""
        self.checkpoint = checkpoint
        self.ids_before = checkpoint.ids_seen
        self.started_at = time.time()

    def progress(self) -> MailboxProgress:
        """Return what people are told of it now."""
        if self.listing is not None:
            self.checkpoint = self.listing.checkpoint
        return progress(
            self.part,
            self.checkpoint,
            started_at=self.started_at or time.time(),
            now=time.time(),
            ids_before=self.ids_before,
            held_until=self.grant.pace.held_until if self.grant is not None else None,
        )


@dataclass(slots=True)
class GrantWork:
    """The slices of one grant: worked one after the other, under one lease."""

    grant_id: str
    provider: str
    lease: str
    tasks: list[Task] = field(default_factory=list)
    lost: int = 0
    """How often its lease was lost since it last got further."""
    stands: tuple[int, int] | None = None
    """Where it stood when that was, as slices left and the version of the first one's checkpoint."""

    def lose(self) -> bool:
        """Note that its lease is lost; return whether that is once too often."""
        stands = len(self.tasks), self.tasks[0].checkpoint.version
        self.lost = self.lost + 1 if stands == self.stands else 1
        self.stands = stands
        return self.lost == _LEASES_LOST


@contextmanager
def open_pool(settings: Settings, options: BackfillOptions | None = None) -> Iterator["Pool"]:
    """Give a pool with the lake open for writing; leaving ends all work, and what is stored stays.

    Raises StopRun for what stops everything: no key, a wrong address, a full disk, a newer lake.
    """
    settings.require_key()
    with ExitStack() as stack:
        stack.enter_context(_rare_collections())
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        note_less(lake, leases, read_subsets(settings))
        committer = Committer(lake, leases)
        stack.callback(committer.close)
        client = stack.enter_context(open_client(settings))
        pool = Pool(lake, leases, committer, client, options or BackfillOptions(), settings)
        stack.callback(pool.stop)
        yield pool


class Pool:
    """The workers of one process; made by `open_pool`."""

    def __init__(
        self,
        lake: Lake,
        leases: Leases,
        committer: Committer,
        client: NylasClient,
        options: BackfillOptions,
        settings: Settings,
    ) -> None:
        """Start no worker yet."""
        self.lake = lake
        self._leases = leases
        self._committer = committer
        self.client = client
        self._options = options
        self._settings = settings
        self._covered: bool | None = None
        self._waiting: queue.SimpleQueue[GrantWork | None] = queue.SimpleQueue()
        self._grants_left = 0
        self._news: queue.SimpleQueue[MailboxProgress | BaseException] = queue.SimpleQueue()
        self._at_work: dict[str, Task] = {}
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def work(
        self,
        grants: Iterable[GrantWork],
        on_progress: Callable[[MailboxProgress], None],
        options: BackfillOptions | None = None,
    ) -> Iterator[MailboxProgress]:
        """Work these grants and yield the last word on each of their slices.

        `options`, where given, replace the pool's own. `on_progress` is called from this thread, about once a
        second for each slice at work. Raises StopRun for what stops everything.
        """
        waiting = list(grants)
        if not waiting:
            return
        if self._covered is None:
            self.client.check()
            self._covered = is_covered(self._settings, self.client)
        self._options = options or self._options
        count = sum(len(work.tasks) for work in waiting)
        self._grants_left = len(waiting)
        for work in waiting:
            self._waiting.put(work)
        self._threads = [
            threading.Thread(target=self._run, name=f"grant-{number}")
            for number in range(min(self._settings.workers, len(waiting)))
        ]
        for thread in self._threads:
            thread.start()
        yield from self._tell(count, on_progress)
        # The last of them still give back their leases; what is worked next must find these free.
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """End all work at once; what is fetched is stored."""
        self._stopping.set()
        self.client.cancel()
        self._release_workers()
        for thread in self._threads:
            thread.join()

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

    def _work(self, work: GrantWork) -> bool:
        """Work a grant's slices to their ends; False where another process has the grant now."""
        with self.lake.locked():
            fence = self._leases.take(work.lease)
        if fence is None:
            return False
        try:
            with self.client.grant(work.grant_id, work.provider) as grant:
                self._work_slices(work, grant, first=fence == FIRST_FENCE)
        except LeaseLost as error:
            if not work.lose():
                return False
            self._give_up(work, error)
        finally:
            self._leases.give_back(work.lease)
        return True

    def _give_up(self, work: GrantWork, error: LeaseLost) -> None:
        """Tell that what is left of a grant does not get on; without its lease nothing of that is stored."""
        while work.tasks:
            task = work.tasks.pop(0)
            with self._mutex:
                self._at_work.pop(task.part.partition_key, None)
            word = replace(
                task.progress(),
                state=FAILED,
                reason=f"{error.message}, {work.lost} times in a row",
                next_step="Start it again when no other process works on the grant; if it stays, report it.",
            )
            self._news.put(word)

    def _work_slices(self, work: GrantWork, grant: GrantClient, *, first: bool) -> None:
        seen = SeenIds()
        if any(task.stream.appends for task in work.tasks):
            seen.add(self.lake.column(queries.MESSAGE_IDS, wanted=text_table("grant_id", [work.grant_id])))
        # Its holder before, if any, may have got further since this run began.
        stale = [] if first else [task.part.partition_key for task in work.tasks]
        standing = newest_checkpoints(self.lake, stale)
        ended: MailPipelineError | None = None
        refused = 0
        while work.tasks:
            task = work.tasks[0]
            key = task.part.partition_key
            task.begin(max(task.checkpoint, standing.get(key, task.checkpoint), key=_version))
            task.grant = grant
            task.listing = Listing(
                task.part,
                task.checkpoint,
                grant=grant,
                committer=self._committer,
                seen=seen,
                options=self._options,
                covered=bool(self._covered),
                stream=task.stream,
            )
            with self._mutex:
                self._at_work[key] = task
            refusal = _list(task.listing, ended)
            refused = 0 if refusal is None else refused + 1
            if refusal is not None and (ends_the_grant(refusal) or refused == REFUSED_IN_A_ROW):
                ended = refusal
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
    """List a slice, or stop it at once where its grant has `ended`; return what may end the grant."""
    if not listing.finished:
        try:
            if ended is not None:
                raise ended
            listing.run()
        except (StopRun, Cancelled, LeaseLost):
            listing.settle()
            raise
        except MailPipelineError as error:
            listing.stop(error)
            if may_end_the_grant(error):
                return None if listing.checkpoint.state == SKIPPED else error
        except Exception as error:
            _log.error("%s stopped by an unexpected %s", listing.name, traced(error))
            listing.stop(
                SkipMailbox(
                    f"An unexpected {type(error).__name__} stopped the mailbox",
                    next_step="The log has its traceback; please report it. The next run goes on from here.",
                )
            )
    return ended


def _version(checkpoint: Checkpoint) -> int:
    return checkpoint.version
