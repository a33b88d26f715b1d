"""Whether a webhook's answers will do: failing after a quarter of an hour, failed after three days."""

from collections import deque

FAILING_AFTER = 15 * 60.0
FAILED_AFTER = 72 * 3_600.0
BAD_SHARE = 0.95
"""Share of answers other than 200 (API notes, 6.4)."""


class _Stretch:
    """The tries of the last `span` seconds, and since when they go wrong."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._tries: deque[tuple[float, bool]] = deque()
        self._bad = 0
        self._bad_since: float | None = None

    def add(self, now: float, good: bool) -> bool:
        """Note a try; return whether it has been bad for the whole span."""
        self._tries.append((now, good))
        self._bad += not good
        while self._tries[0][0] < now - self._span:
            self._bad -= not self._tries.popleft()[1]
        bad = self._bad >= BAD_SHARE * len(self._tries)
        if not good and self._bad_since is None:
            self._bad_since = now
        elif good and not bad:
            self._bad_since = None
        return bad and self._bad_since is not None and now - self._bad_since >= self._span


class Health:
    """The tries of one webhook since it was activated."""

    def __init__(self) -> None:
        """Start with none."""
        self._recent = _Stretch(FAILING_AFTER)
        self._long = _Stretch(FAILED_AFTER)

    def status(self, now: float, good: bool) -> str:
        """Note a try at a unix time; return the status that follows: active, failing or failed."""
        failing, failed = self._recent.add(now, good), self._long.add(now, good)
        return "failed" if failed else "failing" if failing else "active"
