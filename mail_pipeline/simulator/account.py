"""What one account holds beside its mail, as it is now: made when first asked for."""

from functools import cached_property

from mail_pipeline.simulator.agenda import EventEntry, agenda, share_out
from mail_pipeline.simulator.calendars import CalendarEntry, calendars
from mail_pipeline.simulator.contacts import ContactEntry, Group, contact_groups, contacts
from mail_pipeline.simulator.events import write_event
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.shelf import Shelf


class Account:
    """Contacts, calendars and events of one grant. It locks nothing: who shares it between threads does."""

    def __init__(self, holdings: Holdings) -> None:
        """Make nothing yet."""
        self.holdings = holdings
        self._events: dict[str, Shelf[EventEntry]] = {}
        self._agendas: dict[int, list[EventEntry]] = {}

    @cached_property
    def groups(self) -> list[Group]:
        """Return the contact groups."""
        return contact_groups(self.holdings)

    @cached_property
    def contacts(self) -> Shelf[ContactEntry]:
        """Return the contacts of every source."""
        return contacts(self.holdings, self.groups)

    @cached_property
    def calendars(self) -> Shelf[CalendarEntry]:
        """Return the calendars, also those whose events nobody may see."""
        return calendars(self.holdings)

    def events(self, calendar_id: str) -> Shelf[EventEntry]:
        """Return the events of a calendar; raises KeyError where it is not there, or lets none be seen."""
        entry = self.calendars.entry(self.calendars.there(calendar_id))
        if entry.closed:
            raise KeyError(calendar_id)
        if calendar_id not in self._events:
            entries = [] if entry.number < 0 else self._agenda(entry.number)
            holdings = self.holdings
            self._events[calendar_id] = Shelf(
                entries, lambda event: write_event(holdings, calendar_id, event)
            )
        return self._events[calendar_id]

    def calendar(self, calendar_id: str) -> CalendarEntry:
        """Return a calendar by id, or the primary one as `primary`; raises KeyError where it is not there."""
        if calendar_id == "primary":
            primary = next((entry for _, entry in self.calendars if entry.primary), None)
            if primary is None:
                raise KeyError(calendar_id)
            return primary
        return self.calendars.entry(self.calendars.there(calendar_id))

    @cached_property
    def _shares(self) -> dict[int, int]:
        first = calendars(self.holdings)
        return share_out(self.holdings, [entry.number for _, entry in first if not entry.closed])

    def _agenda(self, number: int) -> list[EventEntry]:
        if number not in self._agendas:
            main = min(self._shares)
            beside = [] if number == main else self._agenda(main)
            self._agendas[number] = agenda(self.holdings, number, self._shares.get(number, 0), beside)
        return self._agendas[number]
