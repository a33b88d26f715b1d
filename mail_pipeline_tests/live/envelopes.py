"""Notifications made by hand, landed without a receiver, and applied where there is no API to ask."""

import itertools
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mail_pipeline
from mail_pipeline.inbox.landing import Delivery, Landed, Landing
from mail_pipeline.lake.rows import table_of
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.apply import ApplyReport, Replay, apply

GRANT = "grant-1"
NOW = 1_790_000_000
"""A time that notifications of these tests are about, unix seconds."""
JSON_TYPE = {"content-type": "application/json"}

_numbers = itertools.count(1)


def envelope(
    kind: str, at: int | None, subject: Mapping[str, Any] | None = None, /, **fields: Any
) -> dict[str, Any]:
    """Return an envelope as Nylas sends it; `fields` are those of its object, of GRANT unless told."""
    return {
        "specversion": "1.0",
        "type": kind,
        "source": "/google/emails/realtime",
        "id": f"envelope-{next(_numbers)}",
        "time": at,
        "webhook_delivery_attempt": 1,
        "data": {
            "application_id": "application",
            "object": {"grant_id": GRANT, "object": kind.partition(".")[0], **(subject or {}), **fields},
        },
    }


def whole(identity: str, **changes: Any) -> dict[str, Any]:
    """Return a message with a value in every field."""
    return {
        "id": identity,
        "thread_id": "t1",
        "subject": "Lunch?",
        "snippet": "At noon",
        "body": "<p>At noon</p>",
        "date": NOW - 100,
        "unread": True,
        "starred": False,
        "folders": ["INBOX"],
        "from": [{"name": "Ann", "email": "ann@example.org"}],
        "to": [{"name": "Bob", "email": "bob@example.org"}],
        "cc": [{"name": None, "email": "cem@example.org"}],
        "bcc": [{"name": "Dee", "email": "dee@example.org"}],
        "reply_to": [{"name": "Eve", "email": "eve@example.org"}],
        "attachments": [{"id": "a1", "filename": "menu.pdf", "content_type": "application/pdf", "size": 9}],
        "metadata": {"key": "value"},
        **changes,
    }


def landed(body: bytes, headers: Mapping[str, str] | None = None, *, number: int = 1) -> Landed:
    """Return a body as it would come out of the landing table."""
    return Landed(float(NOW), headers or JSON_TYPE, body, number)


def offline(data: Path) -> Settings:
    """Return settings without a key: what would have to be asked of the API waits."""
    return Settings(data=data)


def land(data: Path, envelopes: Iterable[Mapping[str, Any] | bytes]) -> None:
    """Store notifications as a receiver does."""
    bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in envelopes]
    with Landing.open(offline(data)) as landing:
        landing.store([Delivery(time.time(), JSON_TYPE, body) for body in bodies])


def apply_offline(data: Path, replay: Replay | None = None) -> ApplyReport:
    """Apply what has landed without asking the API anything."""
    return apply(offline(data), replay=replay)


def know(data: Path, *grant_ids: str, **fields: Any) -> None:
    """Make grants known, as a refresh of the grants would."""
    rows = [
        {
            **dict.fromkeys(TABLES["all_grants"].column_names),
            "id": grant_id,
            "provider": "google",
            "status": "valid",
            "per_folder": False,
            "created_at": NOW,
            "updated_at": NOW,
            "observed_at": NOW,
            **fields,
        }
        for grant_id in grant_ids
    ]
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.append("all_grants", table_of("all_grants", rows))


def ask(data: Path, statement: str, parameters: object = ()) -> list[tuple[Any, ...]]:
    """Query the lake as a notebook does."""
    with mail_pipeline.connect(data) as connection:
        return connection.execute(statement, parameters).fetchall()


def outcomes(data: Path) -> list[tuple[str, str | None]]:
    """Return outcome and reason of every notification, in the order of landing."""
    return [(row[0], row[1]) for row in ask(data, _OUTCOMES)]


_OUTCOMES = "SELECT outcome, reason FROM notifications ORDER BY number"
