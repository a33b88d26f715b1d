"""A mailbox's quota units: how soon the next request may spend some, and how large a page to ask."""

import math
from collections import deque

WINDOW_SECONDS = 60.0

# Google counts for itself; this keeps a request from landing on the very edge of its window.
_EDGE_SECONDS = 0.01
_POLL_SECONDS = 0.1

# Gmail API: messages.list costs 5 units, messages.get 5 in projects made before 2026-05-01 and 20
# since. Nylas lists by one `list` and one `get` a message (reference: nylas-api 1.4).
LIST_UNITS = 5
MESSAGE_UNITS = 5
MESSAGE_UNITS_AT_MOST = 20
ATTACHMENT_UNITS = 5

# From here on a page's size hardly matters: less than 1/100 of the window can go unused.
_PAGES_PER_WINDOW_ENOUGH = 100

_SLOWER_WHEN_THROTTLED = 0.8
_FASTER_WHEN_SERVED = 1.02
_SLOWEST = 0.1


class UnitBudget:
    """Units per second for one mailbox, kept two ways. Times are monotonic seconds.

    - In any 60 s at most 60 times the budget. When exactly the provider charges a request cannot be
      known, so it counts from its start until 60 s after its end: no placing of charges within the
      requests, and no latency, can bring 60 s over the budget.
    - Spread: the next request starts no sooner than units/budget seconds after the previous start.

    Until a first answer shows what a message costs, the dearest known price is assumed. When the
    provider throttles all the same (somebody else spends too: Nylas' own sync, another program) the
    budget drops by a fifth, and grows back with every answer. Not thread-safe: Pace has the lock.
    """

    def __init__(self, units_per_second: float) -> None:
        """Start with nothing spent."""
        self._ceiling = units_per_second
        self._rate = units_per_second
        self._message_units = MESSAGE_UNITS_AT_MOST
        self._ended: deque[tuple[float, int]] = deque()
        self._ended_units = 0
        self._running_units = 0
        self._next_start = -math.inf

    def cost(self, messages: int) -> int:
        """Return the units a list of `messages` is expected to cost at most."""
        return LIST_UNITS + self._message_units * messages

    def page_size(self, wanted: int) -> int:
        """Return how many messages to ask for, at most `wanted`, so that pages fill the window.

        Two pages of 4,005 units do not fit into 6,000 a minute; the second would idle for most of a
        minute. Pages a little smaller, so that a whole number of them fits, use all of it.
        """
        window = WINDOW_SECONDS * self._rate
        pages = math.ceil(window / self.cost(wanted))
        if pages >= _PAGES_PER_WINDOW_ENOUGH:
            return wanted
        room = (window - self._singles()) / pages - LIST_UNITS
        return max(1, min(wanted, int(room // self._message_units)))

    def _singles(self) -> int:
        """Return the units to leave for messages fetched one by one, going by those of the last minute.

        In a window that pages fill to its edge, each of them would wait for a page to leave it.
        """
        single = self.cost(1)
        spent = sum(units for _, units in self._ended if units <= single)
        return spent + single if spent else 0

    def wait(self, now: float, cost: int) -> float:
        """Return the seconds until a request of `cost` units may start; 0 or less: now.

        One that costs more than the whole window starts when the window is empty.
        """
        self._forget(now)
        ready = self._next_start
        excess = self._ended_units + self._running_units + cost - WINDOW_SECONDS * self._rate
        for ended, units in self._ended:
            if excess <= 0:
                break
            excess -= units
            ready = max(ready, ended + WINDOW_SECONDS + _EDGE_SECONDS)
        if excess > 0 and self._running_units:
            ready = max(ready, now + _POLL_SECONDS)
        return ready - now

    def start(self, now: float, cost: int) -> None:
        """Reserve `cost` units for a request that starts now."""
        self._running_units += cost
        self._next_start = now + cost / self._rate

    def end(self, now: float, cost: int, units: int) -> None:
        """Turn the reservation of `cost` into the `units` really spent."""
        self._running_units -= cost
        self._next_start += (units - cost) / self._rate
        self._ended.append((now, units))
        self._ended_units += units

    def served(self, messages: int, units: int) -> None:
        """Learn the price of a message from a page that was answered."""
        if messages:
            self._message_units = max(1, math.ceil((units - LIST_UNITS) / messages))
        self._rate = min(self._ceiling, self._rate * _FASTER_WHEN_SERVED)

    def throttled(self) -> None:
        """Go slower for a while: the provider counts more than is spent here."""
        self._rate = max(self._ceiling * _SLOWEST, self._rate * _SLOWER_WHEN_THROTTLED)

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0][0] + WINDOW_SECONDS + _EDGE_SECONDS <= now:
            self._ended_units -= self._ended.popleft()[1]
