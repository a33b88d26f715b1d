"""A webhook's other end: answers challenges, remembers what it is sent, and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from mail_pipeline.simulator import Simulator

MIRROR = [
    *(f"message.{change}" for change in ("created", "updated", "deleted")),
    *(f"folder.{change}" for change in ("created", "updated", "deleted")),
    *(f"grant.{change}" for change in ("created", "updated", "expired", "deleted")),
    "grant.imap_sync_completed",
    *("contact.updated", "contact.deleted"),
    *(f"{what}.{change}" for what in ("calendar", "event") for change in ("created", "updated", "deleted")),
]


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> Any:
        return orjson.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.envelope["type"])

    @property
    def object(self) -> Any:
        return self.envelope["data"]["object"]


@dataclass
class Receiver:
    url: str = ""
    received: list[Received] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    answer: Callable[[Received], int | tuple[int, dict[str, str]]] = lambda _: 200
    challenge: Callable[[bytes], tuple[int, bytes]] = lambda value: (200, value)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self) -> list[Received]:
        """Return what has come since the last call."""
        with self.arrived:
            taken, self.received = self.received, []
            return taken

    def types(self) -> list[str]:
        """Return the types of what has come since the last call."""
        return [one.type for one in self.take()]

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, 30)

    def subscribe(self, simulator: Simulator, triggers: list[str] | None = None, **settings: Any) -> str:
        """Create a webhook that sends here, and return its id."""
        wanted = {"trigger_types": triggers or MIRROR, "webhook_url": self.url, **settings}
        return simulator.webhooks.create(wanted).id


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            value = parse_qs(urlsplit(self.path).query)["challenge"][0]
            receiver.challenges.append(value)
            status, body = receiver.challenge(value.encode())
            self._send(status, {"Content-Length": str(len(body))}, body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            one = Received({name.lower(): value for name, value in self.headers.items()}, body)
            answer = receiver.answer(one)
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            with receiver.arrived:
                receiver.received.append(one)
                receiver.arrived.notify_all()
            self._send(status, {"Content-Length": "0", **headers}, b"")

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/webhooks/nylas"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
