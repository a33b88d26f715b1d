"""Contacts are added, changed and deleted. No notification is of a new one: it is told of as updated."""

from typing import Any

from mail_pipeline.simulator.changes import Changes
from mail_pipeline.simulator.contacts import SOURCES, contact_entry, new_contact
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.shelf import Record


class ContactChanges(Changes):
    """Changes of contacts; every method raises KeyError for a grant or contact that is not there."""

    def create_contact(self, grant_id: str, *, source: str = SOURCES[0], **fields: Any) -> str:
        """Add a contact and return its id; what `fields` do not say is made up.

        Raises ValueError for an unknown source.
        """
        if source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}")
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            account = self._world.account(mailbox)
            record = new_contact(account.holdings, account.contacts.next_serial, source) | fields
            return self._put_contact(mailbox, record)

    def update_contact(self, grant_id: str, contact_id: str, **fields: Any) -> str:
        """Set fields of a contact; nothing is told where nothing is different."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            shelf = self._world.account(mailbox).contacts
            record = shelf.record(shelf.there(contact_id))
            if all(name in record and record[name] == value for name, value in fields.items()):
                return contact_id
            return self._put_contact(mailbox, record | fields)

    def delete_contact(self, grant_id: str, contact_id: str) -> str:
        """Delete a contact."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            record = self._world.account(mailbox).contacts.remove(contact_id)
            self._emit("contact.deleted", mailbox, {key: record[key] for key in ("id", "grant_id", "object")})
            return contact_id

    def restore_contact(self, grant_id: str, contact_id: str) -> str:
        """Bring a deleted contact back as it was; KeyError where it was not deleted."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            self._emit("contact.updated", mailbox, self._world.account(mailbox).contacts.put_back(contact_id))
            return contact_id

    def _put_contact(self, mailbox: LiveMailbox, record: Record) -> str:
        if "updated_at" in record:
            record["updated_at"] = int(self._world.clock.now())
        self._world.account(mailbox).contacts.put(contact_entry(record), record)
        self._emit("contact.updated", mailbox, record)
        return str(record["id"])
