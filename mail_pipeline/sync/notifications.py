"""Reading notifications: from the bytes that landed to what they say of which object, as of when."""

from dataclasses import dataclass, field, replace
from typing import Any

from mail_pipeline.inbox.landing import Landed
from mail_pipeline.inbox.payload import TooLarge, Undecodable, inflate
from mail_pipeline.nylas.pages import UnreadableError, decode
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import (
    DeadLetter,
    Unreadable,
    identity_of,
    raw,
    read_key,
    read_mended,
    read_message,
    read_object,
    read_seconds,
    read_text,
)
from mail_pipeline.sync.streams import BY_KIND
from mail_pipeline.sync.texts import mended

TRUNCATED = "truncated"
TRANSFORMED = "transformed"
CLEANED = "cleaned"
METADATA = "metadata"
SUFFIXES = frozenset({TRUNCATED, TRANSFORMED, CLEANED, METADATA})
"""What may follow a trigger, in any combination and order (reference: nylas-api 6.6)."""

_CLEANED_FIELDS = frozenset({"body", "cleaning_status", "cleaning_error"})
_NO_METADATA = frozenset({"body", "snippet", "attachments"})
"""What the scope without content does not show (reference: nylas-api 6.6)."""
_TOO_DEEP = "body: expected JSON, got one nested too deeply"


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification. `record` is the object it carries, not yet read; times are unix seconds."""

    number: int
    received_at: float
    id: str
    type: str
    trigger: str
    suffixes: frozenset[str]
    grant_id: str
    occurred_at: int
    record: dict[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """Return what its object is called: message, contact, event, …."""
        return self.trigger.partition(".")[0]

    @property
    def action(self) -> str:
        """Return what happened to it: created, updated, deleted, …."""
        return self.trigger.partition(".")[2]

    @property
    def object_id(self) -> str | None:
        """Return the id of the object it is about, where it has one, with U+FFFD for lone surrogates."""
        return identity_of(self.record)


def read_notification(landed: Landed) -> Notification:
    """Read what landed.

    Raises Unreadable, naming the field, what was expected and what came. A record's own fields are read by
    `read_change`.
    """
    envelope = _envelope(landed)
    type_ = _text("type", envelope.get("type"))
    if not type_:
        raise Unreadable("type: expected text, got nothing")
    data = _part("data", envelope.get("data"))
    record = _part("data.object", data.get("object"))
    # bounce_detected has its grant beside the object.
    grant_id = _key("data.object.grant_id", record.get("grant_id", data.get("grant_id")))
    if not grant_id:
        raise Unreadable("data.object.grant_id: expected text, got nothing")
    if isinstance(record.get("id"), str):
        read_key("data.object.id", mended(record["id"]))
    occurred_at = read_seconds("time", envelope.get("time"))
    if occurred_at is None:
        raise Unreadable("time: expected unix seconds, got nothing")
    words = type_.split(".")
    trigger = ".".join(word for word in words if word not in SUFFIXES)
    return Notification(
        number=landed.number,
        received_at=landed.received_at,
        id=_text("id", envelope.get("id")) or "",
        type=type_,
        trigger=trigger,
        suffixes=SUFFIXES.intersection(words),
        grant_id=grant_id,
        occurred_at=occurred_at,
        record=record,
    )


def read_change(notification: Notification) -> Observation:
    """Read what a notification says of its object: the fields it carries, or that it is gone.

    Raises Unreadable, NulInKey among it, or UnicodeEncodeError where a text holds a lone surrogate.
    """
    stream = BY_KIND.get(notification.kind)
    record = notification.record
    if notification.action == "deleted":
        if notification.object_id is None:
            raise Unreadable("data.object.id: expected text, got nothing")
        within = _key(stream.within, record.get(stream.within)) if stream and stream.within else None
        at = notification.occurred_at
        return Observation(notification.object_id, at, gone=True, within=within or "")
    if stream is not None:
        return stream.observe(record, notification.occurred_at)
    if CLEANED in notification.suffixes:
        # Its body is Markdown made from the message's; it must not stand for the original.
        record = {name: value for name, value in record.items() if name not in _CLEANED_FIELDS}
    if TRUNCATED in notification.suffixes:
        record = {name: value for name, value in record.items() if name != "body"}
    if METADATA in notification.suffixes:
        # What it leaves out may come as null or empty.
        record = {
            name: value
            for name, value in record.items()
            if value is not None and (value or name not in _NO_METADATA)
        }
    return read_message(record, at=notification.occurred_at)


def read_changes(
    notification: Notification,
) -> tuple[Observation, DeadLetter | None]:
    """Read a change as `read_change` does, mended as by `read_mended`, with the raw record beside it then.

    Raises Unreadable.
    """
    record = notification.record
    try:
        observation, reason = read_mended(
            record, lambda each: read_change(replace(notification, record=each))
        )
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    if reason is None:
        return observation, None
    return observation, DeadLetter(notification.kind, observation.id, reason, raw(record), stored=True)


def _envelope(landed: Landed) -> dict[str, Any]:
    try:
        body = inflate(landed.body, landed.headers)
    except (TooLarge, Undecodable) as error:
        raise Unreadable(f"body: {error.message}") from None
    try:
        return read_object(decode(body))
    except UnreadableError:
        raise Unreadable("body: expected JSON, got something else") from None


def _text(name: str, value: object) -> str | None:
    try:
        return read_text(name, value)
    except UnicodeEncodeError:
        raise Unreadable(f"{name}: expected Unicode, got a lone surrogate") from None


def _key(name: str, value: object) -> str | None:
    return read_key(name, _text(name, value))


def _part(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(
            f"{name}: expected an object, got {'nothing' if value is None else 'something else'}"
        )
    return value
