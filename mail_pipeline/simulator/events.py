"""An entry of a calendar becomes the API's Event object: people, text, provider's quirks (API notes, 5.4)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from mail_pipeline.simulator import words
from mail_pipeline.simulator.agenda import EventEntry, day, event_ids, occurrence_id
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.rhythm import DAY, HOUR
from mail_pipeline.simulator.seeds import stable_int
from mail_pipeline.simulator.shelf import Record

FIRST_NEW = 1 << 32
"""From here on number the events that were not there at first, whatever their calendar."""
_ANSWERS = ("yes", "no", "maybe", "noreply")
_CALLS = ("Google Meet", "Microsoft Teams", "Zoom Meeting", "Harbour Talk", "unknown")
"""One of them no document names."""


def write_event(holdings: Holdings, calendar_id: str, entry: EventEntry) -> Record:
    """Return the complete event; one that stands in two calendars differs in calendar_id only."""
    calendar, number = entry.origin or (0, 0)
    random = holdings.random("event", calendar, number)
    series = number if entry.original is None else entry.master_id or number
    draw = stable_int(holdings.seed, holdings.mailbox, "event", calendar, series)
    topic = words.TOPICS[draw % len(words.TOPICS)]
    uid = f"{draw:016x}@calendar.example.org"
    record: Record = {
        "id": entry.id,
        "grant_id": holdings.grant_id,
        "calendar_id": calendar_id,
        "object": "event",
        "title": topic[0].upper() + topic[1:],
        "description": None,
        "busy": entry.event_type != "workingLocation",
        "status": entry.status,
        "visibility": ("default", "public", "private")[draw % 3],
        "read_only": draw % 7 == 0,
        "ical_uid": None if draw % 11 == 0 else uid,
        "html_link": f"https://calendar.example.org/event?eid={draw:x}",
        "created_at": entry.updated - draw % 40 * DAY,
        "updated_at": entry.updated,
        "organizer": {"email": holdings.owner.email, "name": holdings.owner.name},
        "participants": [],
        "resources": [],
        "reminders": {"use_default": True, "overrides": None},
        "conferencing": {},
        "when": _when(entry, ("Europe/Berlin", "America/New_York")[calendar % 2]),
    }
    _people(record, holdings, random)
    _text(record, random)
    if entry.repeats is not None:
        record["recurrence"] = ["RRULE:FREQ=WEEKLY" + (f";COUNT={entry.repeats}" if entry.repeats else "")]
    if entry.master_id is not None:
        record |= {"master_event_id": entry.master_id, "original_start_time": entry.original}
    _provider_fields(record, holdings, draw)
    odd = holdings.oddity(number, len(EVENT_ODDITIES))
    if odd is not None:
        EVENT_ODDITIES[odd](record)
    return record


def new_event(
    holdings: Holdings, calendar_id: str, number: int, now: int, fields: Mapping[str, Any]
) -> Record:
    """Return an event that was not there at first; `number` makes its id another within the calendar.

    What `fields` do not say is made up: it takes an hour, the day after `now`, unix seconds.
    """
    start = now + DAY
    master, original = fields.get("master_event_id"), fields.get("original_start_time")
    event_id = event_ids(holdings, calendar_id)(number)
    if isinstance(master, str) and isinstance(original, int):
        event_id = occurrence_id(holdings, master, original, event_id)
    entry = EventEntry(event_id, start, start + HOUR, now, origin=(0, FIRST_NEW + number))
    record = write_event(replace(holdings, oddity_every=0), calendar_id, entry)
    if holdings.provider != "icloud":
        record["created_at"] = now
    return record | dict(fields)


def _when(entry: EventEntry, zone: str) -> Record:
    if entry.form == "time":
        return {"object": "time", "time": entry.start, "timezone": zone}
    if entry.form == "date":
        return {"object": "date", "date": day(entry.start)}
    if entry.form == "datespan":
        return {"object": "datespan", "start_date": day(entry.start), "end_date": day(entry.end - DAY)}
    end = entry.start + HOUR if entry.repeats is not None else entry.end
    return {
        "object": "timespan",
        "start_time": entry.start,
        "end_time": end,
        "start_timezone": zone,
        "end_timezone": zone,
    }


def _people(record: Record, holdings: Holdings, random: Random) -> None:
    while random.random() < 0.6 and len(record["participants"]) < 8:
        name, email = words.person(holdings.seed, holdings.mailbox, 0, int(60 * random.random() ** 2))
        answer = _ANSWERS[int(random.random() * len(_ANSWERS))]
        record["participants"].append({"name": name, "email": email, "status": answer})
    if record["participants"] and random.random() < 0.15:
        record["participants"][0] |= {"comment": "Ten minutes late", "phone_number": "+49 30 111"}
        organizer = words.person(holdings.seed, holdings.mailbox, 0, 1)
        record["organizer"] = {"email": organizer.email, "name": organizer.name}
        record["creator"] = record["organizer"]
    if random.random() < 0.1:
        # A room: at Microsoft it may come without any address.
        room: Record = {"name": "Room Oak", "status": "yes"}
        if holdings.provider != "microsoft":
            room["email"] = "room.oak@rooms.example.org"
        record["participants"].append(room)
        record["resources"] = [{"email": "room.oak@rooms.example.org", "name": "Room Oak", "capacity": 8}]


def _text(record: Record, random: Random) -> None:
    pool = words.paragraphs()
    if (draw := random.random()) < 0.5:
        text = pool[int(draw * 2 * len(pool))]
        record |= {"description": f"<p>{text}</p>" if draw < 0.3 else text, "location": "Lindenweg 4, Köln"}
        record["text_description"] = text
    if (draw := random.random()) < 0.3:
        provider = _CALLS[int(draw / 0.3 * len(_CALLS))]
        details: Record = {"url": f"https://call.example.org/{int(draw * 1e9)}", "meeting_code": "77 12"}
        record["conferencing"] = {"provider": provider, "details": details}
        if provider == "unknown":
            # Some come with a name and nothing else.
            del record["conferencing"]["details"]
        elif provider == "Google Meet":
            details |= {"phone": ["+49 30 222"], "pin": "1234"}
        elif provider == "Zoom Meeting":
            details["password"] = "oak"
    if random.random() < 0.2:
        override = {"reminder_minutes": 20, "reminder_method": "email"}
        record["reminders"] = {"use_default": False, "overrides": [override]}


def _provider_fields(record: Record, holdings: Holdings, draw: int) -> None:
    if holdings.provider == "google":
        record |= {"hide_participants": draw % 13 == 0, "sequence": draw % 3, "color_id": str(draw % 11)}
    elif record["visibility"] == "default":
        record["visibility"] = "public"
    if holdings.provider == "icloud":
        record |= {"created_at": None, "updated_at": None}
    if draw % 17 == 0:
        record |= {"metadata": {"key1": f"deal-{draw % 1000}"}, "capacity": 12}
        record["notetaker"] = {"name": "Notes", "meeting_settings": {"video_recording": False}}


def when_without_object(record: Record) -> None:
    """Leave the shape of `when` to be told from its keys."""
    record["when"].pop("object")


def calendar_null(record: Record) -> None:
    """Do not say which calendar it stands in; who asked knows."""
    record["calendar_id"] = None


def lists_null(record: Record) -> None:
    """Send null where there is nothing to list."""
    record |= {"participants": None, "resources": None, "reminders": None, "conferencing": None}


def title_absent(record: Record) -> None:
    """Leave the title and the organizer out."""
    del record["title"], record["organizer"]


def text_hostile(record: Record) -> None:
    """Put a NUL and characters from everywhere into the text."""
    record |= {"title": "שלום e\u0301 👩‍👩‍👧", "description": "a\0b \u2028 𝕸", "location": ""}


def organizer_nameless(record: Record) -> None:
    """Name an organizer with an empty address, and carry a field no document describes."""
    record |= {"organizer": {"email": "", "name": "Nobody"}, "importance": {"level": [1.5, None, True]}}


def status_confidential(record: Record) -> None:
    """Use values that only some lists of values have."""
    record["visibility"] = "confidential"
    if record["status"] == "confirmed":
        record["status"] = "maybe"


EVENT_ODDITIES: tuple[Callable[[Record], None], ...] = (
    when_without_object,
    calendar_null,
    lists_null,
    title_absent,
    text_hostile,
    organizer_nameless,
    status_confidential,
)
