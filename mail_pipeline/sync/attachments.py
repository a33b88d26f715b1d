"""The bytes of attachments: fetched only when somebody asks, each once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from mail_pipeline.disk import disk_errors
from mail_pipeline.errors import MailPipelineError, RetryLater, StopRun
from mail_pipeline.lake import attachment_queries, queries
from mail_pipeline.lake.attachment_upkeep import claim, remove_orphans
from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Cancelled, NylasClient
from mail_pipeline.settings import Settings
from mail_pipeline.sync.attachment_fetch import Budget, GrantFetch, Tally, media_type
from mail_pipeline.sync.attachment_rows import Recorder, Wanted
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, PAUSED
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.leases import LeaseLost, Leases

LARGEST = 50 * 10**6
"""Bytes of an attachment that are fetched unless more, or fewer, are asked for."""

FETCHING = "fetching"

_NEWS_SECONDS = 1.0
_LEASE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class AttachmentOptions:
    """Which attachments to fetch; all that are not too large unless told otherwise."""

    grants: tuple[str, ...] = ()
    """Empty: all valid ones."""
    since: datetime | None = None
    """Only of messages received since."""
    types: tuple[str, ...] = ()
    """Media types such as `application/pdf` or `image/*`; empty: all."""
    inline: bool | None = None
    """Only those shown inside bodies, or only others; None: both."""
    max_size: int = LARGEST
    """Bytes; what is larger is noted as skipped."""
    total_size: int | None = None
    """Bytes to fetch at the most, going by the sizes the provider tells; the next call goes on."""
    retry_gone: bool = False
    """Ask once more for what was not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentProgress:
    """Where a grant's attachments stand in this call."""

    grant_id: str
    provider: str
    state: str
    """fetching while at work, then complete, paused or failed."""
    wanted: int
    told_bytes: int
    """What the provider says of the size of all that are wanted."""
    stored: int
    skipped: int
    gone: int
    failed: int
    left_out: int
    """Not asked for, since `total_size` was reached."""
    bytes: int
    """Stored in this call."""
    seconds: float
    reason: str | None = None
    next_step: str | None = None

    @property
    def done(self) -> int:
        """Return how many have their outcome."""
        return self.stored + self.skipped + self.gone + self.failed

    @property
    def succeeded(self) -> bool:
        """Tell whether nothing has to be tried again."""
        return self.reason is None and not self.failed


@dataclass(slots=True)
class _Task:
    """A grant of this call, and how far it is."""

    grant_id: str
    provider: str
    per_folder: bool
    begun: float = 0.0
    tally: Tally = field(default_factory=Tally)

    def progress(self, state: str = FETCHING, error: MailPipelineError | None = None) -> AttachmentProgress:
        tally, states = self.tally, dict(self.tally.states)
        return AttachmentProgress(
            grant_id=self.grant_id,
            provider=self.provider,
            state=state,
            wanted=tally.wanted,
            told_bytes=tally.told_bytes,
            **{name: states.get(name, 0) for name in ("stored", "skipped", "gone", "failed")},
            left_out=tally.left_out,
            bytes=tally.bytes,
            seconds=time.monotonic() - self.begun if self.begun else 0.0,
            reason=None if error is None else error.message,
            next_step=None if error is None else error.next_step,
        )


def fetch_attachments(
    settings: Settings,
    *,
    options: AttachmentOptions | None = None,
    on_progress: Callable[[AttachmentProgress], None] | None = None,
) -> Iterator[AttachmentProgress]:
    """Fetch the bytes of attachments that are not there yet, newest first, and yield each grant's last word.

    An attachment that cannot be had is noted with the reason, and the others go on. A grant that another
    process works on is waited for. Ending the iteration early stops all work; what is stored stays, and the
    next call goes on from there. `on_progress` is called from the caller's thread, about once a second for
    each grant at work. Raises StopRun for what stops everything.
    """
    settings.require_key()
    options = options or AttachmentOptions()
    with ExitStack() as stack:
        lake = stack.enter_context(Lake(settings.data))
        store = FileStore.open(settings.data, settings.attachments)
        leases = Leases(settings.data)
        stack.callback(leases.close)
        client = stack.enter_context(open_client(settings))
        tasks = _tasks(lake, options)
        if not tasks:
            return
        client.check()
        with disk_errors(store.place):
            claim(lake, store)
            store.remove_leftovers()
        pool = stack.enter_context(ThreadPoolExecutor(settings.workers, thread_name_prefix="attachments"))
        crew = _Crew(lake, leases, store, client, options)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        stack.callback(crew.stop)
        yield from _tell(pool, crew, tasks, on_progress or (lambda _: None))


