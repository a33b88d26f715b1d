"""Connections that another thread can break off, so that whoever reads from them goes on at once."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class BreakableAdapter(HTTPAdapter):
    """A Session's adapter that knows its open sockets. Thread-safe."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._broken_off = False
        super().__init__()

    def break_off(self) -> None:
        """End every exchange under way, and each to come, as if its connection were lost."""
        with self._lock:
            self._broken_off = True
            for each in self._sockets:
                _shut_down(each)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return the pool for a request, told to hand its new sockets to this adapter."""
        pool = cast(HTTPConnectionPool, super().get_connection_with_tls_context(*args, **kwargs))
        pool.ConnectionCls = _SecureConnection if pool.scheme == "https" else _Connection
        pool.conn_kw["opened"] = self._opened
        return pool

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connection)
            if self._broken_off:
                _shut_down(connection)


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, opened: Callable[[socket.socket], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opened = opened

    def connect(self) -> None:
        super().connect()
        self._opened(self.sock)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        # An SSLSocket's own method would take the TLS state from under the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
