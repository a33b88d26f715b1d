"""The request log: what was asked, what was answered, what went wrong."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

CAPACITY = 500_000
"""How many requests are remembered; a file gets all."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request, in the order of answering. Logged before the answer leaves."""

    number: int
    """Counted from 1."""
    time: float
    """Unix seconds at which it arrived."""
    client: str
    """The other end's host:port: one connection, so one worker."""
    method: str
    path: str
    """As sent: percent-encoded, without the query."""
    operation: str
    """One of the operations in `Facts`; empty if unknown."""
    grant_id: str | None
    folder_id: str | None
    query_imap: bool
    page_token: str | None
    limit: int | None
    status: int
    """0 where the connection was reset before the status line."""
    count: int
    """Records served; also where the answer was spoiled on its way."""
    first_date: int | None
    """Date of the newest message served, unix seconds."""
    last_date: int | None
    fault: str | None
    """The fault injected."""
    limited: str | None
    """The rate limit that refused the request."""
    spoiled: tuple[str, ...]
    """Ids of the records a fault made unreadable."""
    query: Mapping[str, str]
    """Every parameter as asked; one given several times with commas."""


class RequestLog:
    """Remembers requests, and appends each as a line of JSON to a file if one is given."""

    def __init__(self, path: Path | None = None) -> None:
        """Append to `path`, which need not exist yet."""
        self._entries: deque[LoggedRequest] = deque(maxlen=CAPACITY)
        self._lock = threading.Lock()
        self._path = path
        self._count = 0

    def next_number(self) -> int:
        """Return the number for a request that has just arrived."""
        with self._lock:
            self._count += 1
            return self._count

    def add(self, entry: LoggedRequest) -> None:
        """Record an answer."""
        with self._lock:
            self._entries.append(entry)
            if self._path is not None:
                with self._path.open("ab") as file:
                    file.write(orjson.dumps(asdict(entry)) + b"\n")

    def entries(self, after: int = 0) -> list[LoggedRequest]:
        """Return the requests with a number over `after`, in the order of answering."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > after]
