"""Calendars and events are made, changed, moved and deleted.

At iCloud one changed calendar makes a notification for each. A series goes with all of its occurrences; the
events of a deleted calendar go with it, and nothing but the calendar is told of.
"""

from typing import Any

from mail_pipeline.simulator.account import Account
from mail_pipeline.simulator.agenda import EventEntry, event_entry
from mail_pipeline.simulator.calendars import CalendarEntry, new_calendar, told
from mail_pipeline.simulator.changes import Changes
from mail_pipeline.simulator.events import new_event
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.problems import LACKING
from mail_pipeline.simulator.shelf import Record, Shelf


class CalendarChanges(Changes):
    """Changes of calendars and events; every method raises KeyError for what is not there.

    ValueError is for grants without calendars, and for what no provider lets happen.
    """

    def create_calendar(self, grant_id: str, name: str, *, closed: bool = False) -> str:
        """Make a calendar and return its id; the events of a closed one answer 404."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            record = new_calendar(account.holdings, account.calendars.next_serial, name)
            account.calendars.put(CalendarEntry(record["id"], False, closed), record)
            self._emit("calendar.created", mailbox, told(record, deleted=False))
            return str(record["id"])

    def update_calendar(self, grant_id: str, calendar_id: str, **fields: Any) -> str:
        """Set fields of a calendar; nothing is told where nothing is different."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            shelf = account.calendars
            serial = shelf.there(calendar_id)
            record = shelf.record(serial)
            if all(name in record and record[name] == value for name, value in fields.items()):
                return calendar_id
            shelf.put(shelf.entry(serial), record | fields)
            changed = list(shelf.records()) if mailbox.grant.provider == "icloud" else [record | fields]
            for one in changed:
                self._emit("calendar.updated", mailbox, told(one, deleted=False))
            return calendar_id

    def delete_calendar(self, grant_id: str, calendar_id: str) -> str:
        """Delete a calendar with its events; raises ValueError for the primary one."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            if account.calendar(calendar_id).primary:
                raise ValueError("the primary calendar cannot be deleted")
            record = account.calendars.remove(calendar_id)
            self._emit("calendar.deleted", mailbox, told(record, deleted=True))
            return calendar_id

    def create_event(
        self, grant_id: str, calendar_id: str, *, event_type: str = "default", **fields: Any
    ) -> str:
        """Add an event and return its id; what `fields` do not say is made up: tomorrow, for an hour.

        With `master_event_id` and `original_start_time` it is an occurrence that differs from its series.
        Raises ValueError for a `when` without times.
        """
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            shelf, now = account.events(calendar_id), int(self._world.clock.now())
            record = new_event(account.holdings, calendar_id, shelf.next_serial, now, fields)
            return self._put_event(mailbox, shelf, "created", event_entry(record, event_type), record)

    def update_event(self, grant_id: str, calendar_id: str, event_id: str, **fields: Any) -> str:
        """Set fields of an event; nothing is told where nothing is different. ValueError as for a new one."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            shelf = account.events(calendar_id)
            serial = shelf.there(event_id)
            record = shelf.record(serial)
            if all(name in record and record[name] == value for name, value in fields.items()):
                return event_id
            record |= fields
            if mailbox.grant.provider != "icloud":
                record["updated_at"] = int(self._world.clock.now())
            entry = event_entry(record, shelf.entry(serial).event_type)
            return self._put_event(mailbox, shelf, "updated", entry, record)

    def delete_event(
        self, grant_id: str, calendar_id: str, event_id: str, *, say_calendar: bool = True
    ) -> str:
        """Delete an event, a series with its occurrences; without `say_calendar` its calendar_id is null."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            shelf = account.events(calendar_id)
            shelf.there(event_id)
            children = [entry.id for _, entry in shelf if entry.master_id == event_id]
            for one in (*children, event_id):
                self._event_gone(mailbox, shelf.remove(one), calendar_id if say_calendar else None)
            return event_id

    def restore_event(self, grant_id: str, calendar_id: str, event_id: str) -> str:
        """Bring a deleted event back as it was, without its occurrences; it is told of as created."""
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            shelf = account.events(calendar_id)
            record = shelf.put_back(event_id)
            self._emit("event.created", mailbox, _in_full(shelf, record))
            return event_id

    def move_event(self, grant_id: str, calendar_id: str, event_id: str, to: str) -> str:
        """Move a single event to another calendar and return its id, which Google lets it keep.

        Told of as a deletion and a creation. Raises ValueError where it is of a series, or there already.
        """
        with self._world.lock:
            mailbox, account = self._account(grant_id)
            source, target = account.events(calendar_id), account.events(to)
            serial = source.there(event_id)
            entry, record = source.entry(serial), source.record(serial)
            kept = mailbox.grant.provider == "google"
            if entry.master_id or record.get("recurrence") or (kept and target.find(event_id) is not None):
                raise ValueError(f"event {event_id!r} cannot be moved to calendar {to!r}")
            made = new_event(account.holdings, to, target.next_serial, 0, {})["id"]
            moved = record | {"calendar_id": to, "id": event_id if kept else made}
            self._event_gone(mailbox, source.remove(event_id), calendar_id)
            return self._put_event(mailbox, target, "created", event_entry(moved, entry.event_type), moved)

    def _account(self, grant_id: str) -> tuple[LiveMailbox, Account]:
        mailbox = self._mailbox(grant_id)
        if mailbox.grant.provider in LACKING["calendars"]:
            raise ValueError(f"provider {mailbox.grant.provider} has no calendars")
        return mailbox, self._world.account(mailbox)

    def _put_event(
        self, mailbox: LiveMailbox, shelf: Shelf[EventEntry], change: str, entry: EventEntry, record: Record
    ) -> str:
        shelf.put(entry, record)
        self._emit(f"event.{change}", mailbox, _in_full(shelf, record))
        return entry.id

    def _event_gone(self, mailbox: LiveMailbox, record: Record, calendar_id: str | None) -> None:
        kept = ("id", "grant_id", "object", "master_event_id", "metadata")
        facts = {key: record[key] for key in kept if key in record}
        self._emit("event.deleted", mailbox, facts | {"calendar_id": calendar_id})


def _in_full(shelf: Shelf[EventEntry], record: Record) -> Record:
    """Return an event as event.created and event.updated show it: a series with its occurrences' ids."""
    if not record.get("recurrence"):
        return record
    children = [entry for _, entry in shelf if entry.master_id == record["id"]]
    cancelled = [entry.id for entry in children if entry.status == "cancelled"]
    others = [entry.id for entry in children if entry.status != "cancelled"]
    return record | {"occurrences": others, "cancelled_occurrences": cancelled}
