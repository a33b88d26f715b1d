"""Verify: set what the lake holds of mail against what the provider lists, and name what differs."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from mail_pipeline.errors import MailPipelineError, SkipMailbox, StopRun
from mail_pipeline.lake import queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import NotFound, NylasClient
from mail_pipeline.settings import Settings
from mail_pipeline.sync.checkpoints import COMPLETE
from mail_pipeline.sync.fetches import MESSAGE, MISSING, Fetch
from mail_pipeline.sync.fetching import ask_message
from mail_pipeline.sync.partition_keys import split
from mail_pipeline.sync.sweep import Differences, compare
from mail_pipeline.sync.sweeps import SweepJob, Sweeps, open_sweeps

_log = logging.getLogger(__name__)

UNKNOWN = "unknown"
DELETED = "deleted"
EXTRA = "extra"
CHANGED = "changed"
KINDS = {
    UNKNOWN: "the provider lists it, the lake does not have it",
    DELETED: "the provider lists it, the lake has it as deleted",
    EXTRA: "the lake has it, the provider says it is not there",
    CHANGED: "it is read, starred or in folders otherwise than the lake says",
}
"""In which ways a message can differ."""


_Mailbox = tuple[str, int | None]
"""The state of a mailbox, and how far back it was asked for (unix seconds)."""


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

    By id, flags and folders, back to `since` or to where each mailbox was backfilled. No message is changed;
    only the list of folders is brought up to date where mail is listed by folder. What notifications told
    while the list was read is not judged. Raises StopRun for what stops everything; a grant that cannot be
    compared, as one whose backfill has not ended, is in what is returned.
    """
    bound = None if since is None else int(since.timestamp())
    with open_sweeps(settings) as sweeps:
        reach = _reach(sweeps.lake)
        jobs = [replace(job, whole_since=None) for job in sweeps.jobs(grants=grants, since=bound)]
        return sweeps.work(jobs, lambda job: _verify(sweeps, job, reach.get(job.grant_id, [])), on_grant)


def _reach(lake: Lake) -> dict[str, list[_Mailbox]]:
    """Return the mailboxes of each grant."""
    reach: dict[str, list[_Mailbox]] = {}
    for row in lake.table(queries.ACTIVE_MAILBOXES).to_pylist():
        since = None if row["since"] is None else int(row["since"].timestamp())
        reach.setdefault(split(row["partition_key"])[0], []).append((row["state"], since))
    return reach


def _verify(sweeps: Sweeps, job: SweepJob, mailboxes: list[_Mailbox]) -> Verification:
    told = Verification(job.grant_id, job.provider)
    if not mailboxes:
        # None of its mail is wanted.
        return replace(told, listed=0)
    try:
        job = _bounded(job, mailboxes)
        with sweeps.leases.held(sweeps.lake, job.grant_id):
            swept, _ = sweeps.list_mail(job)
            with sweeps.lake.transaction() as transaction:
                found = compare(transaction, swept, settled=True)
            gone = _gone(sweeps.client, job, found)
    except StopRun:
        raise
    except MailPipelineError as error:
        _log.warning("Grant %s was not verified: %s", job.grant_id, error.message)
        return replace(told, error=error)
    kinds = sorted(_kinds(found, gone).items())
    differences = tuple(Difference(job.grant_id, identity, kind) for identity, kind in kinds)
    doubt = None
    if swept.unreadable:
        doubt = SkipMailbox(
            f"Listed records that cannot be read: {swept.unreadable:,}; so nobody can tell what is extra",
            next_step="Run `mail-pipeline backfill` with --full-resync, then see the table dead_letters.",
        )
    return replace(told, listed=swept.listed, differences=differences, error=doubt)


def _bounded(job: SweepJob, mailboxes: list[_Mailbox]) -> SweepJob:
    """Look back no further than the mailboxes do. Raises SkipMailbox where nothing can be compared."""
    if job.expired:
        raise SkipMailbox(
            f"Grant {job.grant_id} has expired, so nothing of it can be listed",
            next_step="Its owner has to connect it again.",
        )
    if unfinished := sorted({state for state, _ in mailboxes if state != COMPLETE}):
        raise SkipMailbox(
            f"The backfill of grant {job.grant_id} has not ended: it is {', '.join(unfinished)}",
            next_step=f"Run `mail-pipeline backfill --grant {job.grant_id}` first.",
        )
    bounds = [job.since, *(since for _, since in mailboxes)]
    since = max((each for each in bounds if each is not None), default=None)
    return replace(job, since=since)


def _gone(client: NylasClient, job: SweepJob, found: Differences) -> list[str]:
    """Ask for what was not listed by itself: that a list did not show it says too little."""
    gone = []
    with client.grant(job.grant_id, job.provider) as grant:
        for identity, folder in found.missing:
            asked = Fetch(MESSAGE, job.grant_id, identity, MISSING, folder)
            try:
                ask_message(grant, asked, imap=bool(job.grant["per_folder"]))
            except NotFound:
                gone.append(identity)
    return gone


def _kinds(found: Differences, gone: Collection[str]) -> dict[str, str]:
    """Return each message that differs, with the kind that says most."""
    moved = [*(row[0] for row in found.entered), *(row[0] for row in found.left)]
    return {
        **dict.fromkeys([*(row[0] for row in found.changed), *moved], CHANGED),
        **dict.fromkeys(gone, EXTRA),
        **{identity: DELETED if held else UNKNOWN for identity, _, held in found.unknown},
    }
