"""The API's calls on contacts, calendars, events and threads without HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mail_pipeline.simulator.agenda import EventEntry
from mail_pipeline.simulator.asked import IMPORTERS, contact_query, event_query
from mail_pipeline.simulator.calendars import CalendarEntry
from mail_pipeline.simulator.contacts import picture
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.pager import Pager, Result
from mail_pipeline.simulator.problems import bad_request, needs, not_found
from mail_pipeline.simulator.queries import Paging, flag, known, paging, select, selected
from mail_pipeline.simulator.seeds import stable_int
from mail_pipeline.simulator.shelf import Record, Shelf
from mail_pipeline.simulator.world import World

THREADS_DEFAULT, THREADS_MOST = 20, 50
CONTACTS_DEFAULT = 30
IMPORT_MOST = 500
PATHS = {
    "contacts": "/contacts",
    "contact_groups": "/contacts/groups",
    "contact": "/contacts/{id}",
    "calendars": "/calendars",
    "calendar": "/calendars/{id}",
    "events": "/events",
    "events_import": "/events/import",
    "event": "/events/{id}",
    "threads": "/threads",
    "thread": "/threads/{id}",
}
"""Paths below a grant by operation; the first that fits wins."""
_LIST = frozenset({"limit", "page_token", "select"})
_HEAPS = 7
_HEAP = 1 << 40


@dataclass(frozen=True)
class Call:
    """One call on an account."""

    mailbox: LiveMailbox
    path: str
    params: Mapping[str, str]
    now: float
    id: str = ""
    """Of the object a GET is for."""
    repeat: bool = False
    """The page begins with the end of the page before."""

    @property
    def provider(self) -> str:
        """Return the grant's provider."""
        return self.mailbox.grant.provider


