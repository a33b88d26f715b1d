"""The one clock of a simulated provider: real time, plus whatever a test has jumped over."""

import threading
import time
from collections.abc import Callable


class SimulatedClock:
    """Tells unix seconds. Runs in real time, or stands still from `start`; `advance` moves it on."""

    def __init__(self, start: float | None = None, *, skew: float = 0.0) -> None:
        """Take the time it stands at, None to follow this machine's clock; `skew` seconds are added."""
        self._start = start
        self._skew = skew
        self._advanced = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the time, unix seconds."""
        base = time.time() if self._start is None else self._start
        return base + self._advanced + self._skew

    @property
    def advanced(self) -> float:
        """Return by how many seconds in all the clock was advanced."""
        return self._advanced

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError("a clock cannot be turned back")
        with self._lock:
            self._advanced += seconds
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each advance, on the thread that advanced."""
        with self._lock:
            self._listeners.append(listener)
