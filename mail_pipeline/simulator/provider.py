"""What happens at the providers: mail comes, is read, moved, edited and deleted; grants come, expire and go.

Every change is in all answers at once, and posts the notifications a real one makes. Two make none: what
happens to mail of the IMAP family older than 90 days, and what happens while a grant is expired, unless its
owner authenticates again within 72 hours. What happens beside the mail is in `people` and `appointments`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mail_pipeline.simulator.appointments import CalendarChanges
from mail_pipeline.simulator.arrivals import Letter, Person, compose, preview
from mail_pipeline.simulator.changes import Outage
from mail_pipeline.simulator.filing import checked, inbox, inside, labelled, own
from mail_pipeline.simulator.fleet import MailboxSpec
from mail_pipeline.simulator.folders import Folder, new_folder
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.life import Step, steps
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.notifications import folder_object, grant_object, imap_sync_completed
from mail_pipeline.simulator.people import ContactChanges

REPLAYED_WITHIN = 72 * 3_600
"""Seconds a grant may be expired for its missed notifications to be sent after all (API notes, 2)."""


class Provider(ContactChanges, CalendarChanges):
    """Changes at the providers. From any thread; every method raises KeyError for a grant or message unknown
    to it, ValueError for a folder.
    """

    def arrive(
        self,
        grant_id: str,
        *,
        folders: Sequence[str] | None = None,
        subject: str | None = None,
        body: str | None = None,
        date: int | None = None,
        unread: bool = True,
        starred: bool = False,
        size: int | None = None,
        sender: Person | None = None,
        to: Sequence[Person] | None = None,
        cc: Sequence[Person] | None = None,
        bcc: Sequence[Person] | None = None,
        reply_to: Sequence[Person] | None = None,
        attachments: int | None = None,
        answers: str | None = None,
    ) -> str:
        """Let new mail arrive and return its id: in the inbox and dated now unless told otherwise.

        date: unix seconds. size: bytes of a made-up body. attachments: how many files. answers: the id of a
        message whose thread it continues. Of Google's labels, UNREAD and STARRED follow the flags.
        """
        letter = Letter(subject, body, size, sender, to, cc, bcc, reply_to, attachments)
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            answered = None if answers is None else mailbox.record(answers)
            chosen = [inbox(mailbox)] if folders is None else checked(mailbox, folders)
            moment = int(self._world.clock.now()) if date is None else date
            record = {
                "id": mailbox.new_id(),
                "date": moment,
                "folders": labelled(mailbox, chosen, unread, starred),
                "unread": unread,
                "starred": starred,
                **compose(mailbox.grant, self._next(), letter, answered=answered),
            }
            mailbox.add(record)
            self._message("created", mailbox, record)
            return str(record["id"])

    def flag(
        self, grant_id: str, message_id: str, *, unread: bool | None = None, starred: bool | None = None
    ) -> str:
        """Set the flags that are not None."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            record = mailbox.record(message_id)
            wanted_unread = record["unread"] if unread is None else unread
            wanted_starred = record["starred"] if starred is None else starred
            return self._update(
                mailbox,
                record,
                unread=wanted_unread,
                starred=wanted_starred,
                folders=labelled(mailbox, record["folders"], wanted_unread, wanted_starred),
            )

    def move(self, grant_id: str, message_id: str, folders: Sequence[str]) -> str:
        """Put a message into these folders and no others, and return its id: at EWS, a new one."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            record = mailbox.record(message_id)
            chosen = checked(mailbox, folders)
            return self._refile(mailbox, record, chosen)

    def edit(
        self, grant_id: str, message_id: str, *, subject: str | None = None, body: str | None = None
    ) -> str:
        """Change what is not None of a message's subject and body."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            record = mailbox.record(message_id)
            changes: dict[str, Any] = {} if subject is None else {"subject": subject}
            if body is not None:
                changes |= {"body": body, "snippet": preview(body)}
            return self._update(mailbox, record, **changes)

    def delete(self, grant_id: str, message_id: str) -> str:
        """Delete a message for good."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            self._message("deleted", mailbox, mailbox.remove(message_id))
            return message_id

    def restore(self, grant_id: str, message_id: str) -> str:
        """Bring a deleted message back, under its id and as it was; it is told of as created.

        Folders that are gone since it no longer is in; where none is left it is in the inbox.
        """
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            record = mailbox.put_back(message_id)
            there = {folder.id for folder in mailbox.folders}
            places = [place for place in record["folders"] if place in there]
            if places != record["folders"]:
                record = mailbox.change(message_id, {"folders": places or [inbox(mailbox)]})
            self._message("created", mailbox, record)
            return message_id

    def create_folder(self, grant_id: str, name: str, *, parent_id: str | None = None) -> str:
        """Make a folder and return its id. Raises ValueError where the IMAP family has one of this path."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            if parent_id is not None:
                mailbox.folder(parent_id)
            folder = new_folder(
                mailbox.grant.provider, name, self._next(), parent_id=parent_id, beside=mailbox.folders
            )
            mailbox.add_folder(folder)
            self._folder("created", mailbox, folder)
            return folder.id

    def rename_folder(self, grant_id: str, folder_id: str, name: str) -> str:
        """Rename an owner's folder and return its id.

        In the IMAP family that is another one: the old folder is deleted, the new one created, and its mail
        moved over.
        """
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            folder = own(mailbox, folder_id)
            if mailbox.grant.provider not in IMAP_FAMILY:
                renamed = replace(folder, name=name)
                mailbox.replace_folder(folder_id, renamed)
                self._folder("updated", mailbox, renamed)
                return folder_id
            renamed = replace(folder, id=name, name=name)
            mailbox.add_folder(renamed)
            self._folder("created", mailbox, renamed)
            for record in inside(mailbox, folder_id):
                places = [name if place == folder_id else place for place in record["folders"]]
                self._refile(mailbox, record, places)
            mailbox.replace_folder(folder_id, None)
            self._folder("deleted", mailbox, folder)
            return name

    def delete_folder(self, grant_id: str, folder_id: str) -> str:
        """Delete an owner's folder and those in it, and their mail unless it is in another one, too.

        Google's are labels: mail only loses them.
        """
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            folder = own(mailbox, folder_id)
            for child in [other for other in mailbox.folders if other.parent_id == folder_id]:
                self.delete_folder(grant_id, child.id)
            for record in inside(mailbox, folder_id):
                places = [place for place in record["folders"] if place != folder_id]
                if places or mailbox.grant.provider == "google":
                    self._refile(mailbox, record, places)
                else:
                    self._message("deleted", mailbox, mailbox.remove(record["id"]))
            mailbox.replace_folder(folder_id, None)
            self._folder("deleted", mailbox, folder)
            return folder_id

    def expire(self, grant_id: str) -> str:
        """Let a grant expire: its mail answers 401 until `reauthenticate`."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            if mailbox.grant.valid:
                mailbox.grant = replace(mailbox.grant, valid=False)
                self._outages[mailbox.grant.id] = Outage(self._world.clock.now())
                self._grant("expired", mailbox)
            return mailbox.grant.id

    def reauthenticate(self, grant_id: str) -> str:
        """Make a grant valid again; the notifications it missed follow if that took at most 72 hours."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            now = self._world.clock.now()
            mailbox.grant = replace(mailbox.grant, valid=True, authenticated_at=int(now))
            self._grant("updated", mailbox)
            outage = self._outages.pop(mailbox.grant.id, None)
            if outage is not None and now - outage.since <= REPLAYED_WITHIN:
                for event in outage.missed:
                    self._post(event)
            return mailbox.grant.id

    def connect(self, spec: MailboxSpec) -> str:
        """Let a new account be connected, with the mail described, and return its grant's id."""
        with self._world.lock:
            mailbox = self._world.connect(spec)
            self._grant("created", mailbox)
            if mailbox.grant.provider in IMAP_FAMILY:
                self._emit("grant.imap_sync_completed", mailbox, imap_sync_completed(mailbox.grant))
            return mailbox.grant.id

    def disconnect(self, grant_id: str) -> str:
        """Delete a grant: no answer shows it any more; its true mail can still be asked for."""
        with self._world.lock:
            mailbox = self._mailbox(grant_id)
            self._world.vanished.add(mailbox.grant.id)
            self._outages.pop(mailbox.grant.id, None)
            self._grant("deleted", mailbox)
            return mailbox.grant.id

    def live(
        self,
        seed: int,
        *,
        grants: Iterable[str] | None = None,
        folders: bool = True,
        streams: Collection[str] = ("messages",),
    ) -> Iterator[Step]:
        """Return an endless iterator: each `next` makes one random change and describes it.

        The same seed makes the same changes to the same accounts. `streams`, of messages, contacts, calendars
        and events, are what changes, and `grants` whose: of all valid ones where None. Without `folders` none
        of these is made, renamed or deleted. The first `next` raises ValueError for an unknown stream.
        """
        chosen = None if grants is None else frozenset(grants)
        return steps(self, self._world, seed, chosen, folders=folders, streams=streams)

    def _update(self, mailbox: LiveMailbox, record: dict[str, Any], **changes: Any) -> str:
        """Change a message and tell of it, unless nothing is different."""
        message_id = str(record["id"])
        if any(record.get(name) != value for name, value in changes.items()):
            self._message("updated", mailbox, mailbox.change(message_id, changes))
        return message_id

    def _refile(self, mailbox: LiveMailbox, record: dict[str, Any], folders: Sequence[str]) -> str:
        places = labelled(mailbox, folders, record["unread"], record["starred"])
        if mailbox.grant.provider != "ews" or places == record["folders"]:
            return self._update(mailbox, record, folders=places)
        self._message("deleted", mailbox, record)
        moved = mailbox.change(record["id"], {"id": mailbox.new_id(), "folders": places})
        self._message("created", mailbox, moved)
        return str(moved["id"])

    def _message(self, change: str, mailbox: LiveMailbox, record: dict[str, Any]) -> None:
        if mailbox.grant.provider in IMAP_FAMILY and record["date"] < self._world.cache_start:
            return
        if change == "deleted":
            record = {key: record[key] for key in ("id", "grant_id", "object")}
        self._emit(f"message.{change}", mailbox, record)

    def _folder(self, change: str, mailbox: LiveMailbox, folder: Folder) -> None:
        self._emit(f"folder.{change}", mailbox, folder_object(mailbox.grant, folder))

    def _grant(self, change: str, mailbox: LiveMailbox) -> None:
        self._emit(f"grant.{change}", mailbox, grant_object(mailbox.grant, change))
