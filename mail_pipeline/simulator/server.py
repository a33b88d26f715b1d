"""uvicorn in a thread: ready when told so, gone when the block ends."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mail_pipeline.simulator.answers import HANG_UP

# Close by a reset, with nothing lingering.
_NO_LINGER = struct.pack("ii", 1, 0)


class _Protocol(HttpToolsProtocol):
    """Lets a request end its own connection, which ASGI alone does not."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"call": self._hang_up}}

    def _hang_up(self, reset: bool) -> None:
        if reset:
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
            )
            self.transport.abort()
        else:
            self.transport.close()


class _Server(uvicorn.Server):
    """Tells when it has started, or has failed to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


@contextmanager
def serve(app: Starlette, host: str, port: int) -> Iterator[str]:
    """Serve an app on a thread of its own and yield its address, such as http://127.0.0.1:41235.

    Port 0 takes a free one. Raises OSError where the port is taken. Connections end with the block.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=512) as listener:
        # asyncio sets this only where the protocol is named; without it each answer waits 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        thread = threading.Thread(target=_run, args=(server, listener), name="simulator", daemon=True)
        thread.start()
        server.settled.wait()
        if not server.started:
            raise RuntimeError("the simulator's server did not start")
        address = f"[{host}]" if family == socket.AF_INET6 else host
        try:
            yield f"http://{address}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _run(server: _Server, listener: socket.socket) -> None:
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        server.settled.set()
