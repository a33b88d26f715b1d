"""Do notifications reach the landing table, and since when? Where not, the gap is written down.

Nothing is ever sent again by Nylas once its three tries are over, so what may have been missed has to be
known: a webhook that was not active, a receiver that was down for longer than the tries last, a grant that
was expired for longer than Nylas catches up by itself.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries
from mail_pipeline.lake.rows import table_of, unix_seconds
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import NylasClient
from mail_pipeline.nylas.webhooks import Webhook
from mail_pipeline.settings import Settings
from mail_pipeline.sync.client import open_client

RECEIVER_DOWN = "receiver down"
WEBHOOK_NOT_ACTIVE = "webhook not active"
GRANT_EXPIRED = "grant expired"

OUTLIVED_SECONDS = 600.0
"""Silences up to this are survived: the last of Nylas' three tries comes 10 to 20 minutes after the first
(reference: nylas-api 6.4)."""
CAUGHT_UP_SECONDS = 72 * 3600
"""Nylas sends what a grant missed where it is connected again within 72 hours (reference: nylas-api 2)."""

_MAIL = ("message.created", "message.updated", "message.deleted")
_HEARTBEAT_SECONDS = 60.0
"""A receiver gives a sign of life every 15 s."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was found by a look at the webhooks and the receivers."""

    webhooks: tuple[Webhook, ...]
    active: bool
    """A webhook with all triggers of mail is active."""
    receiving: bool
    """A receiver has given a sign of life within a minute."""
    new_gaps: int
    open_gaps: int
    """Gaps that are not repaired."""

    @property
    def covered(self) -> bool:
        """Tell whether a change at the provider reaches the landing table now."""
        return self.active and self.receiving


def is_covered(settings: Settings, client: NylasClient) -> bool:
    """Tell whether notifications of mail reach the landing table now; False where that cannot be found out.

    Raises StopRun for a wrong key.
    """
    try:
        with Landing.open(settings) as landing:
            return _receiving(landing) and any(map(_delivers_mail, client.webhooks()))
    except StopRun:
        raise
    except MailPipelineError as error:
        _log.warning("Whether notifications arrive cannot be found out: %s", error.message)
        return False


@dataclass(slots=True)
class _Gap:
    """A row of `gaps`; times are unix seconds of the provider's clock."""

    cause: str
    grant_id: str | None
    began_at: int
    ended_at: int | None
    found_at: int
    repaired_at: int | None = None

    def is_part_of(self, known: "_Gap") -> bool:
        """Tell whether it is one that is known: found once more, or still open then and ended now."""
        return (
            (self.cause, self.grant_id) == (known.cause, known.grant_id)
            and (known.ended_at is None or self.began_at < known.ended_at)
            and (self.ended_at is None or known.began_at < self.ended_at)
        )


def watch(settings: Settings) -> Coverage:
    """Look at webhooks and receivers, and write down the gaps that shows. Raises what the API raises."""
    settings.require_key()
    with Landing.open(settings) as landing, Lake(settings.data) as lake, open_client(settings) as client:
        webhooks = client.webhooks()
        # Webhooks, grants and sweeps are told in the provider's time; only heartbeats are in this machine's.
        here, now = time.time(), client.provider_time()
        silences = landing.silences(longer_than=OUTLIVED_SECONDS, until=here)
        receiving = _receiving(landing)
        with lake.transaction() as transaction:
            known = {row["id"]: row for row in lake.table(queries.WEBHOOKS).to_pylist()}
            rows = _webhook_rows(webhooks, known, now)
            _replace_webhooks(transaction, rows)
            found = [
                *_silences(silences, here, now),
                *_webhook_gaps(known.values(), rows, now),
                *_expired(transaction, now),
            ]
            new = _store_gaps(transaction, lake, found, now)
            transaction.change("gaps", queries.MARK_REPAIRED_GAPS)
        (open_gaps,) = lake.column(queries.OPEN_GAPS_COUNT)
    return Coverage(tuple(webhooks), any(map(_delivers_mail, webhooks)), receiving, new, open_gaps)


def _receiving(landing: Landing) -> bool:
    # A receiver on another machine may have a clock that is ahead of this one's.
    until = time.time() + _HEARTBEAT_SECONDS
    silences = landing.silences(longer_than=-1.0, until=until)
    return bool(silences) and silences[-1][1] - silences[-1][0] <= 2 * _HEARTBEAT_SECONDS


