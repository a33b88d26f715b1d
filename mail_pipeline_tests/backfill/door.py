"""What stands between a simulator and its clients: sees requests come, holds them, edits answers."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mail_pipeline.simulator import Simulator

Edit = Callable[[dict[str, Any]], object]
_PATIENCE_SECONDS = 60.0


class Door:
    """Wraps the app of a simulator that is not served yet."""

    def __init__(self, simulator: Simulator) -> None:
        self._app: ASGIApp = simulator.app
        simulator.app = self  # type: ignore[assignment]
        self._arrived = 0
        self._changed = threading.Condition()
        self._holds: list[tuple[Callable[[str, dict[str, str]], bool], threading.Event]] = []
        self.edit_page: Edit | None = None
        """Changes the decoded answer to a list of messages, in place."""
        self.edit_message: Edit | None = None
        """The same for one message alone."""

    @property
    def arrived(self) -> int:
        """Requests for lists of messages so far."""
        return self._arrived

    def wait_for(self, arrived: int, timeout: float = _PATIENCE_SECONDS) -> bool:
        """Wait until so many requests for lists of messages have come, and return whether they have."""
        with self._changed:
            return self._changed.wait_for(lambda: self._arrived >= arrived, timeout)

    def hold(self, which: Callable[[str, dict[str, str]], bool]) -> threading.Event:
        """Hold back the lists of messages that `which` picks by path and query, until the event is set."""
        release = threading.Event()
        self._holds.append((which, release))
        return release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        lists = path.endswith("/messages")
        if lists:
            with self._changed:
                self._arrived += 1
                self._changed.notify_all()
            query = dict(parse_qsl(scope["query_string"].decode()))
            for which, release in self._holds:
                if which(path, query):
                    await asyncio.to_thread(release.wait, _PATIENCE_SECONDS)
        edit = self.edit_page if lists else self.edit_message if "/messages/" in path else None
        await self._app(scope, receive, send if edit is None else _Edited(send, edit))


class _Edited:
    """Collects an answer, changes it and sends it on."""

    def __init__(self, send: Send, edit: Edit) -> None:
        self._send = send
        self._edit = edit
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        if self._start["status"] == 200:
            answer = orjson.loads(self._body)
            edited = self._edit(answer)
            self._body = edited if isinstance(edited, bytes) else orjson.dumps(answer)
            headers = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
            self._start["headers"] = [*headers, (b"content-length", b"%d" % len(self._body))]
        await self._send(self._start)
        await self._send({**message, "body": self._body})
