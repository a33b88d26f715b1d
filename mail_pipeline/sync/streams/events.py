"""Events, calendar by calendar, from the far future back to 1970.

The API shows a month from now unless told the bounds, and bounds how far apart these may be (reference:
nylas-api 5.4, trap 17). So a calendar is listed window by window, newest first.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake import queries
from mail_pipeline.nylas import GrantClient, NotFound
from mail_pipeline.sync.position import Position
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.records import Unreadable, read_objects, read_seconds, read_text
from mail_pipeline.sync.rows import canonical
from mail_pipeline.sync.streams.record_store import Fields, Part
from mail_pipeline.sync.streams.record_stream import RecordStream

_DAY = 86_400
_AHEAD = 5 * 365 * _DAY
"""How far ahead events are listed; Microsoft's window of 1,825 days is as long."""
_WINDOWS: Mapping[str, int] = {"microsoft": 1_824 * _DAY, "icloud": 179 * _DAY}
"""Longest time between start and end, by provider: a day less than allowed, by which windows overlap."""
_OVERLAP = _DAY
"""An event on the edge of two windows must be in one of them, whether bounds count or not."""
_IMPORTED = frozenset({"google"})
"""Providers listed by /events/import, which is made for it and gives 500 at once (Microsoft's is a beta)."""
_IMPORT_PAGE = 500


class _EventStream(RecordStream):
    """Events, by calendar and window."""

    def begin(self, position: Position) -> Position:
        """Begin with the newest window."""
        return (
            position if position.before is not None else replace(position, before=int(time.time()) + _AHEAD)
        )

    def following(self, part: Slice, position: Position) -> Position | None:
        """Go on with the window before, back to `since` or 1970."""
        start = self._start(part, position)
        return None if start <= (position.since or 0) else replace(position, before=start)

    def path(self, part: Slice) -> str:
        """Return the list that suits the provider."""
        return "events/import" if part.provider in _IMPORTED else "events"

    def largest(self, part: Slice) -> int:
        """Return the most events a page holds."""
        return _IMPORT_PAGE if part.provider in _IMPORTED else self.largest_page

    def parameters(self, part: Slice, position: Position) -> dict[str, str | int]:
        """Return the window."""
        assert part.scope is not None
        assert position.before is not None
        asked: dict[str, str | int] = {
            "calendar_id": part.scope,
            "start": self._start(part, position),
            "end": position.before + _OVERLAP,
        }
        if part.provider == "microsoft":
            asked["show_cancelled"] = "true"
        return asked

    def not_offered(self, grant: GrantClient, part: Slice, error: MailPipelineError) -> bool:
        """Tell whether the calendar is one that shows no events: subscribed, or free/busy only."""
        if not isinstance(error, NotFound) or part.scope is None:
            return super().not_offered(grant, part, error)
        try:
            # 404 may also say that the grant, or the calendar itself, is gone.
            return bool(grant.record("calendars", part.scope).records)
        except MailPipelineError:
            return False

    def _start(self, part: Slice, position: Position) -> int:
        assert position.before is not None
        window = _WINDOWS.get(part.provider, position.before)
        return max(position.before - window, position.since or 0)


def _when(name: str, value: Any) -> dict[str, Any] | None:
    """Read a time, a span, a date or a span of dates; its kind is told by its keys, as `object` may lack."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Unreadable(f"{name}: expected an object, got something else")
    for key in ("time", "start_time", "end_time"):
        read_seconds(f"{name}.{key}", value.get(key))
    for key in ("date", "start_date", "end_date"):
        _midnight(f"{name}.{key}", value.get(key))
    for key in ("timezone", "start_timezone", "end_timezone"):
        read_text(f"{name}.{key}", value.get(key))
    return value


def _midnight(name: str, value: Any) -> int | None:
    text = read_text(name, value)
    if not text:
        return None
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise Unreadable(f"{name}: expected a date such as 2026-01-31, got other text") from None


def _first(*names: str) -> Callable[[Fields], Any]:
    """Return what takes the first of these keys of `when` that is there, a date as midnight UTC."""

    def take(fields: Fields) -> Any:
        when = fields.get("when") or {}
        value = next((when[name] for name in names if when.get(name) is not None), None)
        return _midnight("when", value) if isinstance(value, str) else value

    return take


def _zone(fields: Fields) -> str | None:
    when = fields.get("when") or {}
    zone: str | None = when.get("timezone") or when.get("start_timezone")
    return zone


def _all_day(fields: Fields) -> bool | None:
    when = fields.get("when")
    return None if not when else "date" in when or "start_date" in when


def _of(name: str, key: str) -> Callable[[Fields], str | None]:
    """Return what takes a text out of a field that should be an object."""

    def take(fields: Fields) -> str | None:
        value = fields.get(name)
        found = value.get(key) if isinstance(value, dict) else None
        return found if isinstance(found, str) else None

    return take


def _participants(fields: Fields) -> Iterator[tuple[Any, ...]]:
    for position, person in enumerate(fields.get("participants") or ()):
        told = [person.get(name) for name in ("name", "email", "status", "comment")]
        name, address, status, comment = (each if isinstance(each, str) else None for each in told)
        yield position, name, address, status, comment, *canonical(address)


EVENTS = _EventStream(
    name="events",
    kind="event",
    within="calendar_id",
    largest_page=200,
    # Its scopes are the calendars that the lake knows of the grant.
    scopes=lambda _: (),
    readers={"when": _when, "participants": read_objects, "original_start_time": read_seconds},
    values={
        "all_day": _all_day,
        "starts_at": _first("start_time", "time", "start_date", "date"),
        "ends_at": _first("end_time", "time", "end_date", "date"),
        "timezone": _zone,
        "organizer_name": _of("organizer", "name"),
        "organizer_address": _of("organizer", "email"),
        "original_starts_at": lambda fields: fields.get("original_start_time"),
        "conferencing_provider": _of("conferencing", "provider"),
    },
    parts=(Part("event_participants", "event_id", _participants),),
    missed=queries.MISSED_EVENTS,
)
