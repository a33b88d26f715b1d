"""What people are told of a mailbox, while it fills and when it is done."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mail_pipeline.sync.checkpoints import LISTING, SKIPPED, Checkpoint
from mail_pipeline.sync.plan import Plan
from mail_pipeline.sync.position import WHOLE
from mail_pipeline.sync.widening import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one list of the API covers, and one checkpoint tells of.

    Of messages it is a mailbox: a grant in one pass, one of its folders, or its recent mail; its key is the
    partition's. Of events it is a calendar, of contacts a source.
    """

    partition_key: str
    grant_id: str
    provider: str
    scope: str | None = None
    """Id of the folder or calendar, or the source; None where one list covers the grant."""
    scope_name: str | None = None
    reported: int | None = None
    """Records the provider says it holds."""
    planned: Plan | None = None
    """What listing all of it is expected to take."""
    goal: Goal = WHOLE
    """What of it is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxProgress:
    """Where a mailbox stands. Counts are of its ledger row, the rate is of this run. Times are UTC."""

    partition_key: str
    grant_id: str
    provider: str
    folder_id: str | None
    folder_name: str | None
    state: str
    cursor: str | None
    pages: int
    messages: int
    ids_seen: int
    oldest: datetime | None
    newest: datetime | None
    reported: int | None
    started_at: datetime
    updated_at: datetime
    rate: float
    """Messages a second in this run."""
    eta_seconds: float | None
    """None where the provider does not say how much there is, or nothing has come yet."""
    held_until: datetime | None
    """Waiting for the provider's quota until then."""
    requests: int
    body_bytes: int
    quota_units: int
    dead_letters: int
    subscribed: bool
    """A webhook was active before the first page."""
    reason: str | None
    next_step: str | None
    planned: Plan | None = None
    """What this pass was expected to take when it began."""

    @property
    def succeeded(self) -> bool:
        """Tell whether nothing went wrong: complete, stopped where it was told to, or not to be had."""
        return self.reason is None or self.state == SKIPPED


def progress(
    part: Slice,
    checkpoint: Checkpoint,
    *,
    started_at: float,
    now: float,
    ids_before: int = 0,
    held_until: float | None = None,
) -> MailboxProgress:
    """Describe a mailbox from its checkpoint; times are unix seconds.

    `ids_before` is how many ids it had listed when this run took it up.
    """
    elapsed = max(now - started_at, 1e-3)
    rate = max(checkpoint.ids_seen - ids_before, 0) / elapsed
    eta = None
    if checkpoint.state == LISTING and part.reported is not None and rate > 0:
        eta = max(part.reported - checkpoint.ids_seen, 0) / rate
    return MailboxProgress(
        partition_key=part.partition_key,
        grant_id=part.grant_id,
        provider=part.provider,
        folder_id=part.scope,
        folder_name=part.scope_name,
        state=checkpoint.state,
        cursor=checkpoint.cursor,
        pages=checkpoint.pages,
        messages=checkpoint.messages,
        ids_seen=checkpoint.ids_seen,
        oldest=_utc(checkpoint.oldest),
        newest=_utc(checkpoint.newest),
        reported=part.reported,
        started_at=datetime.fromtimestamp(started_at, UTC),
        updated_at=datetime.fromtimestamp(now, UTC),
        rate=rate,
        eta_seconds=eta,
        held_until=_utc(held_until) if held_until is not None and held_until > now else None,
        requests=checkpoint.requests,
        body_bytes=checkpoint.body_bytes,
        quota_units=checkpoint.quota_units,
        dead_letters=checkpoint.dead_letters,
        subscribed=checkpoint.subscribed,
        reason=checkpoint.reason,
        next_step=checkpoint.next_step,
        planned=checkpoint.planned,
    )


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