class Streams:
    """Answers calls over a world, whose lock the caller holds; a refusal is an ApiError."""

    def __init__(self, world: World, pager: Pager) -> None:
        """Take what is served, and what cuts it into pages."""
        self._world = world
        self._pager = pager
        self.calls: Mapping[str, Callable[[Call], Result]] = {
            "contacts": self._contacts,
            "contact": self._contact,
            "contact_groups": self._contact_groups,
            "calendars": self._calendars,
            "calendar": self._calendar,
            "events": self._events,
            "events_import": self._events_import,
            "event": self._event,
            "threads": self._threads,
            "thread": self._thread,
        }

    def _contacts(self, call: Call) -> Result:
        needs(call.mailbox.grant, "contacts")
        account = self._world.account(call.mailbox)
        query = contact_query(call.provider, call.params, account.groups)
        places = [serial for serial, entry in account.contacts if query.shows(entry)]
        return self._page(call, places, account.contacts.record, CONTACTS_DEFAULT)

    def _contact(self, call: Call) -> Result:
        needs(call.mailbox.grant, "contacts")
        known(call.params, {"select", "profile_picture"})
        record = _found(self._world.account(call.mailbox).contacts, call.id, "contact")
        if flag(call.params, "profile_picture") and (image := picture(record)) is not None:
            record["picture"] = image
        return _one(call, record)

    def _contact_groups(self, call: Call) -> Result:
        needs(call.mailbox.grant, "contacts")
        known(call.params, _LIST)
        groups = self._world.account(call.mailbox).groups
        return self._page(
            call, range(len(groups)), lambda place: groups[place].record(call.mailbox.grant.id), 50
        )

    def _calendars(self, call: Call) -> Result:
        needs(call.mailbox.grant, "calendars")
        known(call.params, _LIST)
        shelf = self._world.account(call.mailbox).calendars
        places = [serial for serial, entry in shelf if self._shown(call, entry)]
        return self._page(call, places, shelf.record, 50)

    def _calendar(self, call: Call) -> Result:
        needs(call.mailbox.grant, "calendars")
        known(call.params, {"select"})
        entry = self._calendar_named(call, call.id)
        return _one(call, _found(self._world.account(call.mailbox).calendars, entry.id, "calendar"))

    def _events(self, call: Call) -> Result:
        needs(call.mailbox.grant, "events")
        query = event_query(call.provider, call.params, call.now, importing=False)
        shelf = self._events_of(call)
        places = [serial for serial, entry in shelf if query.shows(entry)]
        return self._page(call, places, shelf.record, 50)

    def _events_import(self, call: Call) -> Result:
        """Serve events in heaps, since they come unsorted, and some twice, at the edges of pages."""
        needs(call.mailbox.grant, "events")
        if call.provider not in IMPORTERS:
            raise bad_request(f"importing events is not supported for provider {call.provider}")
        query = event_query(call.provider, call.params, call.now, importing=True)
        shelf = self._events_of(call)
        places = sorted(serial % _HEAPS * _HEAP + serial for serial, entry in shelf if query.shows(entry))
        page = paging(call.path, call.params, 50, IMPORT_MOST)
        repeat = call.repeat or stable_int(page.binding, page.page_token or "") % 2 == 0
        return self._page(call, places, lambda place: shelf.record(place % _HEAP), page, repeat=repeat)

    def _event(self, call: Call) -> Result:
        needs(call.mailbox.grant, "events")
        known(call.params, {"calendar_id", "select"})
        return _one(call, _found(self._events_of(call), call.id, "event"))

    def _threads(self, call: Call) -> Result:
        needs(call.mailbox.grant, "threads")
        known(call.params, _LIST)
        threads = self._world.threads(call.mailbox)
        places = threads.places(self._world.cache_start)
        page = paging(call.path, call.params, THREADS_DEFAULT, THREADS_MOST)
        return self._page(call, places, threads.record, page)

    def _thread(self, call: Call) -> Result:
        needs(call.mailbox.grant, "threads")
        known(call.params, {"select"})
        threads = self._world.threads(call.mailbox)
        place = threads.find(call.id, self._world.cache_start)
        if place is None:
            raise not_found("thread")
        return _one(call, threads.record(place))

    def _page(
        self,
        call: Call,
        places: Sequence[int],
        record: Callable[[int], Record],
        page: Paging | int,
        *,
        repeat: bool = False,
    ) -> Result:
        """Return a page of a list; `page` is what is asked for, or how many come unless asked otherwise."""
        paged = paging(call.path, call.params, page) if isinstance(page, int) else page
        shown, envelope = self._pager.cut(places, paged, call.now, repeat=repeat or call.repeat)
        records = selected([record(place) for place in shown], select(call.params))
        return Result({"data": records} | envelope, len(records))

    def _shown(self, call: Call, calendar: CalendarEntry) -> bool:
        return (call.mailbox.grant.id, calendar.id) not in self._world.vanished

    def _calendar_named(self, call: Call, calendar_id: str) -> CalendarEntry:
        if calendar_id == "primary" and call.provider == "icloud":
            raise bad_request("primary is not supported for provider icloud")
        try:
            entry = self._world.account(call.mailbox).calendar(calendar_id)
        except KeyError:
            raise not_found("calendar") from None
        if not self._shown(call, entry):
            raise not_found("calendar")
        return entry

    def _events_of(self, call: Call) -> Shelf[EventEntry]:
        calendar_id = call.params.get("calendar_id")
        if not calendar_id:
            raise bad_request("calendar_id is required")
        entry = self._calendar_named(call, calendar_id)
        if entry.closed:
            raise not_found("calendar")
        return self._world.account(call.mailbox).events(entry.id)


def _found(shelf: Shelf[Any], object_id: str, what: str) -> Record:
    serial = shelf.find(object_id)
    if serial is None:
        raise not_found(what)
    return shelf.record(serial)


def _one(call: Call, record: Record) -> Result:
    return Result({"data": selected([record], select(call.params))[0]})
