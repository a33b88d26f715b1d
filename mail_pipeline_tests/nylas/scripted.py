"""A real HTTP server whose answers each test scripts, and a clock on which waiting takes no time."""

import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from mail_pipeline.nylas import Clock

KEY = "nyk_v0_SECRETSECRETSECRET"
GRANT = "5f3e0a52-7d1c-4d8e-9a41-0c4d8b9f1e77"


class JumpingClock(Clock):
    """A clock whose waits return at once, that much later. `advance` is for a server's latency."""

    def __init__(self, *, wall_start: float = 1_700_000_000.0) -> None:
        super().__init__()
        self._moving = threading.Lock()
        self._now = 5_000.0
        self._wall_start = wall_start - self._now
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._wall_start + self._now

    def wait(self, seconds: float) -> None:
        self.check()
        self.waits.append(seconds)
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        with self._moving:
            self._now += seconds


@dataclass(frozen=True)
class Seen:
    """A request as it arrived: the target byte for byte."""

    target: str
    headers: dict[str, str]
    client: tuple[str, int] = ("", 0)
    method: str = "GET"
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `end` breaks it: after the headers, in the body, or by a reset."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    end: Literal["whole", "half", "reset", "unsized half"] = "whole"
    before: Callable[[], object] = lambda: None

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def page(records: Any = (), cursor: Any = None, **headers: str) -> Reply:
    """Answer with a good page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    records = list(records) if isinstance(records, tuple) else records
    return Reply({"request_id": "r-1", "data": records, "next_cursor": cursor}, headers=named)


def refusal(status: int, kind: str = "api.some_error", message: str = "no", **rest: Any) -> Reply:
    """Answer with a Nylas error."""
    headers = rest.pop("headers", {})
    error = {"type": kind, "message": message, **rest}
    return Reply({"request_id": "r-2", "error": error}, status, headers)


def silent_until(over: threading.Event, arrived: threading.Event) -> Reply:
    """Answer nothing until `over`, and tell that the request has `arrived`."""

    def before() -> None:
        arrived.set()
        over.wait(60)

    return replace(page(), before=before)


class ScriptedServer:
    """Answers with `script` in order, and by `otherwise` when that has run out."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.otherwise: Callable[[Seen], Reply] = lambda seen: Reply(b"nothing scripted", 500)
        self.seen: list[Seen] = []
        self.now: Callable[[], float] | None = None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._http.server_address[1]}"

    def reply(self, *replies: Reply) -> None:
        self.script.extend(replies)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _next(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
            scripted = self.script.pop(0) if self.script else None
        return scripted or self.otherwise(seen)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_GET(self) -> None:
                target = self.requestline.split(" ")[1]
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                reply = server._next(Seen(target, headers, self.client_address, self.command, body))
                reply.before()
                self._send(reply)

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

            def _send(self, reply: Reply) -> None:
                body = reply.encoded()
                if reply.headers.get("Content-Encoding") == "gzip" and body[:2] != b"\x1f\x8b":
                    body = gzip.compress(body)
                if reply.end == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                if server.now is not None and "Date" not in reply.headers:
                    self.send_header("Date", formatdate(server.now(), usegmt=True))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.end != "unsized half":
                    self.send_header("Content-Length", str(len(body)))
                if reply.end != "whole":
                    self.send_header("Connection", "close")
                    self.close_connection = True
                    body = body[: len(body) // 2]
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
