"""The objects of one kind that an account holds: written when asked for, with changes laid over them.

Each has a serial that never changes and is never given twice; lists go by serial, so a cursor keeps its place
whatever comes and goes around it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

Record = dict[str, Any]


class Entry(Protocol):
    """What is known of an object without writing it."""

    @property
    def id(self) -> str:
        """Return the id the API shows."""


E = TypeVar("E", bound=Entry)


class Shelf(Generic[E]):
    """Objects by serial and by id. It locks nothing: who uses it from several threads does."""

    def __init__(self, entries: Sequence[E], write: Callable[[E], Record]) -> None:
        """Take what is there at first, the serial being the place in the list, and what writes a record."""
        self._entries = list(entries)
        self._write = write
        self._records: dict[int, Record] = {}
        self._gone: set[int] = set()
        self._serials: dict[str, int] | None = None

    def __len__(self) -> int:
        """Return how many objects are there now."""
        return len(self._entries) - len(self._gone)

    def __iter__(self) -> Iterator[tuple[int, E]]:
        """Yield serial and entry of what is there now, by serial."""
        gone = self._gone
        return ((serial, entry) for serial, entry in enumerate(self._entries) if serial not in gone)

    @property
    def next_serial(self) -> int:
        """Return the serial the next new object gets."""
        return len(self._entries)

    def records(self) -> Iterator[Record]:
        """Yield the records of what is there when the first is asked for."""
        return map(self.record, [serial for serial, _ in self])

    def record(self, serial: int) -> Record:
        """Return a fresh record."""
        changed = self._records.get(serial)
        return self._write(self._entries[serial]) if changed is None else dict(changed)

    def entry(self, serial: int) -> E:
        """Return what is known of an object."""
        return self._entries[serial]

    def find(self, object_id: str) -> int | None:
        """Return the serial of the object with this very id, None where it is not there."""
        serial = self._index().get(object_id)
        return None if serial in self._gone else serial

    def there(self, object_id: str) -> int:
        """Return the serial of an object; raises KeyError where it is not there."""
        serial = self.find(object_id)
        if serial is None:
            raise KeyError(object_id)
        return serial

    def put(self, entry: E, record: Record) -> None:
        """Lay a record over the one with its id, which comes back where it was removed, or add it."""
        serial = self._index().get(entry.id)
        if serial is None:
            serial = self._index()[entry.id] = len(self._entries)
            self._entries.append(entry)
        self._gone.discard(serial)
        self._entries[serial] = entry
        self._records[serial] = record

    def remove(self, object_id: str) -> Record:
        """Take an object away and return it as it was; raises KeyError where it is not there."""
        serial = self.there(object_id)
        self._gone.add(serial)
        return self.record(serial)

    def put_back(self, object_id: str) -> Record:
        """Bring a removed object back as it was; raises KeyError where none was removed under this id."""
        serial = self._index().get(object_id)
        if serial is None or serial not in self._gone:
            raise KeyError(object_id)
        self._gone.discard(serial)
        return self.record(serial)

    def _index(self) -> dict[str, int]:
        if self._serials is None:
            self._serials = {entry.id: serial for serial, entry in enumerate(self._entries)}
        return self._serials
