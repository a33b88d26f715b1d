"""Dagster runs in this very process: for commands that need no daemon, no webserver and no waiting.

The runs are Dagster's own, on its persistent instance: the UI shows them, their logs and their partitions
while they go on. Ending one from the UI works within some seconds. Launching one of them again from its page
does not, since no code server launched it: materialize the failed partitions from the asset's page instead.

While a run goes on, Dagster redirects the process's standard output and error into the run's own files. Who
draws progress meanwhile writes to a duplicate: `os.fdopen(os.dup(1), "w")`, made before.
"""

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from mail_pipeline.config import BackfillConfig
from mail_pipeline.definitions import defs
from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.ledger import read_ledger
from mail_pipeline.partitions import contiguous_ranges, mailboxes, range_tags, sync_partitions
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.settings import Settings
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress

__all__ = ["BackfillOutcome", "check_tables", "refresh_accounts", "run_backfill", "sync_partitions"]

_ASK_SECONDS = 3.0
_QUIET: Mapping[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class BackfillOutcome:
    """How a backfill ended: the last word on each mailbox that got to have one, and the runs' ids."""

    mailboxes: tuple[MailboxProgress, ...]
    runs: tuple[str, ...]
    cancelled: bool = False

    @property
    def succeeded(self) -> bool:
        """Tell whether every mailbox got as far as it was told to."""
        return not self.cancelled and all(mailbox.succeeded for mailbox in self.mailboxes)


def refresh_accounts(instance: dg.DagsterInstance) -> None:
    """List grants and folders in a run of the job `refresh_accounts`, then bring the partitions up to them.

    Raises what the engine raises (StopRun, RetryLater), after the run is stored as failed.
    """
    _run(instance, "refresh_accounts", _Watched())
    sync_partitions(instance, Settings.from_env().data)


def check_tables(instance: dg.DagsterInstance) -> None:
    """Evaluate all asset checks in a run of the job `check_tables`."""
    _run(instance, "check_tables", _Watched())


def run_backfill(
    keys: Sequence[str],
    options: BackfillOptions | None = None,
    *,
    instance: dg.DagsterInstance,
    on_progress: Callable[[MailboxProgress], None] | None = None,
) -> BackfillOutcome:
    """Backfill these partitions in as few runs of the job `backfill` as they make, one after the other.

    `on_progress` is called from this thread: about once a second for each mailbox at work, and with the last
    word on each. Partitions that lie between and are complete may be passed over and reported too. An
    interrupt (Ctrl-C, or SIGTERM) or "Terminate" in the UI ends the run as canceled and is told in the
    outcome; the next call goes on from the last stored page. Raises StopRun for a key without a partition and
    for what stops everything, and ValueError naming an option that is wrong.
    """
    options = options or BackfillOptions()
    config = BackfillConfig.of(options).model_dump()
    registered = instance.get_dynamic_partitions(mailboxes.name or "")
    unknown = sorted(set(keys) - set(registered))
    if unknown:
        raise StopRun(
            f"There is no mailbox {unknown[0]}" + (f", nor {len(unknown) - 1} others" if unknown[1:] else ""),
            next_step="`mail-pipeline status` lists the mailboxes there are.",
        )
    everything = options == BackfillOptions(page_size=options.page_size)
    bridge = read_ledger(Settings.from_env().data).whole if everything else frozenset()
    ended: list[MailboxProgress] = []
    runs: list[str] = []
    for neighbours in contiguous_ranges(registered, set(keys), bridge=bridge):
        watched = _Watched(on_progress, ended)
        run = _run(
            instance,
            "backfill",
            watched,
            tags=range_tags(neighbours),
            config={"ops": {"messages": {"config": config}}},
        )
        runs.append(run.run_id)
        if run.status == dg.DagsterRunStatus.CANCELED:
            return BackfillOutcome(tuple(ended), tuple(runs), cancelled=True)
    return BackfillOutcome(tuple(ended), tuple(runs))


class _Watched(MailPipelineResource):
    """The engine as the assets see it, with someone watching from outside the run."""

    def __init__(
        self,
        on_progress: Callable[[MailboxProgress], None] | None = None,
        ended: list[MailboxProgress] | None = None,
    ) -> None:
        self._tell = on_progress or (lambda _: None)
        self._ended = [] if ended is None else ended
        self._next_look = 0.0
        self.run_id = str(uuid.uuid4())
        self.instance: dg.DagsterInstance | None = None
        self.stopped: MailPipelineError | None = None

    def backfill(
        self,
        keys: Sequence[str],
        options: BackfillOptions,
        on_progress: Callable[[MailboxProgress], None],
    ) -> Iterator[MailboxProgress]:
        def tell(mailbox: MailboxProgress) -> None:
            on_progress(mailbox)
            self._tell(mailbox)
            self._heed_the_ui()

        for mailbox in super().backfill(keys, options, tell):
            self._ended.append(mailbox)
            self._tell(mailbox)
            yield mailbox
            self._heed_the_ui()

    def _heed_the_ui(self) -> None:
        ...
