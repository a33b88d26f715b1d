"""The receiver as an ASGI app: what Nylas sends is durable before it is answered 200.

Nylas sends a notification again only after no answer, 408, 429, 502, 503, 504 or 507; after any other answer
it is lost. So whatever goes wrong here is 503.
"""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mail_pipeline.inbox import RECEIVER_PATH, metrics, payload, signature
from mail_pipeline.inbox.group_commit import Commit, GroupCommit, QueueFull, Stopping
from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.inbox.metrics import Metrics
from mail_pipeline.inbox.pulse import Pulse

_INFLATED_AT_ONCE = 2**17
"""Compressed bytes that are inflated on the event loop; more go to a thread."""
_NO_SECRET = (
    "NYLAS_WEBHOOK_SECRET is not set: challenges are answered, notifications are refused (503). "
    "Set it to what `mail-pipeline webhook create` shows, and start the receiver again."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one receiver takes."""

    body: int = payload.MOST_SENT
    """Bytes of a body as sent."""
    inflated: int = payload.MOST_INFLATED
    """Bytes of a body inflated."""
    waiting: int = 20_000
    """Notifications that wait to be stored."""
    waiting_bytes: int = 256 * 2**20
    """Bytes of bodies that wait or are under way; this much memory a burst may take."""


class _Refused(Exception):
    """A notification that is not answered 200, and why, by its name in the metrics."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Gone(Exception):
    """The sender has hung up, or was cut off."""


class Intake:
    """POST on the webhook's path: an ASGI app by itself, since Starlette's layers cost as much as storing."""

    def __init__(self, queue: GroupCommit, secrets: Sequence[str], counted: Metrics, bounds: Bounds) -> None:
        """Take where deliveries go, the webhook's secrets, and what counts."""
        self._queue = queue
        self._secrets = secrets
        self._metrics = counted
        self._bounds = bounds
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 when it is durable, 401, 413, or else 503."""
        try:
            size = await self._take(scope, receive)
        except _Gone:
            self._metrics.refused["cut_off"] += 1
            return
        except _Refused as refused:
            await self._refuse(send, refused.status, refused.reason)
        except QueueFull:
            await self._refuse(send, 503, "queue_full")
        except Stopping:
            await self._refuse(send, 503, "stopping")
        except asyncio.CancelledError:
            # uvicorn would answer 500.
            await self._refuse(send, 503, "stopping")
            raise
        except Exception:
            # What went wrong is told once by whoever stores.
            await self._refuse(send, 503, "not_stored")
        else:
            self._metrics.landed += 1
            self._metrics.landed_bytes += size
            await send(_STARTS[200])
            await send(_END)

    async def _refuse(self, send: Send, status: int, reason: str) -> None:
        self._metrics.refused[reason] += 1
        await send(_STARTS[status])
        await send(_END)

    async def _take(self, scope: Scope, receive: Receive) -> int:
        received_at = time.time()
        if not self._secrets:
            raise _Refused(503, "no_secret")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await self._body(headers, receive)
        given = headers.get(signature.HEADER)
        if not signature.verify(body, given, self._secrets):
            raise _Refused(401, "wrong_signature" if given else "no_signature")
        if payload.is_compressed(headers):
            await self._check_inflated(body, headers)
        await self._queue.store(Delivery(received_at, headers, body))
        return len(body)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        # What is no number, the server has refused.
        if int(headers.get("content-length", 0)) > self._bounds.body:
            raise _Refused(413, "too_large")
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            self._bound(body)
            return body
        return await self._long_body(message, receive)

    async def _long_body(self, message: Message, receive: Receive) -> bytes:
        body = bytearray()
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise _Gone
                part = message.get("body", b"")
                body += part
                self._arriving += len(part)
                self._bound(body)
                if self._arriving + self._queue.body_bytes > self._bounds.waiting_bytes:
                    raise _Refused(503, "queue_full")
                if not message.get("more_body", False):
                    return bytes(body)
                message = await receive()
        finally:
            self._arriving -= len(body)

    def _bound(self, body: bytes | bytearray) -> None:
        if len(body) > self._bounds.body:
            raise _Refused(413, "too_large")

    async def _check_inflated(self, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            if len(body) <= _INFLATED_AT_ONCE:
                payload.check_size(body, headers, limit=self._bounds.inflated)
            else:
                await asyncio.to_thread(payload.check_size, body, headers, limit=self._bounds.inflated)
        except payload.TooLarge:
            raise _Refused(413, "too_large") from None
        except payload.Undecodable:
            # Signed by the sender, so it is kept for whoever applies it to judge.
            return


def make_app(landing: Landing, secrets: Sequence[str], *, bounds: Bounds = Bounds()) -> ASGIApp:
    """Return the app: the webhook's path, /healthz and /metrics.

    Its lifespan starts and stops the thread that stores; whoever made `landing` closes it after that.
    """
    counted = Metrics()
    pulse = Pulse(landing, f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")

    def on_commit(commit: Commit) -> None:
        counted.committed(commit)
        pulse.committed(commit)

    queue = GroupCommit(
        landing.store, most_waiting=bounds.waiting, most_bytes=bounds.waiting_bytes, on_commit=on_commit
    )
    intake = Intake(queue, secrets, counted, bounds)

    async def challenge(request: Request) -> Response:
        given = request.query_params.get("challenge")
        if given is None:
            return PlainTextResponse("Here Nylas posts notifications.\n", 400)
        counted.challenges += 1
        return PlainTextResponse(given, headers={"X-Content-Type-Options": "nosniff"})

    async def healthz(_: Request) -> Response:
        problem = await pulse.problem() if secrets else _NO_SECRET
        return JSONResponse({"ok": problem is None, "reason": problem}, 200 if problem is None else 503)

    async def numbers(_: Request) -> Response:
        return Response(counted.text(queue), media_type=metrics.CONTENT_TYPE)

    async def unavailable(_: Request, error: Exception) -> Response:
        _log.error("Unexpected %s", type(error).__qualname__)
        return PlainTextResponse("Not available.\n", 503)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if secrets:
            pulse.start()
        else:
            _log.error(_NO_SECRET)
        yield
        await queue.close()
        if secrets:
            await pulse.stop()

    pages = Starlette(
        routes=[
            Route(RECEIVER_PATH, challenge, methods=["GET"]),
            Route("/healthz", healthz),
            Route("/metrics", numbers),
        ],
        exception_handlers={Exception: unavailable},
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == RECEIVER_PATH:
            await intake(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return app


_STARTS: dict[int, Message] = {
    status: {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]}
    for status in (200, 401, 413, 503)
}
_END: Message = {"type": "http.response.body", "body": b""}
