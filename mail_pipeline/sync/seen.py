"""Which messages of a grant the lake may hold already."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_PENDING_AT_MOST = 8192


class SeenIds:
    """A set of ids at eight bytes each, so that its size does not matter even for a million messages.

    It answers "no" for certain and "maybe" otherwise; only the maybes need a look into the lake.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._sorted: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._pending: set[int] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Take in ids."""
        self._pending.update(map(hash, ids))
        if len(self._pending) > _PENDING_AT_MOST:
            pending = np.fromiter(self._pending, np.int64, len(self._pending))
            self._sorted = np.union1d(self._sorted, pending)
            self._pending.clear()

    def __contains__(self, identity: str) -> bool:
        """Tell whether the id may have been taken in; never false for one that was."""
        value = hash(identity)
        if value in self._pending:
            return True
        place = int(self._sorted.searchsorted(value))
        return place < len(self._sorted) and int(self._sorted[place]) == value
