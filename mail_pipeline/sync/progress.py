"""What people are told of a mailbox, while it fills and when it is done."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mail_pipeline.sync.checkpoints import LISTING, Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """What one partition fills: a grant in one pass, one of its folders, or its recent mail."""

    partition_key: str
    grant_id: str
    provider: str
    folder_id: str | None = None
    folder_name: str | None = None
    reported: int | None = None
    """Messages the provider says it holds."""


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

    @property
    def succeeded(self) -> bool:
        """Tell whether nothing went wrong: complete, or stopped where it was told to."""
        return self.reason is None


def progress(
    mailbox: Mailbox,
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
    if checkpoint.state == LISTING and mailbox.reported is not None and rate > 0:
        eta = max(mailbox.reported - checkpoint.ids_seen, 0) / rate
    return MailboxProgress(
        partition_key=mailbox.partition_key,
        grant_id=mailbox.grant_id,
        provider=mailbox.provider,
        folder_id=mailbox.folder_id,
        folder_name=mailbox.folder_name,
        state=checkpoint.state,
        cursor=checkpoint.cursor,
        pages=checkpoint.pages,
        messages=checkpoint.messages,
        ids_seen=checkpoint.ids_seen,
        oldest=_utc(checkpoint.oldest),
        newest=_utc(checkpoint.newest),
        reported=mailbox.reported,
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
    )


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
