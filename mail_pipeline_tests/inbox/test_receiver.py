"""A real receiver, asked over real HTTP: what each kind of request is answered, and what is stored of it."""

import gzip
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from nylas.resources.webhooks import extract_challenge_parameter

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.settings import Settings
from mail_pipeline_tests.disks import fill, small_disk
from mail_pipeline_tests.inbox.receiving import (
    SECONDS,
    Receiver,
    ends_at_once,
    notification,
    receiving,
    sign,
)

MB = 10**6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receiver")


@pytest.fixture(scope="module")
def receiver(data: Path) -> Iterator[Receiver]:
    with receiving(Settings(data=data), secrets="other, secret-of-the-tests") as receiver:
        yield receiver


@pytest.fixture
def landed(data: Path, receiver: Receiver) -> Iterator[Callable[[], list[bytes]]]:
    """Return what has landed since the test began, as sent."""
    with Landing.open(Settings(data=data)) as landing:
        before = landing.newest()
        yield lambda: [row.body for row in landing.after(before, limit=1_000, max_bytes=10**9)]


def test_a_challenge_is_echoed_byte_for_byte(receiver: Receiver):
    url = f"{receiver.webhook}?challenge=1a2b-%C3%A9%2B3c"
    answer = receiver.session.get(url, timeout=SECONDS)

    assert answer.status_code == 200
    assert answer.content.decode() == extract_challenge_parameter(url) == "1a2b-é+3c"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "Transfer-Encoding" not in answer.headers


def test_the_webhooks_path_without_a_challenge_says_what_it_is(receiver: Receiver):
    assert receiver.session.get(receiver.webhook, timeout=SECONDS).status_code == 400


def test_a_signed_notification_is_stored_before_it_is_answered(
    receiver: Receiver, data: Path, landed: Callable[[], list[bytes]]
):
    before = time.time()
    body = notification(size=11_000)

    assert receiver.post(body, content_type="application/json") == 200
    assert landed() == [body]
    with Landing.open(Settings(data=data)) as landing:
        [row] = landing.get([landing.newest()])
    assert before <= row.received_at <= time.time()
    assert row.headers["content-type"] == "application/json"
    assert row.headers["x-nylas-signature"] == sign(body)


def test_a_compressed_notification_is_stored_as_sent(receiver: Receiver, landed: Callable[[], list[bytes]]):
    body = gzip.compress(notification(size=5_000))

    assert receiver.post(body, content_encoding="gzip") == 200
    assert landed() == [body]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"This is no JSON", {}),
        (b'{"type": ["of", "the", "wrong", "shape"]}', {}),
        (bytes(range(256)), {}),
        (b"not compressed at all", {"content_encoding": "gzip"}),
        (b"{}", {"content_encoding": "br"}),
    ],
    ids=["nothing", "text", "wrong shape", "bytes", "no gzip", "unknown encoding"],
)
def test_whatever_is_rightly_signed_is_kept(
    receiver: Receiver, landed: Callable[[], list[bytes]], body: bytes, headers: dict[str, str]
):
    assert receiver.post(body, **headers) == 200
    assert landed() == [body]


def test_the_same_notification_twice_is_answered_200_twice(
    receiver: Receiver, landed: Callable[[], list[bytes]]
):
    assert [receiver.post(notification(1)) for _ in range(2)] == [200, 200]
    assert landed() == [notification(1)] * 2


def test_any_of_the_secrets_will_do(receiver: Receiver, landed: Callable[[], list[bytes]]):
    assert receiver.post(notification(), signature=sign(notification(), "other")) == 200
    assert landed() == [notification()]


@pytest.mark.parametrize(
    ("signature", "reason"),
    [(None, "no_signature"), ("0" * 64, "wrong_signature"), (b"\xe9", "wrong_signature")],
)
def test_without_a_right_signature_nothing_is_stored(
    receiver: Receiver, landed: Callable[[], list[bytes]], signature: str | bytes | None, reason: str
):
    counter = f'refused_total{{reason="{reason}"}}'
    before = receiver.metric(counter)

    assert receiver.post(notification(), signature=signature) == 401
    assert landed() == []
    assert receiver.metric(counter) == before + 1


