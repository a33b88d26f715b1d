"""A person's own mail as a grant: mbox files, folders of mbox files, maildirs; read, never written.

An index of dates, ids and folders is built once; messages are parsed when a page asks for them.
"""

import mailbox
import threading
import uuid
import weakref
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from csv import reader
from dataclasses import dataclass
from email.header import Header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.mime import (
    attached_bytes,
    body_and_attachments,
    decoded,
    participants,
    received_at,
)
from mail_pipeline.simulator.seeds import stable_int
from mail_pipeline.simulator.words import Person

_ATTRIBUTES = {
    "inbox": r"\Inbox",
    "sent": r"\Sent",
    "sent mail": r"\Sent",
    "sent items": r"\Sent",
    "drafts": r"\Drafts",
    "trash": r"\Trash",
    "deleted": r"\Trash",
    "junk": r"\Junk",
    "spam": r"\Junk",
    "archive": r"\Archive",
    "archived": r"\Archive",
}
_CREATED = 1_767_225_600
"""2026-01-01 UTC: a mail file does not know when it was connected."""
_FLAG_LABELS = frozenset({"unread", "opened", "starred"})

Source = tuple[str, "mailbox.Mailbox[Any]"]


@dataclass(slots=True)
class _Entry:
    date: int
    id: str
    source: int
    key: Any
    thread: str
    folders: tuple[str, ...]
    unread: bool
    starred: bool
    addresses: tuple[str, ...]


class FileMailbox:
    """The messages of mail files. The same Message-ID in two files is one message in two folders."""

    def __init__(self, grant_name: str, provider: str, sources: Sequence[Source], number: int) -> None:
        """Index `sources`, pairs of a folder's name and an open mailbox, closed when this object goes."""
        self._sources = sources
        self._lock = threading.Lock()
        for _, box in sources:
            weakref.finalize(self, box.close)
        token = stable_int("mail files", grant_name, number)
        self._grant_id = str(uuid.UUID(int=token << 64 | stable_int(number, grant_name), version=4))
        self._provider = provider
        self._number = number
        merged: dict[str, _Entry] = {}
        for entry in self._scan():
            known = merged.setdefault(entry.id, entry)
            if known is not entry:
                known.folders = tuple(dict.fromkeys(known.folders + entry.folders))
        self._entries = sorted(merged.values(), key=lambda entry: (entry.date, entry.id))
        self._by_id = {entry.id: number for number, entry in enumerate(self._entries)}
        used = dict.fromkeys(name for entry in self._entries for name in entry.folders)
        # Labels take the place of a Takeout file's own name; an empty file is a folder all the same.
        files = dict.fromkeys(name for name, box in sources if name in used or not len(box))
        self._folders = [_folder(name) for name in files | used]
        seen = Counter(address for entry in self._entries for address in entry.addresses)
        owner = seen.most_common(1)[0][0] if seen else f"mailbox{number}@example.org"
        self._grant = Grant(
            self._grant_id, provider, created_at=_CREATED + number, email=owner, name=grant_name
        )

    @classmethod
    def open(cls, path: Path, provider: str, number: int) -> "FileMailbox":
        """Index an mbox file, a folder of mbox files or a maildir.

        Raises FileNotFoundError where there is nothing, ValueError where there is no mail.
        """
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        sources = list(_sources(path))
        if not sources:
            raise ValueError(f"{path} is neither an mbox file, a folder with mbox files in it, nor a maildir")
        return cls(path.stem or path.name, provider, sources, number)

    @property
    def grant(self) -> Grant:
        """Return the grant; its e-mail address is the one most mail was delivered to."""
        return self._grant

    @property
    def folders(self) -> Sequence[Folder]:
        """Return one folder per file or maildir folder, and Google Takeout's labels."""
        return self._folders

    @property
    def holdings(self) -> Holdings:
        """Return that there is mail and nothing else."""
        owner = Person(self._grant.name or "", self._grant.email or "")
        return Holdings(self._provider, self._grant_id, owner, seed=0, mailbox=self._number, now=_CREATED)

    def __len__(self) -> int:
        """Return how many messages there are."""
        return len(self._entries)

    def date(self, number: int) -> int:
        """Return when the message was received, unix seconds."""
        return self._entries[number].date

    def folders_of(self, number: int) -> tuple[str, ...]:
        """Return the ids of all folders a message is in."""
        return self._entries[number].folders

    def thread_of(self, number: int) -> str | None:
        """Return the id of a message's thread."""
        return self._entries[number].thread

    def count_before(self, moment: int) -> int:
        """Return how many messages have a date before a unix time."""
        return bisect_left(self._entries, moment, key=lambda entry: entry.date)

    def find(self, message_id: str) -> int | None:
        """Return the number of the message with this very id."""
        return self._by_id.get(message_id)

    def message(self, number: int) -> dict[str, Any]:
        """Parse the message; HTML is preferred for the body, an absent body stays absent."""
        entry = self._entries[number]
        parsed = BytesParser().parsebytes(self._bytes(entry.source, entry.key))
        body, snippet, attachments = body_and_attachments(parsed, self._grant_id, entry.id)
        message: dict[str, Any] = {
            "id": entry.id,
            "grant_id": self._grant_id,
            "object": "message",
            "thread_id": entry.thread,
            "subject": decoded(parsed["Subject"]),
            **{
                field: participants(parsed, field.replace("_", "-"))
                for field in ("from", "to", "cc", "bcc", "reply_to")
            },
            "date": entry.date,
            "folders": list(entry.folders),
            "unread": entry.unread,
            "starred": entry.starred,
            "snippet": snippet,
            "attachments": attachments,
        }
        if body is not None:
            message["body"] = body
        return message

    def content(self, number: int, attachment: Mapping[str, Any]) -> bytes:
        """Return the bytes of one of a message's attachments as they were sent, transfer encoding undone."""
        entry = self._entries[number]
        parsed = BytesParser().parsebytes(self._bytes(entry.source, entry.key))
        return attached_bytes(parsed, entry.id, attachment["id"])

    def headers(self, number: int) -> list[dict[str, str]]:
        """Return the message's headers as they stand, duplicates kept."""
        entry = self._entries[number]
        parsed = BytesHeaderParser().parsebytes(self._bytes(entry.source, entry.key))
        return [{"name": name, "value": _plain(value)} for name, value in parsed.items()]

    def counts(self) -> dict[str, tuple[int, int]] | None:
        """Return (total, unread) by folder id."""
        totals: Counter[str] = Counter()
        unread: Counter[str] = Counter()
        for entry in self._entries:
            totals.update(entry.folders)
            unread.update(entry.folders if entry.unread else ())
        return {folder.id: (totals[folder.id], unread[folder.id]) for folder in self._folders}

    def _bytes(self, source: int, key: Any) -> bytes:
        # One file position per mbox, and both the server's thread and its owner's read.
        with self._lock:
            return self._sources[source][1].get_bytes(key)

    def _scan(self) -> Iterator[_Entry]:
        parser = BytesHeaderParser()
        for source, (name, box) in enumerate(self._sources):
            for key in box.keys():  # noqa: SIM118 - a mailbox iterates over its messages, not over its keys
                raw = self._bytes(source, key)
                headers = parser.parsebytes(raw)
                flags = _flags(box, key, headers)
                labels = _labels(headers)
                own_id = _plain(headers["Message-ID"] or "").strip()
                own_id = own_id or f"<{stable_int(raw.hex()):x}@no-message-id.invalid>"
                yield _Entry(
                    date=received_at(headers),
                    id=own_id if self._provider in IMAP_FAMILY else f"{stable_int(own_id):016x}",
                    source=source,
                    key=key,
                    thread=f"{stable_int(_thread_root(headers) or own_id):016x}",
                    folders=tuple(label for label in labels if label.lower() not in _FLAG_LABELS) or (name,),
                    unread="unread" in map(str.lower, labels) if labels else "R" not in flags,
                    starred="F" in flags or "Starred" in labels,
                    addresses=_delivered_to(headers),
                )


