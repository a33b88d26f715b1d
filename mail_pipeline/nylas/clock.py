"""Time as the client sees it, in one place, so that every wait can be cancelled."""

import threading
import time

from mail_pipeline.errors import MailPipelineError

_SLOT_CHECK_SECONDS = 0.1


class Cancelled(MailPipelineError):
    """The work was told to stop. Whatever was stored stays; the next run goes on from there."""


class Clock:
    """The machine's clocks, and waiting that `cancel()` ends at once. Safe to share between threads.

    A test passes a subclass whose `wait` moves `monotonic` forward instead of sleeping.
    """

    def __init__(self) -> None:
        """Start a clock that nobody has cancelled yet."""
        self._cancelled = threading.Event()

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back, whatever is done to the wall clock."""
        # CLOCK_MONOTONIC stands still while Linux is suspended. A request in flight over a
        # suspended laptop would then look quick, and the provider's clock ahead of its true time.
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def time(self) -> float:
        """Return the wall clock in unix seconds. It may be wrong; nothing stored should depend on it."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or raise Cancelled as soon as `cancel()` is called."""
        self._cancelled.wait(max(0.0, seconds))
        self.check()

    def acquire(self, slots: threading.Semaphore) -> None:
        """Take one of `slots`, however long that takes, or raise Cancelled."""
        while not slots.acquire(timeout=_SLOT_CHECK_SECONDS):
            self.check()

    def check(self) -> None:
        """Raise Cancelled if `cancel()` was called."""
        if self._cancelled.is_set():
            raise Cancelled(
                "The work was cancelled", next_step="Start it again to go on from what is stored."
            )

    def cancel(self) -> None:
        """Make every wait, those under way and those to come, raise Cancelled."""
        self._cancelled.set()
