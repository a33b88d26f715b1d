"""A sender of notifications: raw sockets, kept alive, one request after the other on each.

    python -m benchmarks.intake_load URL [--connections 64] [--requests 20000 | --seconds 5] [--bytes 11000]

prints what it saw as JSON. The secret is NYLAS_WEBHOOK_SECRET.
"""

import argparse
import asyncio
import hmac
import json
import os
from collections import Counter
from functools import partial
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

_DIFFERENT = 64
_WARM_UP_SECONDS = 0.5


def requests(url: str, secret: bytes, size: int) -> list[bytes]:
    """Return a few different signed requests, ready to be sent."""
    address = urlsplit(url)
    ready = []
    for number in range(_DIFFERENT):
        body = _body(number, size)
        signature = hmac.digest(secret, body, "sha256").hex()
        head = (
            f"POST {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\nuser-agent: Go-http-client/2.0\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-nylas-signature: {signature}\r\naccept-encoding: gzip\r\n\r\n"
        )
        ready.append(head.encode() + body)
    return ready


def _body(number: int, size: int) -> bytes:
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "type": "message.created",
        "source": "/google/emails/realtime",
        "id": f"notification-{number}",
        "time": 1_723_821_985,
        "webhook_delivery_attempt": 1,
        "data": {"application_id": "application", "object": {"grant_id": "grant", "id": f"{number}"}},
    }
    envelope["data"]["object"]["body"] = "x" * (size - len(json.dumps(envelope)) - 12)
    return json.dumps(envelope).encode()


class Load:
    """What all connections share: how many requests are left, and what became of those sent."""

    def __init__(self, ready: list[bytes], left: int | None, ends_at: float) -> None:
        self.ready = ready
        self.left = left
        self.ends_at = ends_at
        self.statuses: Counter[str] = Counter()
        self.latencies: list[tuple[float, float]] = []

    def next(self, number: int, now: float) -> bytes | None:
        """Return the next request to send; None where there is none."""
        if self.left is not None:
            if self.left == 0:
                return None
            self.left -= 1
        elif now >= self.ends_at:
            return None
        return self.ready[number % len(self.ready)]


class Connection(asyncio.Protocol):
    """Sends, waits for the answer, sends again. Knows answers without a body only."""

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._number = number
        self._answer = b""
        self._sent_at = 0.0
        self._waits = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._send(perf_counter())

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"\r\n\r\n"):
            return
        now = perf_counter()
        self._load.statuses[self._answer[9:12].decode()] += 1
        self._load.latencies.append((now, now - self._sent_at))
        self._answer = b""
        self._waits = False
        self._send(now)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._load.statuses["no answer"] += 1
        self.done.set_result(None)

    def _send(self, now: float) -> None:
        self._number += 1
        request = self._load.next(self._number, now)
        if request is None:
            self._transport.close()
            return
        self._sent_at = now
        self._waits = True
        self._transport.write(request)


async def run(url: str, load: Load, connections: int) -> dict[str, Any]:
    """Send until there is nothing left to send; return the figures."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    started = perf_counter()
    made = await asyncio.gather(
        *(
            loop.create_connection(
                partial(Connection, load, number), str(address.hostname), address.port or 80
            )
            for number in range(connections)
        )
    )
    await asyncio.gather(*(connection.done for _, connection in made))
    warm = started + (0 if load.left is not None else _WARM_UP_SECONDS)
    counted = sorted(latency for at, latency in load.latencies if at >= warm)
    seconds = max(at for at, _ in load.latencies) - warm
    return {
        "statuses": dict(load.statuses),
        "rate": len(counted) / seconds,
        "p50": 1_000 * counted[len(counted) // 2],
        "p99": 1_000 * counted[len(counted) * 99 // 100],
    }


def main() -> None:
    """Send and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, help="send so many, however long it takes")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="send for so long; the start is not counted"
    )
    parser.add_argument("--bytes", type=int, default=11_000, help="of one body")
    wanted = parser.parse_args()
    ready = requests(wanted.url, os.environ["NYLAS_WEBHOOK_SECRET"].encode(), wanted.bytes)
    load = Load(ready, wanted.requests, perf_counter() + _WARM_UP_SECONDS + wanted.seconds)
    print(json.dumps(uvloop.run(run(wanted.url, load, wanted.connections))))


if __name__ == "__main__":
    main()
