"""The query parameters of lists of contacts and events: parsed, checked as the API checks them."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mail_pipeline.simulator.agenda import EVENT_TYPES, UNCANCELLED, EventEntry
from mail_pipeline.simulator.contacts import SOURCES, ContactEntry, Group, has_inbox
from mail_pipeline.simulator.problems import bad_request
from mail_pipeline.simulator.queries import flag, known, whole_number
from mail_pipeline.simulator.rhythm import DAY

IMPORTERS = frozenset({"google", "microsoft"})
"""Whose events /events/import serves."""
SPANS = {"microsoft": 1_825, "icloud": 184}
"""Most days from start to end; the documents leave open whether iCloud's are half a year or a whole one."""
_PAGING = frozenset({"limit", "page_token", "select"})
_CONTACTS = _PAGING | {"source", "group", "recurse"}
_WINDOW = _PAGING | {"calendar_id", "start", "end"}
_EVENTS = _WINDOW | {"event_type", "show_cancelled", "master_event_id", "updated_after", "updated_before"}
_ONLY = {
    "event_type": frozenset({"google"}),
    "updated_after": frozenset({"google", "microsoft", "ews"}),
    "updated_before": frozenset({"google", "microsoft", "ews"}),
}
_LISTS_OF_SOURCES = frozenset({"imap", "icloud"})


@dataclass(frozen=True)
class ContactQuery:
    """Which contacts."""

    sources: frozenset[str]
    groups: frozenset[str] | None

    def shows(self, entry: ContactEntry) -> bool:
        """Return whether a contact is among them."""
        return entry.source in self.sources and (
            self.groups is None or not self.groups.isdisjoint(entry.groups)
        )


def contact_query(provider: str, params: Mapping[str, str], groups: list[Group]) -> ContactQuery:
    """Read the parameters of a contact list: the address book unless another source is named."""
    known(params, _CONTACTS)
    sources = frozenset(params.get("source", SOURCES[0]).split(","))
    if not sources <= set(SOURCES):
        raise bad_request(f"source must be one of {', '.join(SOURCES)}")
    if len(sources) > 1 and provider not in _LISTS_OF_SOURCES:
        raise bad_request(f"source must be a single source for provider {provider}")
    if "inbox" in sources and not has_inbox(provider):
        raise bad_request(f"source inbox is not supported for provider {provider}")
    recurse = flag(params, "recurse")
    if recurse and provider != "microsoft":
        raise bad_request(f"recurse is not supported for provider {provider}")
    wanted = params.get("group")
    if not wanted:
        return ContactQuery(sources, None)
    if provider == "ews":
        raise bad_request("group is not supported for provider ews")
    paths = [group.path for group in groups if group.id == wanted]
    inner = [group.id for group in groups for path in paths if recurse and group.path.startswith(f"{path}/")]
    return ContactQuery(sources, frozenset([wanted, *inner]))


@dataclass(frozen=True)
class EventQuery:
    """Which events of a calendar."""

    start: int
    """Unix seconds; what ends then or before is not shown."""
    end: int
    """Unix seconds; what begins then or later is not shown."""
    types: frozenset[str] = frozenset(EVENT_TYPES)
    cancelled: bool = True
    """With cancelled events that are not of a series; those of a series are always shown."""
    master_id: str | None = None
    updated_after: int | None = None
    updated_before: int | None = None

    def shows(self, entry: EventEntry) -> bool:
        """Return whether an event is among them; a series is while it lasts."""
        return (
            entry.start < self.end
            and max(entry.end, entry.start + 1) > self.start
            and entry.event_type in self.types
            and (self.cancelled or entry.status != "cancelled" or entry.master_id is not None)
            and self.master_id in {None, entry.master_id}
            and (self.updated_after is None or entry.updated > self.updated_after)
            and (self.updated_before is None or entry.updated < self.updated_before)
        )


def event_query(provider: str, params: Mapping[str, str], now: float, *, importing: bool) -> EventQuery:
    """Read the parameters of a list of events, or of an import: a month from now on unless told otherwise."""
    known(params, _WINDOW if importing else _EVENTS)
    start, end = _window(provider, params, now)
    if importing:
        return EventQuery(start, end)
    for name, providers in _ONLY.items():
        if name in params and provider not in providers:
            raise bad_request(f"{name} is not supported for provider {provider}")
    if "show_cancelled" in params and provider in UNCANCELLED:
        raise bad_request(f"show_cancelled is not supported for provider {provider}")
    types = frozenset(params.get("event_type", EVENT_TYPES[0]).split(","))
    if not types <= set(EVENT_TYPES):
        raise bad_request(f"event_type must be one of {', '.join(EVENT_TYPES)}")
    return EventQuery(
        start,
        end,
        types,
        flag(params, "show_cancelled"),
        params.get("master_event_id") or None,
        whole_number(params, "updated_after", None),
        whole_number(params, "updated_before", None),
    )


def _window(provider: str, params: Mapping[str, str], now: float) -> tuple[int, int]:
    start = whole_number(params, "start", int(now))
    end = whole_number(params, "end", month_after(int(now)))
    if start > end:
        raise bad_request("start must not be later than end")
    days = SPANS.get(provider)
    if days is not None and end - start > days * DAY:
        raise bad_request(f"the time between start and end must not be longer than {days} days")
    return start, end


def month_after(moment: int) -> int:
    """Return the unix time one calendar month later, UTC, or the last day of a month that is too short."""
    at = datetime.fromtimestamp(moment, UTC)
    year, month = at.year + at.month // 12, at.month % 12 + 1
    return int(at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1])).timestamp())