def newest_date(box: FileMailbox) -> int:
    """Return the unix time of the newest message, 0 where there is none."""
    return box.date(len(box) - 1) if len(box) else 0


def _sources(path: Path) -> Iterator[Source]:
    if path.is_file():
        if _is_mbox(path):
            yield "INBOX", mailbox.mbox(path, create=False)
    elif (path / "cur").is_dir() and (path / "new").is_dir():
        maildir = mailbox.Maildir(path, create=False)
        yield "INBOX", maildir
        for name in sorted(maildir.list_folders()):
            yield name, maildir.get_folder(name)
    else:
        for file in sorted(path.rglob("*")):
            if file.is_file() and _is_mbox(file):
                yield _folder_name(file.relative_to(path)), mailbox.mbox(file, create=False)


def _folder_name(path: Path) -> str:
    # Thunderbird keeps the folders under `Work` in `Work.sbd`.
    return path.as_posix().removesuffix(".mbox").replace(".sbd/", "/")


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"From "


def _folder(name: str) -> Folder:
    attribute = _ATTRIBUTES.get(name.lower())
    role = attribute.strip("\\").lower() if attribute else "user"
    return Folder(name, name, role, (attribute,) if attribute else ())


def _flags(box: "mailbox.Mailbox[Any]", key: Any, headers: Message) -> str:
    """Return the flags with mbox' letters: R read, F flagged."""
    if isinstance(box, mailbox.Maildir):
        return box.get_message(key).get_flags().replace("S", "R")
    if headers["Status"] is None and headers["X-Status"] is None:
        return "R"
    return f"{headers['Status'] or ''}{headers['X-Status'] or ''}"


def _labels(headers: Message) -> list[str]:
    """Return the labels Google Takeout writes into its mbox files."""
    value = headers["X-Gmail-Labels"]
    return [] if value is None else next(reader([decoded(value).replace("\n", "")]), [])


def _thread_root(headers: Message) -> str | None:
    references = _plain(headers["References"] or headers["In-Reply-To"] or "").split()
    return references[0] if references else None


def _delivered_to(headers: Message) -> tuple[str, ...]:
    values = (
        headers.get_all("Delivered-To") or headers.get_all("X-Delivered-To") or headers.get_all("To") or []
    )
    return tuple(
        address.lower() for _, address in getaddresses([_plain(value) for value in values]) if address
    )


def _plain(value: str | Header) -> str:
    return str(value).encode("utf-8", "replace").decode()
