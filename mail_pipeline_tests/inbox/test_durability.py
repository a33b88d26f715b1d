"""What was answered 200 is in the table, however the receiver ends."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.settings import Settings
from mail_pipeline_tests.inbox.receiving import SECONDS, Receiver, notification, receiving, sign

SENDERS = 16
KILLS = 8


@dataclass
class Load:
    """Senders that post as fast as they can until nobody answers."""

    webhook: str
    names: str
    answered: dict[bytes, int] = field(default_factory=dict)
    enough: threading.Event = field(default_factory=threading.Event)

    def send(self, sender: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for body in self._bodies(sender):
                headers = {"X-Nylas-Signature": sign(body)}
                try:
                    answer = session.post(self.webhook, data=body, headers=headers, timeout=SECONDS)
                except requests.RequestException:
                    return
                self.answered[body] = answer.status_code
                if len(self.answered) >= 100:
                    self.enough.set()

    def _bodies(self, sender: int) -> Iterator[bytes]:
        for number in range(100_000):
            padding = b" " * (10_000 if number % 3 else 100)
            yield f"{self.names}-{sender}-{number}".encode() + padding


def under_load(receiver: Receiver, names: str, end: object) -> dict[bytes, int]:
    """Post from many senders; call `end` once a hundred are answered; return each body's status."""
    load = Load(receiver.webhook, names)
    with ThreadPoolExecutor(SENDERS) as threads:
        sending = [threads.submit(load.send, number) for number in range(SENDERS)]
        assert load.enough.wait(SECONDS)
        assert callable(end)
        end()
        for each in sending:
            each.result()
    return load.answered


def stored(settings: Settings) -> list[bytes]:
    with Landing.open(settings) as landing:
        return [row.body for row in landing.after(0, limit=10**6, max_bytes=10**9)]


def test_a_kill_under_load_loses_nothing_that_was_answered_200(settings: Settings):
    chance = random.Random(5)
    answered: dict[bytes, int] = {}

    for round_ in range(KILLS):
        with receiving(settings) as receiver:

            def kill(receiver: Receiver = receiver) -> None:
                time.sleep(chance.uniform(0, 0.05))
                receiver.kill()

            answered |= under_load(receiver, str(round_), kill)

    assert set(answered.values()) == {200}
    found = stored(settings)
    assert len(found) == len(set(found))
    assert answered.keys() <= set(found)
    # A connection under way when the receiver died may be stored without an answer; no more than that.
    assert len(found) - len(answered) <= KILLS * SENDERS


def test_a_graceful_stop_answers_everything_it_stored(settings: Settings):
    with receiving(settings) as receiver:
        ended: list[tuple[int, str]] = []
        answered = under_load(receiver, "stop", lambda: ended.append(receiver.stop()))

    assert ended == [(0, ended[0][1])]
    assert "Traceback" not in ended[0][1]
    assert set(answered.values()) <= {200, 503}
    assert sorted(stored(settings)) == sorted(body for body, status in answered.items() if status == 200)


def test_a_stop_waits_for_a_body_that_is_still_coming(tmp_path: Path):
    body = notification(size=3_000)
    head = (
        "POST /webhooks/nylas HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\nX-Nylas-Signature: {sign(body)}\r\n\r\n"
    )
    settings = Settings(data=tmp_path)
    with receiving(settings) as receiver, ThreadPoolExecutor(1) as threads:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=SECONDS) as sender:
            sender.sendall(head.encode() + body[:1_000])
            assert b"100 Continue" in sender.recv(1_000)
            ending = threads.submit(receiver.stop)
            while listens(receiver):
                time.sleep(0.01)
            sender.sendall(body[1_000:])
            assert sender.recv(1_000).startswith(b"HTTP/1.1 200 ")
        assert ending.result()[0] == 0

    assert stored(settings) == [body]


def listens(receiver: Receiver) -> bool:
    try:
        socket.create_connection(("127.0.0.1", receiver.port), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_killed_receivers_silence_is_known_afterwards(settings: Settings):
    with receiving(settings) as receiver:
        assert receiver.health()[0] == 200
        receiver.kill()
    killed = time.time()
    time.sleep(1.5)
    with receiving(settings) as receiver:
        assert receiver.health()[0] == 200
        assert receiver.stop()[0] == 0

    with Landing.open(settings) as landing:
        [(start, end)] = landing.silences(longer_than=1)
    assert start <= killed <= end <= time.time()
