"""Calendars as each provider has them, and which of them let their events be seen (API notes, 5.3)."""

from typing import NamedTuple

from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import object_ids
from mail_pipeline.simulator.shelf import Record, Shelf

_NAMES = ("Calendar", "Work", "Holidays in Germany", "Family", "Büro & Räume", "Choir")
_CLOSED_EVERY = 6
_COLOURS = ("#4a86e8", "#16a766", "#fb4c2f", "#ffad47")
_SHOWN_WHEN_DELETED = ("is_primary", "read_only", "timezone", "is_owned_by_user")
_NOT_TOLD = frozenset({"metadata", "notetaker"})


class CalendarEntry(NamedTuple):
    """What calls look at of a calendar."""

    id: str
    primary: bool
    closed: bool
    """Subscribed, or shared as free and busy only: listed, but its events answer 404."""
    number: int = -1
    """What its record is written from; -1 where that was given."""


def calendars(holdings: Holdings) -> Shelf[CalendarEntry]:
    """Return a grant's calendars: the primary one first, which iCloud lacks; the third is closed."""
    entries = []
    for number in range(holdings.calendars):
        closed = number % _CLOSED_EVERY == 2
        primary = number == 0 and holdings.provider != "icloud"
        entries.append(CalendarEntry(calendar_id(holdings, number, closed=closed), primary, closed, number))
    return Shelf(entries, lambda entry: _write(holdings, entry))


def calendar_id(holdings: Holdings, number: int, *, closed: bool = False) -> str:
    """Return the id of the calendar with this number: at Google it holds characters a URL reserves."""
    if holdings.provider != "google":
        return object_ids(holdings.provider, holdings.seed, holdings.mailbox, "calendar")(number)
    if number == 0:
        return holdings.owner.email
    if closed:
        return f"en.german{number}#holiday@group.v.calendar.google.com"
    return f"c_{holdings.number('calendar', number):016x}@group.calendar.google.com"


def new_calendar(holdings: Holdings, number: int, name: str) -> Record:
    """Return an owner's new calendar; `number` makes its id another."""
    return _write(holdings, CalendarEntry(calendar_id(holdings, number), False, False, number)) | {
        "name": name
    }


def told(record: Record, *, deleted: bool) -> Record:
    """Return a calendar as calendar.* notifications show it: nearly in full, or of a deleted one a little."""
    if deleted:
        kept = ("id", "grant_id", "object", "name", *_SHOWN_WHEN_DELETED)
        return {key: record[key] for key in kept if key in record}
    return {key: value for key, value in record.items() if key not in _NOT_TOLD}


def _write(holdings: Holdings, entry: CalendarEntry) -> Record:
    number = entry.number
    record: Record = {
        "id": entry.id,
        "grant_id": holdings.grant_id,
        "object": "calendar",
        "name": _NAMES[number] if number < len(_NAMES) else f"Project {number:02d}",
        "is_primary": entry.primary,
        "is_owned_by_user": not entry.closed and number % 5 != 4,
        "read_only": entry.closed,
    }
    if holdings.provider in {"google", "virtual-calendar"}:
        record["timezone"] = ("Europe/Berlin", "America/New_York")[number % 2]
    if holdings.provider in {"google", "icloud"}:
        record["hex_color"] = _COLOURS[number % len(_COLOURS)]
    if holdings.provider == "google":
        record["hex_foreground_color"] = "#ffffff"
    if holdings.provider == "microsoft":
        record["owner_email"] = holdings.owner.email
    if number % 2:
        record |= {"description": f"Calendar {number} of the house", "location": "Köln"}
    elif number:
        # Absent and null are the same to whoever reads.
        record |= {"description": None, "location": None}
    if number % 4 == 1:
        record["metadata"] = {"key1": f"team-{number}"}
        record["notetaker"] = {"name": "Notes", "meeting_settings": {"video_recording": False}}
    return record
