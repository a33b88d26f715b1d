"""The provider's clock, as far as its answers prove it."""

import threading
from datetime import UTC
from email.utils import parsedate_to_datetime

from mail_pipeline.nylas.clock import Clock

# The most two running clocks drift apart, seconds per second. A quartz clock without NTP is off by
# 20 to 100 parts in a million; NTP slews by 500 at most, for a short while.
_DRIFT = 2e-4


class ProviderClock:
    """Tells at which moment of the provider's clock something happened here, never too late.

    Which of two states of a message is newer is decided by the provider's time: a notification
    carries it, a page does not. A page shows the mailbox as it was after its request was sent, so
    the moment of sending is a safe age for it, if it is told in the provider's clock and never
    later than the truth: a second too late, and an old page wins over a newer notification for
    good; a second too early, and the page is at worst fetched or merged again.

    Each answer's `Date` header was written before we received it. So `Date - monotonic at receipt`
    is a lower bound for the distance between the provider's clock and our monotonic clock. The
    largest of these bounds is the best one: from the quickest answer, written late in its second.
    The wall clock takes no part in it. A bound loses a little every second, since clocks drift.
    Thread-safe.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin knowing nothing: until the first `Date` header the wall clock has to do."""
        self._clock = clock
        self._lock = threading.Lock()
        self._offset: float | None = None
        self._as_of = 0.0

    def learn(self, date_header: str | None, received: float) -> None:
        """Take in the `Date` header of an answer that arrived at monotonic time `received`."""
        written = http_date(date_header)
        if written is None:
            return
        bound = written - received
        with self._lock:
            known = self._offset_at(received)
            if known is None or bound > known:
                self._offset, self._as_of = bound, received

    def at(self, monotonic: float) -> float:
        """Return the provider's unix time at a past moment of our monotonic clock, or a little before.

        With a `Date` header in every answer it lags by less than the smallest latency seen + 1 s.
        """
        with self._lock:
            now = self._clock.monotonic()
            known = self._offset_at(now)
            if known is None:
                return self._clock.time() - (now - monotonic)
            return monotonic + known - _DRIFT * max(0.0, now - monotonic)

    def left_until(self, moment: float) -> float:
        """Return the seconds until the provider's clock has surely passed a unix time, 0 once it has.

        Also 0 before the first `Date` header: the wall clock proves nothing.
        """
        with self._lock:
            now = self._clock.monotonic()
            known = self._offset_at(now)
            return 0.0 if known is None else max(0.0, moment - (now + known))

    def _offset_at(self, monotonic: float) -> float | None:
        if self._offset is None:
            return None
        return self._offset - _DRIFT * abs(monotonic - self._as_of)


def http_date(text: str | None) -> float | None:
    """Return an HTTP date (RFC 9110 5.6.7) as unix seconds, or None where there is none to read."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
