"""When the next request to a grant may start: the provider's peace."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mail_pipeline.nylas.clock import Clock
from mail_pipeline.nylas.quota import UnitBudget

IMAP_FAMILY = frozenset({"imap", "yahoo", "icloud"})


@dataclass(frozen=True)
class Limits:
    """Every number the client keeps to. Seconds unless said otherwise.

    Sources: reference nylas-api 1.2 (timeouts, retries), 1.3 (Nylas' limits), 1.4 (providers').
    """

    google_units_per_second: float = 150.0
    """Gmail allows 250 a second and user in old projects, 100 in those made since 2026-05-01; Nylas
    advises to stay near 150, since its own sync spends from the same quota."""
    page_interval: float = 0.2
    """Least time between the starts of two pages of a grant."""
    item_interval: float = 1 / 180
    """Nylas: 200 requests a second and grant; a tenth below, for what the network bunches together."""
    application_interval: float = 1 / 45
    """Nylas: 50 requests a second and application for grants and webhooks; likewise."""
    microsoft_in_flight: int = 4
    """Microsoft Graph: 4 concurrent requests per application and mailbox."""
    imap_in_flight: int = 1
    other_in_flight: int = 4
    page_size: int = 200
    """Nylas answers 400 above 200."""
    ews_page_size: int = 50
    """Nylas' advice for Exchange."""
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    """Nylas waits 90 s for a provider and ends its answer by 120 s. Giving up sooner spends the
    provider's quota for nothing."""
    answer_timeout: float = 300.0
    """For a whole answer: a body that drips in byte by byte never runs into `read_timeout`."""
    download_timeout: float = 1800.0
    """The same for an attachment, which may be 150 MB over a slow line."""
    largest_body: int = 256 * 2**20
    """Bytes, decompressed; a page beyond it is asked for again at half its size."""
    patience: float = 900.0
    """How long one request is tried again, from its first failure."""
    item_patience: float = 180.0
    """The same for an attachment at the most: one that does not come must not hold up those behind it."""
    check_patience: float = 10.0
    """The same for `NylasClient.check`, which somebody is waiting for."""
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    malformed_retries: int = 3
    """How often an unreadable answer is asked for again; a broken server rarely mends itself."""
    longest_hold: float = 86_400.0
    """No Retry-After is believed beyond a day."""

    def in_flight(self, provider: str) -> int:
        """Return how many requests may run at once on a mailbox of this provider."""
        if provider in IMAP_FAMILY:
            return self.imap_in_flight
        return self.microsoft_in_flight if provider == "microsoft" else self.other_in_flight

    def largest_page(self, provider: str) -> int:
        """Return the most records a provider is asked for at once."""
        return min(self.page_size, self.ews_page_size) if provider == "ews" else self.page_size

    def backoff(self, failures: int) -> float:
        """Return how long to wait after this many failures in a row: exponential, full jitter."""
        return random.uniform(0, min(self.backoff_cap, self.backoff_base * 2.0 ** min(failures - 1, 30)))


@dataclass
class Turn:
    """One request's turn: when it came, and the units it spent (the expected ones unless set)."""

    started: float
    units: int


class Pace:
    """Lets the requests of one grant start when its provider's limits allow. Thread-safe.

    The counters may be read from any thread at any time; they only grow.
    """

    def __init__(self, clock: Clock, *, in_flight: int, budget: UnitBudget | None = None) -> None:
        """Allow `in_flight` requests at once; `budget` counts quota units where there are any."""
        self.requests = 0
        self.body_bytes = 0
        self.quota_units = 0
        self.in_flight = in_flight
        self._clock = clock
        self._slots = threading.Semaphore(in_flight)
        self._budget = budget
        self._lock = threading.Lock()
        self._next_start = clock.monotonic()
        self._held = self._next_start
        self._waiting = self._next_start

    @property
    def held_until(self) -> float | None:
        """When the provider lets this grant go on (unix seconds, our clock); None: nothing holds it.

        Holds are Retry-After, backoff, and quota that somebody is waiting for.
        """
        with self._lock:
            until = max(self._held, self._waiting)
            left = until - self._clock.monotonic()
            return self._clock.time() + left if left > 0 else None

    @property
    def hold_left(self) -> float:
        """Seconds until Retry-After or backoff lets this grant go on; 0 where nothing holds it."""
        with self._lock:
            return max(0.0, self._held - self._clock.monotonic())

    @property
    def counts_units(self) -> bool:
        """Whether this provider has quota units."""
        return self._budget is not None

    def cost(self, messages: int) -> int:
        """Return the quota units that listing `messages` is expected to cost; 0 without a quota."""
        with self._lock:
            return self._budget.cost(messages) if self._budget else 0

    def page_size(self, wanted: int) -> int:
        """Return the page size that suits the quota, at most `wanted`."""
        with self._lock:
            return self._budget.page_size(wanted) if self._budget else wanted

    @contextmanager
    def turn(self, cost: int, interval: float) -> Iterator[Turn]:
        """Wait until a request expected to cost `cost` units may start; it runs inside the `with`.

        The next one starts at least `interval` seconds after it. Raises Cancelled.
        """
        self._clock.check()
        self._clock.acquire(self._slots)
        try:
            turn = Turn(self._await_start(cost, interval), cost)
            try:
                yield turn
            finally:
                self._end(cost, turn.units)
        finally:
            self._slots.release()

    def hold(self, seconds: float) -> None:
        """Let nothing start for `seconds`; a hold that ends later stays."""
        with self._lock:
            self._held = max(self._held, self._clock.monotonic() + seconds)

    def served(self, body_bytes: int, *, messages: int | None = None, units: int = 0) -> None:
        """Count an answer; `messages` of a list of messages teaches what one of them costs."""
        with self._lock:
            self.body_bytes += body_bytes
            if self._budget and messages is not None:
                self._budget.served(messages, units)

    def throttled(self) -> None:
        """Note that the provider refused for quota."""
        with self._lock:
            if self._budget:
                self._budget.throttled()

    def _await_start(self, cost: int, interval: float) -> float:
        while True:
            with self._lock:
                now = self._clock.monotonic()
                quota = self._budget.wait(now, cost) if self._budget else 0.0
                provider = max(self._held - now, quota)
                delay = max(self._next_start - now, provider)
                if delay <= 0:
                    self._waiting = now
                    self._next_start = now + interval
                    self.requests += 1
                    if self._budget:
                        self._budget.start(now, cost)
                    return now
                self._waiting = now + max(0.0, provider)
            self._clock.wait(delay)

    def _end(self, cost: int, units: int) -> None:
        with self._lock:
            self.quota_units += units
            if self._budget:
                self._budget.end(self._clock.monotonic(), cost, units)
