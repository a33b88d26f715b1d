"""Dagster runs in this very process: for commands that need no daemon, no webserver and no waiting.

The runs are Dagster's own, on its persistent instance: the UI shows them, their logs and their partitions
while they go on. Ending one from the UI works within some seconds. Launching one of them again from its page
does not, since no code server launched it: materialize the failed partitions from the asset's page instead.

While a run goes on, Dagster redirects the process's standard output and error into the run's own files. Who
draws progress meanwhile writes to a duplicate: `os.fdopen(os.dup(1), "w")`, made before.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.config import BackfillConfig, MirrorConfig
from mail_pipeline.definitions import defs
from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.interrupts import interrupts_noticed, terminated_like_interrupted
from mail_pipeline.ledger import read_ledger
from mail_pipeline.partitions import (
    GRANT_PARTITIONS,
    PARTITIONS,
    contiguous_ranges,
    range_tags,
    sync_partitions,
)
from mail_pipeline.resources import MailPipelineResource, UnexpectedFailure
from mail_pipeline.settings import Settings
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress
from mail_pipeline.sync.checkpoints import MESSAGES

__all__ = [
    "BackfillOutcome",
    "MirrorOutcome",
    "refresh_accounts",
    "refresh_marts",
    "run_backfill",
    "run_mirror",
    "sync_partitions",
]

_ASK_SECONDS = 3.0
_UNWANTED = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}
_OnProgress = Callable[[MailboxProgress], None]
_Tell = Callable[[str, MailboxProgress], None]
"""Takes the stream and the word on one of its partitions."""
_QUIET: Mapping[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class BackfillOutcome:
    """How a backfill ended.

    The last word on each mailbox that got to have one, the ids of the runs, and the keys without a partition.
    """

    mailboxes: tuple[MailboxProgress, ...]
    runs: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    cancelled: bool = False

    @property
    def succeeded(self) -> bool:
        """Tell whether every mailbox got as far as it was told to."""
        return (
            not self.cancelled and not self.unknown and all(mailbox.succeeded for mailbox in self.mailboxes)
        )


@dataclass(frozen=True, slots=True)
class MirrorOutcome:
    """How listing streams ended: the last word on each stream and grant, and the grants not known."""

    grants: tuple[tuple[str, MailboxProgress], ...]
    unknown: tuple[str, ...] = ()
    cancelled: bool = False

    @property
    def succeeded(self) -> bool:
        """Tell whether every stream of every grant got as far as it was told to."""
        return not self.cancelled and not self.unknown and all(each.succeeded for _, each in self.grants)


def refresh_accounts(instance: dg.DagsterInstance) -> None:
    """List grants and folders in a run of the job `refresh_accounts`, then bring the partitions up to them.

    Raises what the engine raises (StopRun, RetryLater), after the run is stored as failed, and
    KeyboardInterrupt where the run was interrupted or terminated.
    """
    _run_whole(instance, "refresh_accounts")
    sync_partitions(instance, Settings.from_env().data)


def refresh_marts(instance: dg.DagsterInstance) -> None:
    """Bring the marts up to the mail, then the overview, in a run each. Raises as `refresh_accounts` does."""
    for job in ("refresh_marts", "refresh_overview"):
        _run_whole(instance, job)


def run_backfill(
    keys: Sequence[str],
    options: BackfillOptions | None = None,
    *,
    instance: dg.DagsterInstance,
    on_progress: Callable[[MailboxProgress], None] | None = None,
) -> BackfillOutcome:
    """Backfill these partitions in as few runs of the job `backfill` as they make, one after the other.

    `on_progress` is called from this thread: about once a second for each mailbox at work, and with the last
    word on each. A run may pass over complete mailboxes that lie between; nobody is told of those. An
    interrupt (Ctrl-C, or SIGTERM) or "Terminate" in the UI ends the run as canceled and is told in the
    outcome; the next call goes on from the last stored page. Raises StopRun for what stops everything, and
    ValueError naming an option that is wrong.
    """
    options, wanted = options or BackfillOptions(), set(keys)
    registered = instance.get_dynamic_partitions(PARTITIONS)
    unknown = tuple(sorted(wanted - set(registered)))
    everything = options == BackfillOptions(page_size=options.page_size)
    bridge = read_ledger(Settings.from_env().data).whole if everything else frozenset()
    tell = on_progress or (lambda _: None)
    ended: list[MailboxProgress] = []
    runs: list[str] = []

    def end(_: str, mailbox: MailboxProgress) -> None:
        if mailbox.partition_key in wanted:
            ended.append(mailbox)
            tell(mailbox)

    for run, cancelled in _run_ranges(
        instance,
        "backfill",
        contiguous_ranges(registered, wanted, bridge=bridge),
        {"ops": {"messages": {"config": BackfillConfig.of(options).model_dump()}}},
        tell=lambda _, mailbox: tell(mailbox),
        end=end,
    ):
        runs.append(run.run_id)
        if cancelled:
            return BackfillOutcome(tuple(ended), tuple(runs), unknown, cancelled=True)
    return BackfillOutcome(tuple(ended), tuple(runs), unknown)


def run_mirror(
    grant_ids: Sequence[str],
    streams: Sequence[str],
    options: BackfillOptions | None = None,
    *,
    instance: dg.DagsterInstance,
    on_progress: Callable[[str, MailboxProgress], None] | None = None,
) -> MirrorOutcome:
    """List streams of these grants in as few runs as they make, one after the other.

    `on_progress` is told of a stream and a grant: about once a second for each at work, and with the last
    word on each. Interrupts and errors as in `run_backfill`.
    """
    config = MirrorConfig.of(options or BackfillOptions()).model_dump()
    wanted = set(grant_ids)
    registered = instance.get_dynamic_partitions(GRANT_PARTITIONS)
    unknown = tuple(sorted(wanted - set(registered)))
    tell = on_progress or (lambda *_: None)
    ended: list[tuple[str, MailboxProgress]] = []

    def end(stream: str, grant: MailboxProgress) -> None:
        ended.append((stream, grant))
        tell(stream, grant)

    for stream in streams:
        for _, cancelled in _run_ranges(
            instance,
            jobs.LISTS[stream].name,
            contiguous_ranges(registered, wanted),
            {"ops": {stream: {"config": config}}},
            tell=tell,
            end=end,
        ):
            if cancelled:
                return MirrorOutcome(tuple(ended), unknown, cancelled=True)
    return MirrorOutcome(tuple(ended), unknown)


class _Watched(MailPipelineResource):
    """The engine as an asset sees it, in a run that someone watches and the UI may want to end."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, *, tell: _Tell, end: _Tell) -> None:
        self._instance = instance
        self._run_id = run_id
        self._tell = tell
        self._end = end
        self._asked = time.monotonic()

    def backfill(
        self, keys: Sequence[str], options: BackfillOptions, on_progress: _OnProgress
    ) -> Iterator[MailboxProgress]:
        return self._watch(MESSAGES, on_progress, partial(super().backfill, keys, options))

    def mirror(
        self, stream: str, grant_ids: Sequence[str], options: BackfillOptions, on_progress: _OnProgress
    ) -> Iterator[MailboxProgress]:
        return self._watch(stream, on_progress, partial(super().mirror, stream, grant_ids, options))

    def _watch(
        self,
        stream: str,
        on_progress: _OnProgress,
        work: Callable[[_OnProgress], Iterator[MailboxProgress]],
    ) -> Iterator[MailboxProgress]:
        def running(word: MailboxProgress) -> None:
            on_progress(word)
            self._tell(stream, word)
            self._heed_the_ui()

        with self._interruptible():
            for word in work(running):
                yield word
                self._end(stream, word)

    def _heed_the_ui(self) -> None:
        """End the run where the UI has asked for it: there is no code server to pass that on."""
        if time.monotonic() - self._asked < _ASK_SECONDS:
            return
        self._asked = time.monotonic()
        if _existing(self._instance, self._run_id).status in _UNWANTED:
            raise dg.DagsterExecutionInterruptedError

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        try:
            yield
        except dg.DagsterExecutionInterruptedError:
            _ask_to_cancel(self._instance, self._run_id)
            raise


