"""Do notifications reach the landing table, and since when? Where not, the gap is written down.

Nothing is ever sent again by Nylas once its three tries are over, so what may have been missed has to be
known: a webhook that was not active, a receiver that was down for longer than the tries last, a grant that
was expired for longer than Nylas catches up by itself.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import NylasClient
from mail_pipeline.nylas.webhooks import Webhook
from mail_pipeline.settings import Settings
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.rows import arrow_table

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


def watch(settings: Settings) -> Coverage:
    """Look at webhooks and receivers, and write down the gaps that shows. Raises what the API raises."""
    settings.require_key()
    now = int(time.time())
    with Landing.open(settings) as landing, Lake(settings.data) as lake, open_client(settings) as client:
        webhooks = client.webhooks()
        silences = landing.silences(longer_than=OUTLIVED_SECONDS, until=now)
        receiving = _receiving(landing)
        with lake.transaction() as transaction:
            known = {row["id"]: row for row in lake.table(queries.WEBHOOKS).to_pylist()}
            rows = _webhook_rows(webhooks, known, now)
            _replace(transaction, "webhooks", ["id"], rows)
            found = [
                *(
                    (RECEIVER_DOWN, None, int(start), None if end >= now else int(end))
                    for start, end in silences
                ),
                *_webhook_gaps(known.values(), rows),
                *_expired(transaction, now),
            ]
            new = _store_gaps(transaction, lake, found, now)
            transaction.change("gaps", queries.MARK_REPAIRED_GAPS)
        (open_gaps,) = lake.column(queries.OPEN_GAPS_COUNT)
    return Coverage(tuple(webhooks), any(map(_delivers_mail, webhooks)), receiving, new, open_gaps)


def _receiving(landing: Landing) -> bool:
    silences = landing.silences(longer_than=-1.0, until=time.time())
    return bool(silences) and silences[-1][1] - silences[-1][0] <= _HEARTBEAT_SECONDS


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
    good = _delivers_mail(webhook)
    since: int | None = None
    if good:
        changed = webhook.status_updated_at or webhook.created_at or now
        before = known["active_since"] if known else None
        good_at = _seconds(known["good_at"]) if known else None
        unbroken = before is not None and good_at is not None and changed <= good_at
        since = _seconds(before) if unbroken else changed
    return {
        "id": webhook.id,
        "url": webhook.url,
        "status": webhook.status,
        "missing": list(webhook.missing),
        "active_since": since,
        "good_at": now if good else _seconds(known["good_at"]) if known else None,
        "checked_at": now,
    }


def _webhook_gaps(
    before: Iterable[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> list[tuple[str, str | None, int, int | None]]:
    """Return the gap, if any, from the last time a webhook was seen active to when one is again."""
    last_good = max((_seconds(row["good_at"]) or 0 for row in before), default=0)
    if not last_good:
        return []
    since = min((row["active_since"] for row in after if row["active_since"] is not None), default=None)
    if since is not None and since <= last_good:
        return []
    return [(WEBHOOK_NOT_ACTIVE, None, last_good, since)]


def _expired(transaction: Transaction, now: int) -> list[tuple[str, str | None, int, int | None]]:
    return [
        (GRANT_EXPIRED, grant_id, began, ended)
        for grant_id, began, ended in transaction.rows(queries.EXPIRED_GRANTS)
        if (ended or now) - began > CAUGHT_UP_SECONDS
    ]


def _store_gaps(
    transaction: Transaction,
    lake: Lake,
    found: Iterable[tuple[str, str | None, int, int | None]],
    now: int,
) -> int:
    """Write down new gaps and the ends of known ones; return how many are new."""
    known = {
        (row["cause"], row["grant_id"], _seconds(row["began_at"])): row
        for row in lake.table(queries.GAPS).to_pylist()
    }
    open_since = {key[:2]: key[2] for key, row in known.items() if row["ended_at"] is None}
    changed: dict[tuple[Any, ...], dict[str, Any]] = {}
    new = 0
    for cause, grant_id, began, ended in found:
        # One that was open began when it was found to; looking again must not split it.
        key = (cause, grant_id, open_since.get((cause, grant_id), began))
        row = known.get(key)
        if row is None:
            new += 1
            row = {"cause": cause, "grant_id": grant_id, "began_at": began, "found_at": now}
            changed[key] = {**row, "ended_at": ended, "repaired_at": None}
        elif row["ended_at"] is None and ended is not None:
            changed[key] = {**row, "ended_at": ended}
    _close(changed, known, {(cause, grant_id) for cause, grant_id, *_ in found}, now)
    _replace(transaction, "gaps", ["cause", "began_at"], list(changed.values()))
    return new


def _close(
    changed: dict[tuple[Any, ...], dict[str, Any]],
    known: Mapping[tuple[Any, ...], dict[str, Any]],
    lasting: set[tuple[str, str | None]],
    now: int,
) -> None:
    """End the open gaps of which nothing is seen any more."""
    for key, row in known.items():
        if row["ended_at"] is None and key[:2] not in lasting:
            changed[key] = {**row, "ended_at": now}


def _replace(transaction: Transaction, table: str, key: list[str], rows: Sequence[dict[str, Any]]) -> None:
    columns = TABLES[table].columns
    batch = arrow_table(table, [tuple(_stored(c.type, row[c.name]) for c in columns) for row in rows])
    transaction.delete(table, batch.select(key))
    transaction.append(table, batch)


def _seconds(value: Any) -> int | None:
    return value if value is None or isinstance(value, int) else int(value.timestamp())


def _stored(kind: str, value: Any) -> Any:
    if kind != "TIMESTAMPTZ" or value is None:
        return value
    return (_seconds(value) or 0) * 1_000_000
