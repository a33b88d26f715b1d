"""Reading the API's grant and folder records; one that cannot be read raises Unreadable, naming the field."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.sync.records import (
    Unreadable,
    mended,
    read_count,
    read_list,
    read_object,
    read_seconds,
    read_text,
)
from mail_pipeline.sync.roles import folder_role

SECRET_FIELDS = frozenset({"settings"})
"""Fields of a grant that may hold what opens the account; they are not kept, not even in `extra`."""
_GRANT_FIELDS = SECRET_FIELDS | frozenset(
    {"id", "provider", "email", "grant_status", "scope", "created_at", "updated_at", "object"}
)
_FOLDER_FIELDS = frozenset(
    {"id", "grant_id", "name", "parent_id", "total_count", "unread_count", "attributes", "object"}
)


def read_grant(record: object) -> dict[str, Any]:
    """Return a row of `all_grants` without its times of observation; times are unix seconds."""
    fields = _object(record)
    provider = read_text("provider", fields.get("provider")) or "unknown"
    return {
        "id": _identity(fields),
        "provider": provider,
        "email": read_text("email", fields.get("email")),
        "status": read_text("grant_status", fields.get("grant_status")) or "valid",
        "scopes": _texts("scope", fields.get("scope")),
        "per_folder": provider in IMAP_FAMILY,
        "created_at": _moment("created_at", fields.get("created_at")),
        "updated_at": _moment("updated_at", fields.get("updated_at")),
        "extra": _extra(fields, _GRANT_FIELDS),
    }


def read_folder(record: object, provider: str) -> dict[str, Any]:
    """Return a row of `all_folders` without its grant, partition key and times of observation."""
    fields = _object(record)
    identity = _identity(fields)
    name = read_text("name", fields.get("name"))
    attributes = _texts("attributes", fields.get("attributes"))
    return {
        "id": identity,
        "name": name,
        "role": folder_role(provider, identity, name, attributes),
        "parent_id": read_text("parent_id", fields.get("parent_id")),
        "total_count": read_count("total_count", fields.get("total_count")),
        "unread_count": read_count("unread_count", fields.get("unread_count")),
        "attributes": attributes,
        "extra": _extra(fields, _FOLDER_FIELDS),
    }


def _object(record: object) -> dict[str, Any]:
    fields: dict[str, Any] = mended(read_object(record))
    return fields


def _identity(fields: dict[str, Any]) -> str:
    identity = read_text("id", fields.get("id"))
    if not identity:
        raise Unreadable("id: expected text, got nothing")
    return identity


def _texts(name: str, value: Any) -> list[str]:
    # The vendor's own client types this field as one text.
    items: Iterable[Any] = [value] if isinstance(value, str) else read_list(name, value)
    return [text for item in items if (text := read_text(name, item)) is not None]


def _moment(name: str, value: Any) -> int | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Unreadable(f"{name}: expected unix seconds or an ISO date, got other text") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return read_seconds(name, int(moment.timestamp()))
    return read_seconds(name, value)


def _extra(fields: dict[str, Any], known: frozenset[str]) -> str | None:
    extra = {name: value for name, value in fields.items() if name not in known}
    return json.dumps(extra, ensure_ascii=False) if extra else None
