"""Threads, put together from a mailbox's messages (API notes, 5.1)."""

from collections.abc import Iterable
from typing import Any

from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.shelf import Record


class Threads:
    """The threads of one mailbox as they are now; what belongs together is remembered until it changes."""

    def __init__(self, mailbox: LiveMailbox) -> None:
        """Put nothing together yet."""
        self._mailbox = mailbox
        self._version = -1
        self._cache_start = 0
        self._places: dict[int, list[int]] = {}
        self._by_id: dict[str, int] = {}

    def places(self, cache_start: int) -> list[int]:
        """Return what stands for each thread in a list, rising: those begun last come first."""
        self._refresh(cache_start)
        return sorted(self._places)

    def find(self, thread_id: str, cache_start: int) -> int | None:
        """Return the place of the thread with this very id."""
        self._refresh(cache_start)
        return self._by_id.get(thread_id)

    def record(self, place: int) -> Record:
        """Return the Thread object; its lists are oldest first."""
        mailbox = self._mailbox
        messages = [mailbox.message(mailbox.number(serial)) for serial in self._places[place]]
        drafts = {folder.id for folder in mailbox.folders if folder.role == "drafts"}
        return thread(messages, drafts, mailbox.grant.email)

    def _refresh(self, cache_start: int) -> None:
        mailbox = self._mailbox
        if (self._version, self._cache_start) == (mailbox.version, cache_start):
            return
        # Of the IMAP family's old mail Nylas knows nothing.
        first = mailbox.count_before(cache_start) if mailbox.grant.provider in IMAP_FAMILY else 0
        found: dict[str, list[int]] = {}
        for number in range(first, len(mailbox)):
            thread_id = mailbox.thread_of(number)
            if thread_id is not None:
                found.setdefault(thread_id, []).append(mailbox.serial(number))
        self._places = {-serials[0]: serials for serials in found.values()}
        self._by_id = {thread_id: -serials[0] for thread_id, serials in found.items()}
        self._version, self._cache_start = mailbox.version, cache_start


def thread(messages: list[Record], drafts: set[str], owner: str | None) -> Record:
    """Return the Thread object of messages, oldest first; those in one of the folders `drafts` are drafts."""
    written = [message for message in messages if not drafts.isdisjoint(message["folders"])]
    mail = [message for message in messages if message not in written]
    last = messages[-1]
    sent = [message["date"] for message in mail if owner is not None and owner in _addresses(message, "from")]
    received = [message["date"] for message in mail if message["date"] not in sent]
    people = {
        person["email"]: person
        for message in messages
        for role in ("from", "to", "cc")
        for person in message.get(role) or []
    }
    record: dict[str, Any] = {
        "id": last["thread_id"],
        "grant_id": last["grant_id"],
        "object": "thread",
        "subject": messages[0].get("subject"),
        "snippet": last.get("snippet"),
        "starred": any(message["starred"] for message in messages),
        "unread": any(message["unread"] for message in messages),
        "has_attachments": any(message.get("attachments") for message in messages),
        "has_drafts": bool(written),
        "earliest_message_date": messages[0]["date"],
        "participants": list(people.values()),
        "message_ids": [message["id"] for message in mail],
        "draft_ids": [message["id"] for message in written],
        "folders": _once(place for message in messages for place in message["folders"]),
        "latest_draft_or_message": last | ({"object": "draft"} if last in written else {}),
    }
    for name, dates in (("received", received), ("sent", sent)):
        if dates:
            record[f"latest_message_{name}_date"] = max(dates)
    return record


def _addresses(message: Record, role: str) -> set[str]:
    return {person["email"] for person in message.get(role) or []}


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
