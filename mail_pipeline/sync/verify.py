"""Verify: set what the lake holds of mail against what the provider lists, and name what differs."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mail_pipeline.errors import MailPipelineError, SkipMailbox, StopRun
from mail_pipeline.lake import account_queries, queries
from mail_pipeline.nylas import MalformedPage, NotFound, NylasClient, Unsupported
from mail_pipeline.settings import Settings
from mail_pipeline.sync.checkpoints import COMPLETE, newest_checkpoints
from mail_pipeline.sync.partition_keys import RECENT, split
from mail_pipeline.sync.position import oldest_second
from mail_pipeline.sync.streams.mail import find_message
from mail_pipeline.sync.sweep import Differences, Swept, compare
from mail_pipeline.sync.sweeps import SweepJob, Sweeps, open_sweeps

_log = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The provider lists it, the lake does not have it."""
DELETED = "deleted"
"""The provider lists it, the lake has it as deleted."""
EXTRA = "extra"
"""The lake has it; the provider, asked for it, says it is not there, or not where it is wanted."""
CHANGED = "changed"
"""It is read, starred or in folders otherwise than the lake says."""
KINDS = (UNKNOWN, DELETED, EXTRA, CHANGED)
"""In which ways a message can differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A message that differs, in one of the KINDS."""

    grant_id: str
    message_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How one grant's mail compares; `error` says why where it could not be compared, or not wholly."""

    grant_id: str
    provider: str
    since: datetime | None = None
    """The date it was compared to, as far back as its mail was backfilled; None: to the first message."""
    listed: int | None = None
    differences: tuple[Difference, ...] = ()
    error: MailPipelineError | None = None

    @property
    def verified(self) -> bool:
        """Tell whether it was compared and nothing differs."""
        return self.error is None and not self.differences

    def count(self, kind: str) -> int:
        """Return how many messages differ in this way."""
        return sum(each.kind == kind for each in self.differences)


def verify(
    settings: Settings,
    *,
    grants: Collection[str] | None = None,
    since: datetime | None = None,
    on_grant: Callable[[Verification], None] | None = None,
) -> list[Verification]:
    """Compare the mail of grants, all unless told which, with what their providers list.

    By id, flags and folders, back to `since` or to where each grant was backfilled. No message is changed;
    only the list of folders is brought up to date where mail is listed by folder. A row that something else
    has touched while the list was read is not called changed; what has arrived and waits to be applied is
    unknown. Raises StopRun for what stops everything; a grant that cannot be compared, as one whose backfill
    has not ended, is in what is returned.
    """
    bound = oldest_second(since)
    with open_sweeps(settings) as sweeps:
        jobs = [replace(job, whole_since=None) for job in sweeps.jobs(grants=grants, since=bound)]
        return sweeps.work(jobs, lambda job: _verify(sweeps, job), on_grant)


def _verify(sweeps: Sweeps, job: SweepJob) -> Verification:
    told = Verification(job.grant_id, job.provider)
    try:
        with sweeps.leases.held(sweeps.lake, job.grant_id):
            job = _bounded(sweeps, job)
            swept, _ = sweeps.list_mail(job)
            with sweeps.lake.transaction() as transaction:
                found = compare(transaction, swept, settled=True)
            gone, unclear = _gone(sweeps.client, job, found)
            unread = sum(sweeps.lake.column(account_queries.UNREAD_FOLDERS, [job.grant_id]))
    except StopRun:
        raise
    except MailPipelineError as error:
        _log.warning("Grant %s was not verified: %s", job.grant_id, error.message)
        return replace(told, error=error)
    except Exception as error:
        return replace(told, error=job.stopped_by(error))
    kinds = sorted(_kinds(found, gone).items())
    return replace(
        told,
        since=None if job.since is None else datetime.fromtimestamp(job.since, UTC),
        listed=swept.listed,
        differences=tuple(Difference(job.grant_id, identity, kind) for identity, kind in kinds),
        error=_doubt(swept, unclear, unread if job.by_folder else 0),
    )


def _bounded(sweeps: Sweeps, job: SweepJob) -> SweepJob:
    """Look back no further than its mailboxes do. Raises SkipMailbox where nothing can be compared yet."""
    job.require_connected()
    mailboxes = sweeps.lake.table(queries.MAILBOX_STATES, [job.grant_id]).to_pylist()
    standing = newest_checkpoints(sweeps.lake, [each["partition_key"] for each in mailboxes])
    goal = sweeps.scopes.goal(job.grant_id, job.provider)
    begin = f"Run `mail-pipeline backfill --grant {job.grant_id}` first."
    if unfinished := sum(each["state"] != COMPLETE for each in mailboxes):
        raise SkipMailbox(
            f"Mailboxes of grant {job.grant_id} whose backfill has not ended: {unfinished:,}", next_step=begin
        )
    if any(goal.missing(each.subset) for each in standing.values()):
        raise SkipMailbox(
            f"More of grant {job.grant_id} is wanted by now than was backfilled", next_step=begin
        )
    # The list that shows the last 90 days reaches no further anyway.
    bounds = {each.since for key, each in standing.items() if split(key)[1] != RECENT}
    if len(bounds) > 1:
        raise SkipMailbox(
            f"The folders of grant {job.grant_id} were backfilled to different dates",
            next_step="Backfill them to one date, or verify with a date that all of them reach.",
        )
    bounds.add(job.since)
    return replace(job, since=max((each for each in bounds if each is not None), default=None))


def _gone(client: NylasClient, job: SweepJob, found: Differences) -> tuple[list[str], int]:
    """Ask for what was not listed by itself: that a list did not show it says too little.

    Return which are not there, or not among what is wanted, and of how many that could not be told.
    """
    gone = []
    unclear = 0
    with client.grant(job.grant_id, job.provider) as grant:
        for identity, folder in found.missing:
            try:
                page, _ = find_message(grant, identity, folder, imap=bool(job.grant["per_folder"]))
            except NotFound:
                gone.append(identity)
            except (Unsupported, MalformedPage):
                unclear += 1
            else:
                gone += page.left_out
    return gone, unclear


def _doubt(swept: Swept, unclear: int, unread: int) -> SkipMailbox | None:
    """Return what keeps the comparison from being whole; `unread` are folders that could not be listed."""
    if swept.refusal is not None:
        return swept.refusal
    if unread:
        return SkipMailbox(
            f"Folders that cannot be read: {unread:,}; so their mail was not compared",
            next_step="See the table dead_letters, and report the reason.",
        )
    if swept.unreadable:
        return SkipMailbox(
            f"Listed records that cannot be read: {swept.unreadable:,}; so nobody can tell what is extra",
            next_step="Run `mail-pipeline backfill` with --full-resync, then see the table dead_letters.",
        )
    if unclear:
        return SkipMailbox(
            f"Messages the provider neither shows nor says to be gone: {unclear:,}",
            next_step="Run it again later; if they stay, ask Nylas' support about the grant.",
        )
    return None


def _kinds(found: Differences, gone: Collection[str]) -> dict[str, str]:
    """Return each message that differs, with the kind that says most."""
    moved = [*(row[0] for row in found.entered), *(row[0] for row in found.left)]
    return {
        **dict.fromkeys([*(row[0] for row in found.changed), *moved], CHANGED),
        **dict.fromkeys(gone, EXTRA),
        **{identity: DELETED if held else UNKNOWN for identity, _, held in found.unknown},
    }
