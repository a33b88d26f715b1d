"""How many records to ask a provider for, by what it could deliver in time."""

SMALLEST_PAGE = 5

_GOOD_PAGES_BEFORE_GROWTH = 20


class PageSize:
    """One grant's page size: halved when the provider runs out of time, slowly grown back.

    A provider gets 90 s from Nylas, then the answer is 504 (reference: nylas-api 1.2).
    """

    def __init__(self, largest: int) -> None:
        """Start at `largest`, the most this provider is ever asked for."""
        self._largest = largest
        self._size = largest
        self._good = 0

    def limit(self, wanted: int | None) -> int:
        """Return the page size to ask for; `wanted` may only make it smaller."""
        return self._size if wanted is None else max(1, min(wanted, self._size))

    def too_slow(self, limit: int) -> None:
        """Halve after a page of `limit` took too long; never below 5."""
        self._size = max(SMALLEST_PAGE, min(self._size, limit // 2))
        self._good = 0

    def served(self) -> None:
        """Count a page that came in time; after 20 in a row the size doubles again."""
        self._good += 1
        if self._good >= _GOOD_PAGES_BEFORE_GROWTH:
            self._size = min(self._largest, self._size * 2)
            self._good = 0
