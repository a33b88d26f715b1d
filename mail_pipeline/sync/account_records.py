"""Reading the API's grant and folder records: of one whose id can be read no field costs the rest."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.sync.records import (
    Unreadable,
    read_count,
    read_identity,
    read_key,
    read_list,
    read_object,
    read_seconds,
    read_text,
)
from mail_pipeline.sync.roles import folder_role
from mail_pipeline.sync.texts import mended

SECRET_FIELDS = frozenset({"settings"})
"""Fields of a grant that may hold what opens the account; they are not kept, not even in `extra`."""
_GRANT_FIELDS = SECRET_FIELDS | frozenset(
    {"id", "provider", "email", "grant_status", "scope", "created_at", "updated_at", "object"}
)
_FOLDER_FIELDS = frozenset(
    {"id", "grant_id", "name", "parent_id", "total_count", "unread_count", "attributes", "object"}
)

Known = Callable[[str], Mapping[str, Any]]
"""Returns what the lake holds of an id."""


def nothing_known(_: str) -> Mapping[str, Any]:
    """Return that the lake holds nothing."""
    return {}


def read_grant(record: object, known: Known = nothing_known) -> tuple[dict[str, Any], str | None]:
    """Return a row of `all_grants` without its times of observation, and what of the record it leaves out.

    Times are unix seconds. A field that cannot be read is as it was `known`, else empty, and told; None where
    all could be read. Raises Unreadable without an id or with a provider that cannot be read, and
    RecursionError for a record that nests too deeply.
    """
    reading = _Reading(record, known)
    provider = read_key("provider", reading.fields.get("provider")) or "unknown"
    row = {
        "id": reading.id,
        "provider": provider,
        "email": reading.take("email", read_text),
        "status": reading.take("grant_status", read_text, column="status") or "valid",
        "scopes": reading.take("scope", _texts, column="scopes") or [],
        "per_folder": provider in IMAP_FAMILY,
        "created_at": reading.take("created_at", _moment),
        "updated_at": reading.take("updated_at", _moment),
        "extra": _extra(reading.fields, _GRANT_FIELDS),
    }
    return row, reading.left_out


def read_folder(
    record: object, provider: str, known: Known = nothing_known
) -> tuple[dict[str, Any], str | None]:
    """Return a row of `all_folders` without its grant, partition key and times of observation.

    What it leaves out of the record is told as by `read_grant`. Raises like it, whatever the provider.
    """
    reading = _Reading(record, known)
    name = reading.take("name", read_text)
    attributes = reading.take("attributes", _texts) or []
    row = {
        "id": reading.id,
        "name": name,
        "role": folder_role(provider, reading.id, name, attributes),
        "parent_id": reading.take("parent_id", read_text),
        "total_count": reading.take("total_count", read_count),
        "unread_count": reading.take("unread_count", read_count),
        "attributes": attributes,
        "extra": _extra(reading.fields, _FOLDER_FIELDS),
    }
    return row, reading.left_out


class _Reading:
    """A record whose id can be read, taken field by field; what cannot be read is noted."""

    def __init__(self, record: object, known: Known) -> None:
        self.fields: dict[str, Any] = mended(read_object(record))
        self._reasons: list[str] = []
        self.id = read_identity(self.fields)
        self._known = known(self.id)

    def take(self, name: str, read: Callable[[str, Any], Any], *, column: str | None = None) -> Any:
        """Return a field as it is read, or else as its column was known."""
        try:
            return read(name, self.fields.get(name))
        except Unreadable as error:
            self._reasons.append(str(error))
            return self._known.get(column or name)

    @property
    def left_out(self) -> str | None:
        """Name the fields that could not be read, and why."""
        if not self._reasons:
            return None
        return f"{'; '.join(self._reasons)}; stored without {'it' if len(self._reasons) == 1 else 'them'}"


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
