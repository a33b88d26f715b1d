"""What stands in a calendar and when: single events, series, and what differs in them; no text yet."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import object_ids
from mail_pipeline.simulator.rhythm import DAY, HOUR, YEAR
from mail_pipeline.simulator.shelf import Record

WEEK = 7 * DAY
FOREVER = 4_102_444_800
"""2100-01-01 UTC: where a series ends that has no end."""
EVENT_TYPES = ("default", "outOfOffice", "focusTime", "workingLocation")
FORMS = ("timespan", "time", "date", "datespan")
"""The shapes of `when`."""
_COUNT = re.compile(r"FREQ=WEEKLY.*COUNT=(\d+)")
UNCANCELLED = frozenset({"icloud", "ews"})
"""Where no list shows a cancelled event that is not of a series."""


class EventEntry(NamedTuple):
    """What the lists look at of an event, and what its record is written from."""

    id: str
    start: int
    """Unix seconds; days begin at midnight UTC."""
    end: int
    """Of a series, the end of its last occurrence."""
    updated: int
    status: str = "confirmed"
    event_type: str = "default"
    master_id: str | None = None
    form: str = "timespan"
    original: int | None = None
    """Where the series had an occurrence."""
    repeats: int | None = None
    """How many weekly occurrences a series has; 0: no end."""
    origin: tuple[int, int] | None = None
    """Calendar and number it is written from; None where its record was given."""


def share_out(holdings: Holdings, open_calendars: Sequence[int]) -> dict[int, int]:
    """Return how many events each calendar has that shows them: the first of these half, the rest alike."""
    if not open_calendars:
        return {}
    first, *others = open_calendars
    each = holdings.events // 2 // len(others) if others else 0
    return {first: holdings.events - each * len(others), **dict.fromkeys(others, each)}


def agenda(holdings: Holdings, calendar: int, count: int, beside: Sequence[EventEntry]) -> list[EventEntry]:
    """Return the entries of a calendar, by start.

    At Google some are those of `beside`, another calendar of the same grant, under the same ids.
    """
    ids = event_ids(holdings, calendar)
    single = [entry for entry in beside if entry.master_id is None and entry.repeats is None]
    wanted = count // 5 if holdings.provider == "google" else 0
    shared = single[:: len(single) // wanted or 1][:wanted] if wanted else []
    entries = list(shared)
    random = holdings.random("agenda", calendar)
    while len(entries) < count:
        number, room = len(entries), count - len(entries)
        if random.random() < 0.06:
            entries += _series(holdings, calendar, number, ids, room, random)
        else:
            entries.append(_single(holdings, calendar, number, ids(number), random))
    return sorted(entries, key=lambda entry: (entry.start, entry.id))


def event_ids(holdings: Holdings, calendar: int | str) -> Callable[[int], str]:
    """Return what gives the ids of a calendar's events, its first ones by number and new ones by its id."""
    return object_ids(holdings.provider, holdings.seed, holdings.mailbox, f"event {calendar}")


def event_entry(record: Record, event_type: str = "default") -> EventEntry:
    """Return what the lists look at of a record that was given; raises ValueError as `bounds` does."""
    start, end = bounds(record.get("when") or {})
    if record.get("recurrence"):
        count = _COUNT.search(record["recurrence"][0])
        end = FOREVER if count is None else end + (int(count[1]) - 1) * WEEK
    return EventEntry(
        record["id"],
        start,
        end,
        record.get("updated_at") or 0,
        record.get("status") or "confirmed",
        event_type,
        record.get("master_event_id"),
    )


def bounds(when: Record) -> tuple[int, int]:
    """Return start and end of a `when` of any shape, unix seconds; raises ValueError where there are none."""
    if "time" in when:
        return int(when["time"]), int(when["time"])
    if "start_time" in when and "end_time" in when:
        return int(when["start_time"]), int(when["end_time"])
    if "date" in when:
        return _midnight(when["date"]), _midnight(when["date"]) + DAY
    if "start_date" in when and "end_date" in when:
        return _midnight(when["start_date"]), _midnight(when["end_date"]) + DAY
    raise ValueError("when must hold time, start_time and end_time, date, or start_date and end_date")


def day(moment: int) -> str:
    """Return the UTC day of a unix time, such as 2026-05-01."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _midnight(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _single(holdings: Holdings, calendar: int, number: int, event_id: str, random: Random) -> EventEntry:
    start, draw = _start(holdings, random), random.random()
    form = FORMS[0] if draw < 0.8 else FORMS[1 + number % 3]
    status, event_type = "confirmed", "default"
    if (draw := random.random()) < 0.06:
        status = "tentative" if draw < 0.03 or holdings.provider in UNCANCELLED else "cancelled"
    elif holdings.provider == "google" and draw < 0.14:
        event_type = EVENT_TYPES[1 + number % 3]
    length = {"timespan": HOUR * (1 + number % 3), "time": 0, "date": DAY, "datespan": 3 * DAY}[form]
    if form in {"date", "datespan"}:
        start -= start % DAY
    return EventEntry(
        event_id,
        start,
        start + length,
        _updated(holdings, start, random),
        status,
        event_type,
        None,
        form,
        origin=(calendar, number),
    )


def _series(
    holdings: Holdings, calendar: int, number: int, ids: Callable[[int], str], room: int, random: Random
) -> list[EventEntry]:
    """Return a weekly series and up to five of its occurrences: as planned, cancelled, and moved."""
    start, endless = _start(holdings, random), random.random() < 0.3
    count = 6 + int(random.random() * 60)
    master = EventEntry(
        ids(number),
        start,
        FOREVER if endless else start + (count - 1) * WEEK + HOUR,
        _updated(holdings, start, random),
        repeats=0 if endless else count,
        origin=(calendar, number),
    )
    children = []
    for place in range(1, min(room, 1 + int(random.random() * 6))):
        original = start + place * WEEK
        moved = 2 * HOUR if place % 3 == 0 else 0
        children.append(
            EventEntry(
                occurrence_id(holdings, master.id, original, ids(number + place)),
                original + moved,
                original + moved + HOUR,
                master.updated,
                "cancelled" if place % 3 == 2 else "confirmed",
                master_id=master.id,
                original=original,
                origin=(calendar, number + place),
            )
        )
    return [master, *children]


def occurrence_id(holdings: Holdings, master_id: str, original: int, own_id: str) -> str:
    """Return the id of an occurrence of a series: at Google it says when that would have been."""
    if holdings.provider != "google":
        return own_id
    return f"{master_id}_{datetime.fromtimestamp(original, UTC):%Y%m%dT%H%M%SZ}"


def _start(holdings: Holdings, random: Random) -> int:
    span = holdings.years * YEAR + YEAR
    moment = holdings.now - int(holdings.years * YEAR) + int(random.random() * span)
    return (
        moment - moment % DAY + (7 + int(random.random() * 12)) * HOUR + (0, 1_800)[int(random.random() * 2)]
    )


def _updated(holdings: Holdings, start: int, random: Random) -> int:
    return min(start, holdings.now) - int(random.random() * 30 * DAY) - 1
