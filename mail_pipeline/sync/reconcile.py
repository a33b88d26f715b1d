"""Reconcile: set what the lake holds against what the provider lists, and mend what differs."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.settings import Settings
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.checkpoints import checkpoint_rows, newest_checkpoints
from mail_pipeline.sync.coverage import is_covered
from mail_pipeline.sync.fetching import fetch_waiting
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.narrowing import note_less
from mail_pipeline.sync.position import BackfillOptions, narrower, oldest_second
from mail_pipeline.sync.progress import MailboxProgress
from mail_pipeline.sync.streams import RECORD_STREAMS
from mail_pipeline.sync.sweep import Findings, store_sweep
from mail_pipeline.sync.sweeps import SweepJob, Sweeps, open_sweeps

_log = logging.getLogger(__name__)

LISTED_BY_FOLDER = tuple(sorted(IMAP_FAMILY))
"""Providers whose old mail is only reached folder by folder, and of whose old mail no webhook tells."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How the sweep of one grant ended; `error` says why where it did not get through, or not everywhere."""

    grant_id: str
    provider: str
    since: datetime | None
    findings: Findings | None = None
    error: MailPipelineError | None = None


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What became of each grant, and of what had to be asked for by itself."""

    grants: tuple[Reconciliation, ...]
    fetched: int
    waiting: int
    open_gaps: int
    """Gaps that are still not repaired."""
    relisted: tuple[tuple[str, MailboxProgress], ...] = ()
    """The streams beside the mail that were listed again, with the last word on each grant."""

    @property
    def unlisted(self) -> tuple[tuple[str, MailboxProgress], ...]:
        """Return those of them that did not get through."""
        return tuple((stream, word) for stream, word in self.relisted if not word.succeeded)

    @property
    def succeeded(self) -> bool:
        """Tell whether every grant got through and nothing is left to be asked for."""
        left = self.waiting or self.unlisted
        return not left and all(each.error is None for each in self.grants)


def reconcile(
    settings: Settings,
    *,
    grants: Collection[str] | None = None,
    since: datetime | None = None,
    providers: Collection[str] | None = None,
    on_grant: Callable[[Reconciliation], None] | None = None,
) -> ReconcileReport:
    """Sweep grants, all valid ones unless told which, and mend what differs: new, changed and gone messages.

    Looks back to `since`, or through the whole mailbox where that is None. What arrived in an open gap is
    listed with everything in it. A grant that a backfill is at work on is left to the next time, and so is an
    expired one, which is a failure only where `grants` names it. Raises StopRun for what stops everything; a
    grant that does not get through is in the report.
    """
    bound = oldest_second(since)
    with open_sweeps(settings) as sweeps:
        lake = sweeps.lake
        note_less(lake, sweeps.leases, read_subsets(settings))
        covered = is_covered(settings, sweeps.client)
        every = sweeps.jobs(grants=grants, providers=providers, since=bound)
        # An expired one is swept once it is connected again: its gap stays open until then.
        jobs = [job for job in every if grants is not None or not job.expired]
        done = sweeps.work(jobs, lambda job: _reconcile(sweeps, job, covered), on_grant)
        fetched, waiting = fetch_waiting(settings, lake, sweeps.client)
        # What is looked at whole is looked at with all there is beside the mail.
        there = [job for job in jobs if not job.expired]
        whole = [job.grant_id for job in there if job.since is None or job.whole_since is not None]
        relisted = tuple(_relist(settings, lake, whole))
        with lake.transaction() as transaction:
            transaction.change("gaps", queries.MARK_REPAIRED_GAPS)
        (open_gaps,) = lake.column(queries.OPEN_GAPS_COUNT)
    return ReconcileReport(tuple(done), fetched, waiting, open_gaps, relisted)


def _relist(
    settings: Settings, lake: Lake, grant_ids: Sequence[str]
) -> Iterator[tuple[str, MailboxProgress]]:
    """List again the contacts, calendars and events of these grants, as far as they were ever listed."""
    wanted = text_table("grant_id", grant_ids)
    begun = {
        (row["stream"], row["grant_id"])
        for row in lake.table(queries.BEGUN_STREAMS, wanted=wanted).to_pylist()
    }
    for name, stream in RECORD_STREAMS.items():
        of = [grant_id for grant_id in grant_ids if (name, grant_id) in begun]
        if of:
            for word in mirror(stream, of, settings=settings, options=BackfillOptions(full_resync=True)):
                yield name, word


def _reconcile(sweeps: Sweeps, job: SweepJob, covered: bool) -> Reconciliation:
    grant_id, provider = job.grant_id, job.provider
    told = Reconciliation(
        grant_id, provider, None if job.since is None else datetime.fromtimestamp(job.since, UTC)
    )
    try:
        job.require_connected()
        with sweeps.leases.held(sweeps.lake, grant_id):
            findings, refusal = _sweep(sweeps, job, covered)
    except StopRun:
        raise
    except MailPipelineError as error:
        _log.warning("Grant %s was not reconciled: %s", grant_id, error.message)
        return replace(told, error=error)
    except Exception as error:
        return replace(told, error=job.stopped_by(error))
    if refusal is not None:
        _log.warning("Grant %s was reconciled in part: %s", grant_id, refusal.message)
    return replace(told, findings=findings, error=refusal)


def _sweep(sweeps: Sweeps, job: SweepJob, covered: bool) -> tuple[Findings, MailPipelineError | None]:
    lake, grant_id = sweeps.lake, job.grant_id
    swept, whole = sweeps.list_mail(job)
    goal = sweeps.scopes.goal(grant_id, job.provider)
    keys = list(lake.column(queries.MAILBOX_KEYS, [grant_id]))
    with lake.transaction() as transaction:
        fence = sweeps.leases.check(grant_id)
        findings = store_sweep(transaction, swept, whole)
        ended = [_row(job, swept.began_at, findings)] if swept.refusal is None else []
        transaction.append("reconciliations", arrow_table("reconciliations", ended))
        # Whatever fell between the first page and the webhook is found by now.
        sure = bool(ended) and covered and job.since is None
        standing = newest_checkpoints(lake, keys).values()
        stand = [
            (each, replace(narrower(each, goal), subscribed=sure or each.subscribed)) for each in standing
        ]
        at = int(time.time())
        advanced = [
            replace(now, version=now.version + 1, fence=fence, updated_at=at)
            for each, now in stand
            if now != each
        ]
        transaction.append("checkpoints", checkpoint_rows(advanced))
    return findings, swept.refusal


def _row(job: SweepJob, began_at: int, findings: Findings) -> tuple[Any, ...]:
    return (
        job.grant_id,
        job.since,
        began_at,
        time.time(),
        findings.listed,
        findings.unknown,
        findings.changed,
        findings.missing,
    )