def _delivers_mail(webhook: Webhook) -> bool:
    return webhook.status == "active" and not set(_MAIL) & set(webhook.missing)


def _webhook_rows(
    webhooks: Sequence[Webhook], known: Mapping[str, dict[str, Any]], now: int
) -> list[dict[str, Any]]:
    rows = [_webhook_row(webhook, known.get(webhook.id), now) for webhook in webhooks]
    listed = {webhook.id for webhook in webhooks}
    gone = [row for row in known.values() if row["id"] not in listed]
    return rows + [{**row, "status": "gone", "active_since": None, "checked_at": now} for row in gone]


def _webhook_row(webhook: Webhook, known: dict[str, Any] | None, now: int) -> dict[str, Any]:
    good_at = unix_seconds(known["good_at"]) if known else None
    since: int | None = None
    if _delivers_mail(webhook):
        changed = webhook.status_updated_at or webhook.created_at or now
        since = changed
        if known is not None and known["active_since"] is not None and changed <= (good_at or 0):
            since = unix_seconds(known["active_since"])
        elif known is not None and changed <= (unix_seconds(known["checked_at"]) or 0):
            # It was active all along, without some trigger that it has now.
            since = now
        # The provider's clock has surely reached what it tells.
        good_at = max(now, changed)
    return {
        "id": webhook.id,
        "url": webhook.url,
        "status": webhook.status,
        "missing": list(webhook.missing),
        "active_since": since,
        "good_at": good_at,
        "checked_at": now,
    }


def _silences(silences: Iterable[tuple[float, float]], here: float, now: int) -> Iterator[_Gap]:
    """Yield what `here` on this machine's clock, `now` on the provider's, is known to be a silence."""
    ahead = now - here
    for start, end in silences:
        ended = None if end >= here else int(end + ahead)
        yield _Gap(RECEIVER_DOWN, None, int(start + ahead), ended, now)


def _webhook_gaps(
    before: Iterable[dict[str, Any]], after: Sequence[dict[str, Any]], now: int
) -> Iterator[_Gap]:
    """Yield the gap, if any, from the last time a webhook was seen active to when one is again."""
    last_good = max((unix_seconds(row["good_at"]) or 0 for row in before), default=0)
    since = min((row["active_since"] for row in after if row["active_since"] is not None), default=None)
    if last_good and (since is None or since > last_good):
        yield _Gap(WEBHOOK_NOT_ACTIVE, None, last_good, since, now)


def _expired(transaction: Transaction, now: int) -> Iterator[_Gap]:
    for grant_id, began, ended in transaction.rows(queries.EXPIRED_GRANTS):
        if (ended or now) - began > CAUGHT_UP_SECONDS:
            yield _Gap(GRANT_EXPIRED, grant_id, began, ended, now)


def _store_gaps(transaction: Transaction, lake: Lake, found: Iterable[_Gap], now: int) -> int:
    """Write down new gaps and the ends of known ones; return how many are new."""
    known = [
        _Gap(**{name: unix_seconds(value) for name, value in row.items()})
        for row in lake.table(queries.GAPS).to_pylist()
    ]
    changed: list[_Gap] = []
    lasting: list[_Gap] = []
    new = 0
    for gap in sorted(found, key=lambda gap: gap.began_at):
        match = next((each for each in known if gap.is_part_of(each)), None)
        if match is None:
            new += 1
            known.append(gap)
            changed.append(gap)
        elif match.ended_at is None and gap.ended_at is not None:
            match.ended_at = gap.ended_at
            changed.append(match)
        lasting.append(match or gap)
    for gap in known:
        if gap.ended_at is None and gap not in lasting:
            # Nothing is seen of it any more.
            gap.ended_at = now
            changed.append(gap)
    batch = table_of("gaps", map(asdict, changed))
    transaction.change("gaps", queries.FORGET_GAPS, changed=batch)
    transaction.append("gaps", batch)
    return new


def _replace_webhooks(transaction: Transaction, rows: Iterable[dict[str, Any]]) -> None:
    batch = table_of("webhooks", rows)
    transaction.delete("webhooks", batch.select(["id"]))
    transaction.append("webhooks", batch)
