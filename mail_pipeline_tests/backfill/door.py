"""What stands between a simulator and its clients: sees requests come, holds them, edits answers."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mail_pipeline.simulator import Simulator

PATIENCE_SECONDS = 120.0

Edit = Callable[[dict[str, Any]], bytes | None]
"""Takes a decoded answer to change it in place, or returns the bytes to send for it."""


@dataclass(frozen=True)
class Asked:
    """A request, as far as a hold looks at it."""

    operation: str
    """grants, or what is asked of a grant: the name of a list, events_import, or what one of it is called."""
    grant_id: str | None
    folder_id: str | None
    page_token: str | None
    number: int
    """How many requests of its operation have come so far, from 1."""


class Door:
    """Wraps the app of a simulator that is not served yet."""

    def __init__(self, simulator: Simulator) -> None:
        self._app: ASGIApp = simulator.app
        simulator.app = self  # type: ignore[assignment]
        self._arrived: list[Asked] = []
        self._changed = threading.Condition()
        self._holds: list[tuple[Callable[[Asked], bool], threading.Event]] = []
        self._edits: list[tuple[Callable[[Asked], bool], Edit]] = []
        self._refusals: list[tuple[Callable[[Asked], bool], Response]] = []

    def arrived(self, *operations: str) -> int:
        """Return how many requests of these operations, of messages unless told, have come so far."""
        return sum(asked.operation in (operations or ("messages",)) for asked in self._arrived)

    def wait_for(self, count: int, *operations: str) -> None:
        """Wait until so many requests of operations have come since the start; fails if they do not."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.arrived(*operations) >= count, PATIENCE_SECONDS)

    def hold(self, which: Callable[[Asked], bool]) -> threading.Event:
        """Hold back the requests that `which` picks until the event is set."""
        release = threading.Event()
        self._holds.append((which, release))
        return release

    def edit(self, which: Callable[[Asked], bool], edit: Edit) -> None:
        """Change the answers, where they are 200, to the requests that `which` picks."""
        self._edits.append((which, edit))

    def refuse(self, which: Callable[[Asked], bool], status: int, answer: dict[str, Any]) -> None:
        """Answer the requests that `which` picks with this, and do not let them through."""
        self._refusals.append((which, JSONResponse(answer, status)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = self._note(scope)
            for which, answer in self._refusals:
                if which(asked):
                    await answer(scope, receive, send)
                    return
            for which, release in self._holds:
                if which(asked):
                    await asyncio.to_thread(release.wait, PATIENCE_SECONDS)
            for which, edit in self._edits:
                if which(asked):
                    send = _Edited(send, edit)
        await self._app(scope, receive, send)

    def _note(self, scope: Scope) -> Asked:
        _, _, _, *parts = [unquote(part) for part in scope["raw_path"].decode().split("/")]
        query = dict(parse_qsl(scope["query_string"].decode()))
        operation = "grants" if len(parts) < 2 else parts[1]
        if parts[1:3] == ["events", "import"]:
            operation = "events_import"
        elif len(parts) > 2:
            operation = operation.removesuffix("s")
        with self._changed:
            asked = Asked(
                operation,
                parts[0] if parts else None,
                query.get("in"),
                query.get("page_token"),
                self.arrived(operation) + 1,
            )
            self._arrived.append(asked)
            self._changed.notify_all()
        return asked


class _Edited:
    """Collects an answer, changes it and sends it on."""

    def __init__(self, send: Send, edit: Edit) -> None:
        self._send = send
        self._edit = edit
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        if self._start["status"] == 200:
            answer = orjson.loads(self._body)
            self._body = self._edit(answer) or orjson.dumps(answer)
            headers = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
            self._start["headers"] = [*headers, (b"content-length", b"%d" % len(self._body))]
        await self._send(self._start)
        await self._send({**message, "body": self._body})
