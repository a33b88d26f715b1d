"""The bare receiver to compare with: Starlette on uvicorn, HMAC, append in groups to a file, sync, then 200.

    python -m benchmarks.bare_receiver FILE

prints its address and serves until it is ended. The secret is NYLAS_WEBHOOK_SECRET.
"""

import asyncio
import hmac
import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Appender:
    """Appends what waits to a file, durably, on a thread."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing = False

    async def append(self, body: bytes) -> None:
        """Return when the body is durable."""
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        self._waiting.append((body, stored))
        if not self._writing:
            self._writing = True
            loop.create_task(self._write_all())  # noqa: RUF006
        await stored

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, [body for body, _ in group])
            for _, stored in group:
                stored.set_result(None)
        self._writing = False

    def _write(self, bodies: list[bytes]) -> None:
        os.write(self._file, b"\n".join([*bodies, b""]))
        os.fdatasync(self._file)


def app(appender: Appender, secret: bytes) -> Starlette:
    """Return the one route."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        signature = hmac.digest(secret, body, "sha256").hex()
        if not hmac.compare_digest(signature, request.headers["x-nylas-signature"]):
            return Response(status_code=401)
        await appender.append(body)
        return Response()

    return Starlette(routes=[Route("/webhooks/nylas", receive, methods=["POST"])])


def main() -> None:
    """Serve until ended."""
    secret = os.environ["NYLAS_WEBHOOK_SECRET"].encode()
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/nylas", flush=True)
        config = uvicorn.Config(
            app(Appender(sys.argv[1]), secret),
            log_level="warning",
            access_log=False,
            lifespan="off",
            date_header=False,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
