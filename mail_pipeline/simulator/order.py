"""The order of a mailbox that changes: its first messages by number, some taken out, others put in between.

Each message has a serial that never changes: its number in the mailbox as it was, or the next one after
those. A cursor that holds a serial keeps its place whatever comes and goes around it.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class _Added(NamedTuple):
    date: int
    serial: int
    slot: int
    """How many of the first messages come before it."""


class Order:
    """Ranks, 0 for the oldest, of `size` first messages and those added, by (date, serial)."""

    def __init__(self, size: int, count_before: Callable[[int], int]) -> None:
        """Take how many messages there were first, and how many of them have a date before a unix time."""
        self._size = size
        self._count_before = count_before
        self._removed: list[int] = []
        self._added: list[_Added] = []
        self._known: dict[int, _Added] = {}

    def __len__(self) -> int:
        """Return how many messages there are now."""
        return self._size - len(self._removed) + len(self._added)

    def add(self, date: int) -> int:
        """Put a new message in its place and return its serial."""
        serial = self._size + len(self._known)
        self._known[serial] = _Added(date, serial, self._count_before(date + 1))
        insort(self._added, self._known[serial])
        return serial

    def holds(self, serial: int) -> bool:
        """Return whether the message is there now."""
        if serial < self._size:
            return not _contains(self._removed, serial)
        return _contains(self._added, self._known[serial])

    def remove(self, serial: int) -> None:
        """Take a message out that is there."""
        if serial < self._size:
            insort(self._removed, serial)
        else:
            self._added.remove(self._known[serial])

    def put_back(self, serial: int) -> None:
        """Bring a message back to where it was."""
        if serial < self._size:
            self._removed.remove(serial)
        else:
            insort(self._added, self._known[serial])

    def serial(self, rank: int) -> int:
        """Return the serial of the message at a rank; raises IndexError where there is none."""
        if not 0 <= rank < len(self):
            raise IndexError(rank)
        before = bisect_right(range(len(self._added)), rank, key=self._rank_of_added)
        if before and self._rank_of_added(before - 1) == rank:
            return self._added[before - 1].serial
        kept = rank - before
        return kept + bisect_right(
            range(len(self._removed)), kept, key=lambda index: self._removed[index] - index
        )

    def rank(self, serial: int) -> int:
        """Return the rank of a message or, where it is gone, of the next older one; -1 where there is none.

        -1 stands for what lies before the oldest. Raises KeyError for a serial that was never given.
        """
        if serial < 0:
            return -1
        if serial < self._size:
            first = serial + 1 - bisect_right(self._removed, serial)
            return first + bisect_right(self._added, serial, key=lambda added: added.slot) - 1
        added = self._known[serial]
        return self._kept_before(added.slot) + bisect_right(self._added, added) - 1

    def count_before(self, moment: int) -> int:
        """Return how many messages have a date before a unix time."""
        added = bisect_left(self._added, moment, key=lambda added: added.date)
        return self._kept_before(self._count_before(moment)) + added

    def _rank_of_added(self, index: int) -> int:
        return self._kept_before(self._added[index].slot) + index

    def _kept_before(self, slot: int) -> int:
        return slot - bisect_left(self._removed, slot)


def _contains(items: Sequence[Any], item: object) -> bool:
    index = bisect_left(items, item)
    return index < len(items) and items[index] == item
