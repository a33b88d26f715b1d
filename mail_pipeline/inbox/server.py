"""The receiver's process: uvicorn, with limits for slow senders and a stop that loses nothing."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.inbox.receiver import make_app
from mail_pipeline.settings import Settings

REQUEST_SECONDS = 10.0
"""Within this a request has to be complete. Nylas waits as long for an answer."""
_IDLE_SECONDS = 75
_STOP_SECONDS = 20
"""For what is under way when the receiver is asked to stop: a slow request, and two commits that wait."""
_MOST_HEAD_BYTES = 64 * 2**10
_BACKLOG = 2_048
_TICKS_PER_SECOND = 10
_OPEN_FILES = 65_536
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Protocol(HttpToolsProtocol):
    """Knows until when its sender has to be done with a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.cut_off_at = self.loop.time() + REQUEST_SECONDS
        self._head_bytes = 0
        self._in_head = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.cut_off_at = self.loop.time() + REQUEST_SECONDS
        self._head_bytes = 0
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        # Storing has its own limits; so has the time between two requests.
        self.cut_off_at = self.loop.time() + 2 * _IDLE_SECONDS
        super().on_message_complete()


class _Server(uvicorn.Server):
    """Cuts slow senders off, and stops in order on every signal that asks for it."""

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Protocol) and connection.cut_off_at < now:
                    connection.transport.abort()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def receive(
    settings: Settings, host: str, port: int, *, on_ready: Callable[[str, Callable[[], None]], Any]
) -> None:
    """Receive notifications until SIGINT, SIGTERM or SIGHUP; port 0 takes a free one.

    `on_ready` is called once with the address, such as http://127.0.0.1:8787, when the port is open, and
    with what stops the receiver from another thread. Everything answered 200 is durable, everything that
    waited is stored and answered before this returns. Raises StopRun where the address cannot be taken, and
    what `Landing.open` raises.
    """
    with Landing.open(settings) as landing, _listening(host, port) as listener:
        _allow_many_connections()
        config = uvicorn.Config(
            make_app(landing, settings.webhook_secrets),
            http=_Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = _Server(config)

        def stop() -> None:
            server.should_exit = True

        address = f"[{host}]" if ":" in host else host
        _freeze_imports()
        on_ready(f"http://{address}:{listener.getsockname()[1]}", stop)
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StopRun(
            f"The receiver cannot listen on {host}:{port} ({error.strerror})",
            next_step="Choose another --port; 0 takes a free one.",
        ) from None
    # Accepted connections inherit it; without it an answer may wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _freeze_imports() -> None:
    # What is imported stays; to look through it takes 20 ms each time, in which nobody is answered.
    gc.collect()
    gc.freeze()


def _allow_many_connections() -> None:
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(_OPEN_FILES, most)
    if few != resource.RLIM_INFINITY and few < wanted:
        # A system may allow fewer than it calls the limit, and the receiver works with those too.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