def test_a_signature_over_the_inflated_body_is_a_wrong_one(receiver: Receiver):
    body = notification()

    assert receiver.post(gzip.compress(body), signature=sign(body), content_encoding="gzip") == 401


def test_the_largest_body_is_taken_and_a_larger_one_is_not(
    receiver: Receiver, landed: Callable[[], list[bytes]]
):
    largest = os.urandom(10 * MB)

    assert receiver.post(largest) == 200
    assert receiver.post(largest + b"x") == 413
    assert landed() == [largest]


def test_a_body_of_unknown_length_is_measured_while_it_comes(
    receiver: Receiver, landed: Callable[[], list[bytes]]
):
    def chunks(count: int) -> Iterator[bytes]:
        yield from (bytes(MB) for _ in range(count))

    def post(count: int) -> int:
        signature = sign(bytes(MB * count))
        return requests.post(
            receiver.webhook, data=chunks(count), headers={"X-Nylas-Signature": signature}, timeout=SECONDS
        ).status_code

    assert post(3) == 200
    assert post(11) == 413
    assert landed() == [bytes(3 * MB)]


def test_a_bomb_is_refused(receiver: Receiver, landed: Callable[[], list[bytes]]):
    assert receiver.post_compressed(bytes(64 * 2**20)) == 200
    assert receiver.post_compressed(bytes(64 * 2**20 + 1)) == 413
    assert receiver.post_compressed(bytes(500 * MB)) == 413
    assert len(landed()) == 1


def test_the_numbers_are_there_for_prometheus(receiver: Receiver):
    before = receiver.metric("landed_total"), receiver.metric("commit_seconds_count")
    receiver.post(notification())
    after = receiver.metric("landed_total"), receiver.metric("commit_seconds_count")

    assert after == (before[0] + 1, before[1] + 1)
    assert receiver.metric('commit_seconds_bucket{le="+Inf"}') == receiver.metric("commit_seconds_count")
    assert receiver.metric("queue") == receiver.metric("queue_bytes") == 0


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/webhooks/nylas", 405), ("POST", "/", 404)])
def test_other_requests_are_refused(receiver: Receiver, method: str, path: str, status: int):
    assert receiver.session.request(method, receiver.url + path, timeout=SECONDS).status_code == status


def test_a_slow_sender_is_cut_off(receiver: Receiver):
    head = b"POST /webhooks/nylas HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    unfinished = (b"", head, head + b"\r\n{")
    senders = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in unfinished]
    started = time.monotonic()
    for sender, part in zip(senders, unfinished, strict=True):
        sender.settimeout(SECONDS)
        sender.sendall(part)

    for sender in senders:
        with sender:
            assert _hung_up(sender)
    assert 5 < time.monotonic() - started < 20
    assert receiver.metric('refused_total{reason="cut_off"}') == 1


