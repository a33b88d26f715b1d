"""A mailbox with changes laid over it: what arrived, what was changed, what is gone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mail_pipeline.simulator.contents import made_up_bytes
from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import IMAP_FAMILY, MessageIds
from mail_pipeline.simulator.mailboxes import Grant, Mailbox
from mail_pipeline.simulator.order import Order
from mail_pipeline.simulator.seeds import stable_int


class LiveMailbox:
    """A Mailbox whose mail changes; a message's number is its rank now, its serial stays.

    Costs memory only for what changed. It locks nothing: who uses it from several threads does.
    """

    def __init__(self, base: Mailbox, ids: MessageIds) -> None:
        """Lay no changes yet over `base`; `ids` are those of new mail, from the number `len(base)` on."""
        self.grant: Grant = base.grant
        self.version = 0
        """Goes up with every change of the messages."""
        self._base = base
        self._size = len(base)
        self._folders = list(base.folders)
        self._ids = ids
        self._next_id = self._size
        self._order = Order(self._size, base.count_before)
        self._arrived: dict[int, dict[str, Any]] = {}
        self._changes: dict[int, dict[str, Any]] = {}
        self._named: dict[str, int] = {}
        self._renamed: set[str] = set()
        self._total = Counter[str]()
        self._unread = Counter[str]()

    @property
    def holdings(self) -> Holdings:
        """Return how much the account held at first beside its mail."""
        return self._base.holdings

    @property
    def folders(self) -> list[Folder]:
        """Return the folders in the order the API lists them, with their numbers of children as of now."""
        children = Counter(folder.parent_id for folder in self._folders)
        return [
            folder if folder.child_count is None else replace(folder, child_count=children[folder.id])
            for folder in self._folders
        ]

    def folder(self, folder_id: str) -> Folder:
        """Return a folder; raises ValueError where there is none with this id."""
        for folder in self._folders:
            if folder.id == folder_id:
                return folder
        raise ValueError(f"grant {self.grant.id} has no folder {folder_id!r}")

    def add_folder(self, folder: Folder) -> None:
        """List a new folder last; raises ValueError where its id is taken."""
        if any(other.id == folder.id for other in self._folders):
            raise ValueError(f"grant {self.grant.id} has a folder {folder.id!r} already")
        self._folders.append(folder)

    def replace_folder(self, folder_id: str, folder: Folder | None) -> None:
        """Put another folder in the place of one, or nothing; the mail in it is not touched."""
        place = self._folders.index(self.folder(folder_id))
        self._folders[place : place + 1] = [] if folder is None else [folder]

    def __len__(self) -> int:
        """Return how many messages there are."""
        return len(self._order)

    def serial(self, number: int) -> int:
        """Return what stays when a message's number changes; -1 for the number -1."""
        return -1 if number < 0 else self._order.serial(number)

    def number(self, serial: int) -> int:
        """Return a message's number now, or that of the next older one; raises KeyError if never given."""
        return self._order.rank(serial)

    def date(self, number: int) -> int:
        """Return a message's date, unix seconds."""
        serial = self._order.serial(number)
        return self._base.date(serial) if serial < self._size else int(self._arrived[serial]["date"])

    def folders_of(self, number: int) -> tuple[str, ...]:
        """Return the ids of all folders a message is in."""
        return self._folders_of(self._order.serial(number))

    def thread_of(self, number: int) -> str | None:
        """Return the id of a message's thread, None where it does not say."""
        serial = self._order.serial(number)
        return self._base.thread_of(serial) if serial < self._size else self._arrived[serial].get("thread_id")

    def count_before(self, moment: int) -> int:
        """Return how many messages have a date before a unix time."""
        return self._order.count_before(moment)

    def find(self, message_id: str) -> int | None:
        """Return the number of the message with this very id."""
        serial = self._serial(message_id)
        return None if serial is None or not self._order.holds(serial) else self._order.rank(serial)

    def message(self, number: int) -> dict[str, Any]:
        """Return a fresh Message object with all its folders."""
        return self._record(self._order.serial(number))

    def content(self, number: int, attachment: Mapping[str, Any]) -> bytes:
        """Return the bytes of one of a message's attachments."""
        serial = self._order.serial(number)
        if serial < self._size:
            return self._base.content(serial, attachment)
        return made_up_bytes(self.grant.provider, attachment)

    def headers(self, number: int) -> list[dict[str, str]]:
        """Return the message's headers, duplicates kept."""
        serial = self._order.serial(number)
        if serial < self._size:
            return self._base.headers(serial)
        own = self._arrived[serial]["id"]
        if self.grant.provider not in IMAP_FAMILY:
            own = f"<{stable_int(self.grant.id, own):x}@mail.example.org>"
        return [{"name": "Message-ID", "value": own}]

    def counts(self) -> dict[str, tuple[int, int]] | None:
        """Return (total, unread) by folder id, None where the provider does not say."""
        first = self._base.counts()
        if first is None:
            return None
        return {
            folder.id: (
                first.get(folder.id, (0, 0))[0] + self._total[folder.id],
                first.get(folder.id, (0, 0))[1] + self._unread[folder.id],
            )
            for folder in self._folders
        }

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every message there is when the first is asked for, complete, newest first."""
        serials = [self._order.serial(number) for number in range(len(self))]
        return map(self._record, reversed(serials))

    def new_id(self) -> str:
        """Return an id as this provider gives them, never given before."""
        self._next_id += 1
        return self._ids.encode(self._next_id - 1)

    def add(self, record: dict[str, Any]) -> None:
        """Put in a complete message under a new id."""
        serial = self._order.add(record["date"])
        self._arrived[serial] = record
        self._named[record["id"]] = serial
        self._tally(serial, 1)

    def change(self, message_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of a message, `id` among them where it gets another; return it as it is then.

        Raises KeyError where no such message is there.
        """
        serial = self._there(message_id)
        self._tally(serial, -1)
        self._changes.setdefault(serial, {}).update(changes)
        self._tally(serial, 1)
        if changes.get("id", message_id) != message_id:
            self._renamed.add(message_id)
            self._named[changes["id"]] = serial
        return self._record(serial)

    def remove(self, message_id: str) -> dict[str, Any]:
        """Take a message away and return it as it was; raises KeyError where no such message is there."""
        serial = self._there(message_id)
        self._tally(serial, -1)
        self._order.remove(serial)
        return self._record(serial)

    def put_back(self, message_id: str) -> dict[str, Any]:
        """Bring a removed message back as it was; raises KeyError where none was removed under this id."""
        serial = self._serial(message_id)
        if serial is None or self._order.holds(serial):
            raise KeyError(message_id)
        self._order.put_back(serial)
        self._tally(serial, 1)
        return self._record(serial)

    def record(self, message_id: str) -> dict[str, Any]:
        """Return a message; raises KeyError where no such message is there."""
        return self._record(self._there(message_id))

    def _serial(self, message_id: str) -> int | None:
        if message_id in self._renamed:
            return None
        serial = self._named.get(message_id)
        return self._base.find(message_id) if serial is None else serial

    def _there(self, message_id: str) -> int:
        serial = self._serial(message_id)
        if serial is None or not self._order.holds(serial):
            raise KeyError(message_id)
        return serial

    def _record(self, serial: int) -> dict[str, Any]:
        record = self._base.message(serial) if serial < self._size else dict(self._arrived[serial])
        record |= self._changes.get(serial, {})
        record["folders"] = list(record["folders"])
        return record

    def _folders_of(self, serial: int) -> tuple[str, ...]:
        changed = self._changes.get(serial, {}).get("folders")
        if changed is not None:
            return tuple(changed)
        return (
            self._base.folders_of(serial) if serial < self._size else tuple(self._arrived[serial]["folders"])
        )

    def _tally(self, serial: int, sign: int) -> None:
        """Count a message in or out of its folders."""
        self.version += 1
        unread = sign * bool(self._record(serial)["unread"])
        for folder_id in self._folders_of(serial):
            self._total[folder_id] += sign
            self._unread[folder_id] += unread
