"""What Nylas tells a webhook about a change: triggers, objects and suffixes (API notes, 6.5 to 6.7)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.mime import plain_text

TRUNCATED_OVER = 1_000_000
"""Bytes of JSON from which a message loses its body and its type says `.truncated`."""
CLEANED = "message.created.cleaned"
TRIGGERS = frozenset(
    [
        *(f"message.{what}" for what in ("created", "updated", "deleted", "opened", "link_clicked")),
        *(f"message.{what}" for what in ("send_success", "send_failed", "bounce_detected")),
        *("message.opened.legacy", "message.link_clicked.legacy", CLEANED),
        *("thread.replied", "thread.replied.legacy"),
        *(
            f"{what}.{change}"
            for what in ("folder", "calendar", "event")
            for change in ("created", "updated")
        ),
        *(f"{what}.deleted" for what in ("folder", "calendar", "event", "contact")),
        *("contact.updated", "grant.imap_sync_completed"),
        *(f"grant.{what}" for what in ("created", "updated", "expired", "deleted")),
        *(f"booking.{what}" for what in ("created", "pending", "rescheduled", "cancelled", "reminder")),
    ]
)
"""What can be subscribed to."""

_UPDATED_FIELDS = (
    *("id", "grant_id", "object", "thread_id", "subject", "from", "to", "cc", "date", "body", "snippet"),
    *("starred", "unread", "folders", "metadata"),
)
_NOT_IN_UPDATES = {
    # The documents leave open what differs: here, what a GET can mend (body) or what never changes.
    "microsoft": frozenset({"metadata"}),
    "ews": frozenset({"body", "snippet"}),
    **dict.fromkeys(IMAP_FAMILY, frozenset({"thread_id"})),
}
_GRANT_CODES = {"created": 25012, "updated": 25027, "expired": 25009, "deleted": 25013}


class Event(NamedTuple):
    """A change at the provider, before any webhook is told."""

    trigger: str
    provider: str
    grant_id: str
    object: dict[str, Any]
    """The whole message; all else as it is sent."""
    time: int
    """Unix seconds of the change."""


@dataclass
class Style:
    """How the application has notifications made; change it at any time."""

    transformed_without: Collection[str] = ()
    """Fields that customising takes out of messages; any makes their types end in `.transformed`."""
    agenda_without: Collection[str] = ()
    """The same for events and calendars."""
    metadata_only: Collection[str] = ()
    """Google grants with the gmail.metadata scope: no body, snippet and attachments, `.metadata`."""


def folder_object(grant: Grant, folder: Folder) -> dict[str, Any]:
    """Return a folder as folder.* notifications show it: no parent, counts, attributes."""
    return {
        "id": folder.id,
        "name": folder.name,
        "grant_id": grant.id,
        "object": "folder",
        "system_folder": folder.role != "user",
    }


def grant_object(grant: Grant, change: str) -> dict[str, Any]:
    """Return a grant as grant.* notifications show it; `change` is created, updated, expired or deleted."""
    facts: dict[str, Any] = {
        "code": _GRANT_CODES[change],
        "grant_id": grant.id,
        "integration_id": "b7dd6e6e-af6a-463b-92fa-be35c2683f5c",
        "provider": grant.provider,
    }
    if grant.email is not None:
        facts["email"] = grant.email
    if change == "expired":
        facts["grant_updated_at"] = grant.updated_at
    if change == "updated":
        facts["reauthentication_flag"] = True
    return facts


def imap_sync_completed(grant: Grant) -> dict[str, Any]:
    """Return the object of grant.imap_sync_completed; its code is that of grant.created."""
    return {
        "grant_id": grant.id,
        "code": _GRANT_CODES["created"],
        "provider": "imap",
        "type": "grant.imap_sync_completed",
    }


def notifications(
    event: Event, triggers: Collection[str], style: Style
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield type and object of what a webhook subscribed to `triggers` is sent for an event."""
    if event.trigger in triggers:
        yield _shaped(event, event.trigger, style)
    if event.trigger == "message.created" and CLEANED in triggers:
        yield _shaped(event, CLEANED, style)


def source(event: Event) -> str:
    """Return the envelope's source: /provider/product/sync_type."""
    resource = event.trigger.partition(".")[0]
    if resource == "grant":
        return "/nylas/system"
    return f"/{event.provider}/{'emails' if resource == 'message' else resource + 's'}/realtime"


def _shaped(event: Event, kind: str, style: Style) -> tuple[str, dict[str, Any]]:
    resource, _, change = event.trigger.partition(".")
    if resource in {"event", "calendar"} and change != "deleted" and style.agenda_without:
        return f"{kind}.transformed", _without(event.object, style.agenda_without)
    if resource != "message" or change == "deleted":
        return kind, event.object
    message = dict(event.object)
    if event.trigger == "message.updated":
        left_out = _NOT_IN_UPDATES.get(event.provider, frozenset())
        message = {key: message[key] for key in _UPDATED_FIELDS if key in message and key not in left_out}
    if kind == CLEANED:
        message |= {"body": plain_text(message.get("body") or ""), "cleaning_status": "success"}
    if style.transformed_without:
        message = _without(message, style.transformed_without)
        kind += ".transformed"
    if event.grant_id in style.metadata_only:
        message = _without(message, ("body", "snippet", "attachments"))
        kind += ".metadata"
    if len(orjson.dumps(message)) > TRUNCATED_OVER:
        message = _without(message, ("body",))
        kind += ".truncated"
    return kind, message


def _without(message: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    kept = {"id", "grant_id", "object", "calendar_id"}
    return {key: value for key, value in message.items() if key in kept or key not in fields}