def _hung_up(sender: socket.socket) -> bool:
    try:
        return sender.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_head_without_end_is_cut_off(receiver: Receiver):
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=SECONDS) as sender:
        sender.sendall(b"POST /webhooks/nylas HTTP/1.1\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            sender.sendall(b"x" * 10**8)


def test_a_thousand_open_connections_do_not_stop_it(receiver: Receiver):
    idle = [socket.create_connection(("127.0.0.1", receiver.port), timeout=SECONDS) for _ in range(1_000)]
    try:
        for sender in idle[::2]:
            sender.sendall(b"POST /webhooks/nylas HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert receiver.health() == (200, None)
        assert receiver.post(notification()) == 200
    finally:
        for sender in idle:
            sender.close()


def test_a_healthy_receiver_says_so(receiver: Receiver):
    assert receiver.health() == (200, None)


def test_without_a_secret_challenges_are_answered_and_notifications_put_off(tmp_path: Path):
    with receiving(Settings(data=tmp_path), secrets="") as receiver:
        answer = receiver.session.get(f"{receiver.webhook}?challenge=abc", timeout=SECONDS)
        assert (answer.status_code, answer.text) == (200, "abc")
        assert receiver.post(notification()) == 503
        status, reason = receiver.health()
        assert status == 503
        assert "NYLAS_WEBHOOK_SECRET" in reason
        code, said = receiver.stop()

    assert code == 0
    assert "NYLAS_WEBHOOK_SECRET is not set" in said
    with Landing.open(Settings(data=tmp_path)) as landing:
        assert landing.count() == 0
        assert landing.silences(longer_than=0, until=time.time()) == []


def test_a_full_disk_is_503_and_nothing_answered_200_is_missing(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        settings = Settings(data=disk)
        with receiving(settings) as receiver:
            assert receiver.post(notification(1)) == 200
            filler = fill(disk)
            refused = [receiver.post(notification(number, size=200_000)) for number in range(3)]
            assert refused == [503, 503, 503]
            status, reason = receiver.health()
            assert (status, "full" in reason) == (503, True)
            filler.unlink()
            assert receiver.post(notification(2)) == 200
            assert receiver.health() == (200, None)
            code, said = receiver.stop()
        with Landing.open(settings) as landing:
            assert [row.body for row in landing.after(0, limit=10, max_bytes=MB)] == [
                notification(1),
                notification(2),
            ]
    assert code == 0
    assert "full" in said
    assert "n-0" not in said


def test_a_locked_database_is_503_until_it_is_free(tmp_path: Path):
    with receiving(Settings(data=tmp_path)) as receiver:
        assert receiver.post(notification(1)) == 200
        locking = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
        locking.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        assert receiver.post(notification(2)) == 503
        assert time.monotonic() - started < 10
        assert receiver.health()[0] == 503
        locking.execute("ROLLBACK")
        locking.close()

        assert receiver.post(notification(3)) == 200
        assert receiver.health() == (200, None)


def test_a_file_that_was_moved_away_is_503_until_it_is_back(tmp_path: Path):
    with receiving(Settings(data=tmp_path)) as receiver:
        assert receiver.post(notification(1)) == 200
        (tmp_path / "inbox.sqlite").rename(tmp_path / "moved")
        assert receiver.post(notification(2)) == 503
        status, reason = receiver.health()
        assert (status, "moved" in reason) == (503, True)
        (tmp_path / "moved").rename(tmp_path / "inbox.sqlite")
        assert receiver.post(notification(3)) == 200

    with Landing.open(Settings(data=tmp_path)) as landing:
        assert [row.body for row in landing.after(0, limit=9, max_bytes=MB)] == [
            notification(1),
            notification(3),
        ]


def test_a_table_that_is_gone_is_503(tmp_path: Path):
    with receiving(Settings(data=tmp_path)) as receiver:
        breaking = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
        breaking.execute("DROP TABLE notifications")
        assert receiver.post(notification(1)) == 503
        assert receiver.health()[0] == 503
        breaking.execute(
            "CREATE TABLE notifications "
            "(number INTEGER PRIMARY KEY AUTOINCREMENT, received_at, headers, body)"
        )
        breaking.close()
        assert receiver.post(notification(1)) == 200


def test_a_read_only_disk_is_told_at_the_start(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        code, said = ends_at_once(Settings(data=disk))

    assert code == 1
    assert "inbox.sqlite cannot be opened" in said
    assert "Next: " in said


def test_two_receivers_share_one_table(settings: Settings):
    with receiving(settings) as one, receiving(settings) as other:
        for number in range(10):
            assert one.post(notification(number)) == other.post(notification(number)) == 200
        assert (one.stop()[0], other.stop()[0]) == (0, 0)

    with Landing.open(settings) as landing:
        assert landing.count() == 20
        assert landing.silences(longer_than=1) == []