def open_store(settings: Settings) -> FileStore | None:
    """Open where the bytes of attachments go; None where none were ever fetched."""
    if settings.attachments is None and not (settings.data / "attachments").exists():
        return None
    return FileStore.open(settings.data, settings.attachments)


def remove_unneeded_files(settings: Settings) -> int:
    """Remove files of attachments that nothing refers to, a day after they were made; return how many."""
    store = open_store(settings)
    if store is None:
        return 0
    with Lake(settings.data) as lake, disk_errors(store.place):
        return remove_orphans(lake, store)


def _tell(
    pool: ThreadPoolExecutor,
    crew: "_Crew",
    tasks: Sequence[_Task],
    on_progress: Callable[[AttachmentProgress], None],
) -> Iterator[AttachmentProgress]:
    working: dict[Future[AttachmentProgress | None], _Task] = {
        pool.submit(crew.work, task): task for task in tasks
    }
    while working:
        done, _ = wait(working, timeout=_NEWS_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            task = working.pop(future)
            word = future.result()
            if word is None:
                # Another process has the grant; the others come first.
                working[pool.submit(crew.work, task)] = task
            else:
                yield word
        if not done:
            for task in working.values():
                if task.begun:
                    on_progress(task.progress())


def _tasks(lake: Lake, options: AttachmentOptions) -> list[_Task]:
    known = {row["id"]: row for row in lake.table(queries.KNOWN_GRANTS).to_pylist()}
    for grant_id in options.grants:
        if grant_id not in known:
            raise StopRun(
                f"There is no grant {grant_id}",
                next_step='`mail-pipeline sql "SELECT id, provider FROM grants"` lists them.',
            )
    return [
        _Task(row["id"], row["provider"], row["per_folder"])
        for row in known.values()
        if not row["gone"] and (row["id"] in options.grants if options.grants else row["status"] == "valid")
    ]


class _Crew:
    """What the workers of one call share."""

    def __init__(
        self, lake: Lake, leases: Leases, store: FileStore, client: NylasClient, options: AttachmentOptions
    ) -> None:
        self._lake = lake
        self._leases = leases
        self._store = store
        self._client = client
        self._options = options
        self._recorder = Recorder(lake, leases, store)
        self._budget = Budget(options.total_size)
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self._client.cancel()

    def work(self, task: _Task) -> AttachmentProgress | None:
        """Fetch a grant's attachments; None where another process has the grant now."""
        with self._lake.locked():
            taken = self._leases.take(task.grant_id)
        if taken is None:
            self._stopping.wait(_LEASE_SECONDS)
            return None
        try:
            task.begun, task.tally = task.begun or time.monotonic(), Tally()
            self._fetch(task, self._wanted(task))
        except LeaseLost:
            return None
        except (StopRun, Cancelled):
            raise
        except RetryLater as error:
            return task.progress(PAUSED, error)
        except MailPipelineError as error:
            return task.progress(FAILED, error)
        finally:
            self._leases.give_back(task.grant_id)
        return task.progress(COMPLETE)

    def _fetch(self, task: _Task, wanted: Sequence[Wanted]) -> None:
        task.tally.wanted = len(wanted)
        task.tally.told_bytes = sum(each.size or 0 for each in wanted)
        if not wanted:
            return
        with (
            disk_errors(self._store.place),
            self._client.grant(task.grant_id, task.provider) as grant,
        ):
            GrantFetch(
                task.grant_id,
                client=grant,
                per_folder=task.per_folder,
                recorder=self._recorder,
                store=self._store,
                budget=self._budget,
                largest=self._options.max_size,
                grant_exists=lambda: self._client.one_grant(task.grant_id),
                tally=task.tally,
            ).run(wanted)

    def _wanted(self, task: _Task) -> list[Wanted]:
        options = self._options
        asked: dict[str, Any] = {
            "grant": task.grant_id,
            "since": None if options.since is None else int(options.since.timestamp()),
            "inline": options.inline,
            "largest": options.max_size,
            "gone": options.retry_gone,
        }
        rows = self._lake.table(attachment_queries.ATTACHMENTS_TO_FETCH, asked)
        wanted = (Wanted(**row) for batch in rows.to_batches() for row in batch.to_pylist())
        types = [each.strip().lower() for each in options.types]
        return [each for each in wanted if not types or _is_one_of(each, types)]


def _is_one_of(wanted: Wanted, types: Sequence[str]) -> bool:
    found = media_type(wanted)
    return any(fnmatchcase(found, each) for each in types)
