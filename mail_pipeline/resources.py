"""The engine as Dagster's assets see it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from mail_pipeline.config import ReconcileConfig
from mail_pipeline.dagster_home import dagster_error
from mail_pipeline.errors import MailPipelineError, StopRun, traced
from mail_pipeline.ledger import grants_with_open_gaps
from mail_pipeline.search.refresh import Refreshed, refresh
from mail_pipeline.settings import Settings
from mail_pipeline.sync.apply import ApplyReport, Replay, apply
from mail_pipeline.sync.attachments import (
    AttachmentOptions,
    AttachmentProgress,
    fetch_attachments,
)
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress, backfill
from mail_pipeline.sync.coverage import Coverage, watch
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.reconcile import ReconcileReport, reconcile
from mail_pipeline.sync.streams import RECORD_STREAMS
from mail_pipeline.upkeep import keep_up

_log = logging.getLogger(__name__)


class MailPipelineResource:
    """The pipeline's settings and engine.

    Everything comes from the environment of the process that runs, at the moment it runs: `NYLAS_API_KEY`,
    `NYLAS_API_URI`, `MAIL_PIPELINE_DATA` and the others of `settings.VARIABLES`. A plain object and not a
    ConfigurableResource, so that no secret can ever be part of a run's configuration, definitions load
    without any, and a run without a key says in plain words what to set. With `EnvVar` an unset variable
    stops a backfill before its first run, with Dagster's traceback and without a next step.
    """

    def settings(self) -> Settings:
        """Read the environment. Raises StopRun naming the variable that is wrong."""
        return Settings.from_env()

    def no_key(self) -> str | None:
        """Return what to do where no API key is set; None where one is. Nothing starts by itself without."""
        try:
            self.settings().require_key()
        except StopRun as error:
            return str(error)
        return None

    def backfill(
        self,
        keys: Sequence[str],
        options: BackfillOptions,
        on_progress: Callable[[MailboxProgress], None],
    ) -> Iterator[MailboxProgress]:
        """Backfill these partitions as `mail_pipeline.sync.backfill.backfill` promises."""
        return backfill(keys, settings=self.settings(), options=options, on_progress=on_progress)

    def attachments(self, options: AttachmentOptions) -> Iterator[AttachmentProgress]:
        """Fetch attachments as `mail_pipeline.sync.attachments.fetch_attachments` promises."""
        return fetch_attachments(self.settings(), options=options)

    def mirror(
        self,
        stream: str,
        grant_ids: Sequence[str],
        options: BackfillOptions,
        on_progress: Callable[[MailboxProgress], None],
    ) -> Iterator[MailboxProgress]:
        """List a stream of these grants as `mail_pipeline.sync.mirror.mirror` promises."""
        return mirror(
            RECORD_STREAMS[stream],
            grant_ids,
            settings=self.settings(),
            options=options,
            on_progress=on_progress,
        )

    def apply(self, replay: Replay | None = None) -> ApplyReport:
        """Apply notifications as `mail_pipeline.sync.apply.apply` promises."""
        return apply(self.settings(), replay=replay)

    def upkeep(self) -> None:
        """Do all upkeep there is, of the lake, of the landing table and of attachments' files."""
        keep_up(self.settings())

    def refresh_search(self) -> Refreshed:
        """Bring the search index up to the lake as `mail_pipeline.search.refresh.refresh` promises."""
        return refresh(self.settings().data)

    def watch(self) -> Coverage:
        """Look at the webhooks as `mail_pipeline.sync.coverage.watch` promises."""
        return watch(self.settings())

    def reconcile(self, config: ReconcileConfig) -> ReconcileReport:
        """Reconcile as `mail_pipeline.sync.reconcile.reconcile` promises."""
        settings = self.settings()
        chosen = frozenset({config.grant}) if config.grant else None
        if config.gaps_only:
            gaps = grants_with_open_gaps(settings.data)
            chosen = gaps if chosen is None else chosen & gaps
        return reconcile(
            settings, grants=chosen, since=config.bound(), providers=set(config.providers) or None
        )


class UnexpectedFailure(dg.Failure):
    """Stands in Dagster's history for an error whose text may hold a value from somebody's mail."""

    def __init__(self, error: Exception) -> None:
        """Take the error, for who runs the job in this process; only its kind is told."""
        kind = type(error)
        super().__init__(
            f"Unexpected {kind.__module__.lstrip('_')}.{kind.__qualname__}; "
            "the log has its traceback, please report it",
            allow_retries=False,
        )
        self.error = error


@contextmanager
def plain_failures() -> Iterator[None]:
    """Make every error a failure of the run: of the package's own, its message and next step are the text.

    Of an unexpected one no text gets into Dagster's history: its kind does, and the log has its place.
    Interrupts, DuckDB's word for one too, pass as they are.
    """
    try:
        yield
    except dg.Failure:
        raise
    except MailPipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt | dg.DagsterExecutionInterruptedError):
            raise
        # Its events are written within the block too.
        if known := dagster_error(error, Settings.from_env().data):
            raise dg.Failure(str(known), allow_retries=False) from known
        _log.error("A run was stopped by an unexpected %s", traced(error))
        raise UnexpectedFailure(error) from None
