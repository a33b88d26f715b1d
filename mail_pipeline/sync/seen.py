"""Which messages of a grant the lake may hold already."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

_PENDING_AT_MOST = 8192
_GREATEST = np.iinfo(np.int64).max


class SeenIds:
    """A set of ids at eight bytes each, so that its size does not matter even for a million messages.

    It answers "no" for certain and "maybe" otherwise; only the maybes need a look into the lake.
    """

    def __init__(self) -> None:
        """Start empty."""
        # The greatest number ends every search; an id with this hash is a needless maybe.
        self._sorted: npt.NDArray[np.int64] = np.array([_GREATEST], np.int64)
        self._pending: set[int] = set()

    def add(self, ids: Iterable[str]) -> None:
        """Take in ids."""
        self._pending.update(map(hash, ids))
        if len(self._pending) > _PENDING_AT_MOST:
            pending = np.sort(np.fromiter(self._pending, np.int64, len(self._pending)))
            # np.union1d, which goes over all there are, takes 350 times as long for 2.5 million.
            self._sorted = np.insert(self._sorted, self._sorted.searchsorted(pending), pending)
            self._pending.clear()

    def among(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that may have been taken in, and all that were."""
        values = np.fromiter(map(hash, ids), np.int64, len(ids))
        found = self._sorted[self._sorted.searchsorted(values)] == values
        hashes = values.tolist()
        if not found.any() and self._pending.isdisjoint(hashes):
            return set()
        return {
            identity
            for identity, value, maybe in zip(ids, hashes, found.tolist(), strict=True)
            if maybe or value in self._pending
        }

    def __contains__(self, identity: str) -> bool:
        """Tell whether the id may have been taken in; never false for one that was."""
        return bool(self.among([identity]))