def _run_whole(instance: dg.DagsterInstance, job: str) -> None:
    run, cancelled = _run(instance, job, str(uuid.uuid4()))
    # What stops such a run raises, so one without success was interrupted.
    if cancelled or run.status != dg.DagsterRunStatus.SUCCESS:
        raise KeyboardInterrupt


def _run_ranges(
    instance: dg.DagsterInstance,
    job: str,
    ranges: Iterable[Sequence[str]],
    config: Mapping[str, object],
    *,
    tell: _Tell,
    end: _Tell,
) -> Iterator[tuple[dg.DagsterRun, bool]]:
    """Run a job for each range of partitions, one after the other; yield what `_run` returns of each."""
    for neighbours in ranges:
        run_id = str(uuid.uuid4())
        watched = _Watched(instance, run_id, tell=tell, end=end)
        yield _run(instance, job, run_id, mail_pipeline=watched, tags=range_tags(neighbours), config=config)


def _run(
    instance: dg.DagsterInstance,
    job: str,
    run_id: str,
    *,
    mail_pipeline: MailPipelineResource | None = None,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, object] | None = None,
) -> tuple[dg.DagsterRun, bool]:
    """Run a job to its end, whatever that is; raise only what stopped all of it.

    Return the run, and whether somebody wanted it to end.
    """
    noticing = interrupts_noticed(partial(_ask_to_cancel, instance, run_id))
    with noticing as interrupted, terminated_like_interrupted():
        try:
            defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config={**_QUIET, **(config or {})},
                # The daemon cannot run it again: it belongs to no code location.
                tags={"dagster/max_retries": "0", **(tags or {})},
                resources={"mail_pipeline": mail_pipeline or MailPipelineResource()},
            )
        except dg.Failure as failure:
            if isinstance(failure.__cause__, MailPipelineError):
                raise failure.__cause__ from None
            if isinstance(failure, UnexpectedFailure) and not interrupted.is_set():
                raise failure.error from failure.error.__cause__
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError, RuntimeError) as error:
            # The last is DuckDB's word for an interrupt of its query.
            if isinstance(error, RuntimeError) and not interrupted.is_set():
                raise
            _end(instance, run_id)
    run = _existing(instance, run_id)
    if interrupted.is_set() and run.status == dg.DagsterRunStatus.FAILURE:
        # Dagster had come to its end before it was asked.
        instance.report_run_canceled(run)
        run = _existing(instance, run_id)
    return run, interrupted.is_set() or run.status in _UNWANTED


def _ask_to_cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    """Have Dagster call the end of a run a cancellation: else all that had no time yet has failed."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished and run.status not in _UNWANTED:
        instance.report_run_canceling(run)


def _end(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise KeyboardInterrupt
    if not run.is_finished:
        instance.report_run_canceled(run)


def _existing(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise StopRun(f"The run {run_id} was deleted while it went on", next_step="Start the command again.")
    return run
