"""The bytes of an attachment: as they were sent, or an error."""

import io
import threading
from dataclasses import replace

import pytest

from mail_pipeline.nylas import (
    Cancelled,
    GrantRejected,
    Limits,
    MalformedPage,
    NotFound,
    NylasClient,
    ProviderUnavailable,
    Throttled,
    TooLarge,
    Unsupported,
)
from mail_pipeline_tests.nylas.scripted import GRANT, KEY, Reply, refusal, silent_until
from mail_pipeline_tests.nylas.test_transport import HOSTILE, decoded

CONTENT = bytes(range(256)) * 4_000
MOST = 10**7
UNITS = "Nylas-Gmail-Quota-Usage"


def sent(content: bytes = CONTENT, units: int | None = None) -> Reply:
    headers = {"Content-Type": "application/octet-stream"}
    return Reply(content, headers=headers if units is None else headers | {UNITS: str(units)})


def fetched(grant, *, most: int = MOST, **asked):
    file = io.BytesIO(b"what was there before, and longer" * 100_000)
    got = grant.download("a1", "m1", file, most=most, **asked)
    assert got.size == len(file.getvalue())
    return file.getvalue(), got


@pytest.mark.parametrize("content", [CONTENT, b"", b"{}", b"<html>"], ids=["large", "empty", "json", "html"])
def test_the_bytes_come_as_they_were_sent(server, imap, content):
    server.reply(sent(content))
    assert fetched(imap)[0] == content
    [seen] = server.seen
    assert seen.path == f"/v3/grants/{GRANT}/attachments/a1/download"
    assert seen.query == {"message_id": "m1"}
    assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("identifier", HOSTILE)
def test_hostile_ids_arrive_byte_for_byte(server, imap, identifier):
    server.reply(sent())
    imap.download(identifier, identifier, io.BytesIO(), most=MOST, query_imap=True)
    path, _, query = server.seen[0].target.partition("?")
    assert decoded(path.split("/")[5]) == identifier
    assert path.count("/") == 6
    message_id, imap_asked = query.split("&")
    assert decoded(message_id.removeprefix("message_id=")) == identifier
    assert imap_asked == "query_imap=true"


PASSING = [
    refusal(408),
    refusal(429),
    refusal(500),
    refusal(503),
    refusal(403, "rateLimitExceeded"),
    Reply(b"<html>502</html>", 502),
    Reply(b"", 503),
    Reply(b"", 500, end="reset"),
    replace(sent(), end="half"),
    Reply(b"<html>Be right back</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
    Reply(b'{"error": "later"}', headers={"Content-Type": "application/json"}),
    sent(b""),
]


@pytest.mark.parametrize("trouble", PASSING)
def test_whatever_may_pass_is_tried_again_and_the_file_begun_anew(server, imap, trouble):
    server.reply(trouble, trouble, sent())
    content, got = fetched(imap, size=len(CONTENT))
    assert content == CONTENT
    assert got.requests == len(server.seen) == imap.pace.requests == 3


def test_a_file_may_be_html_or_json_where_its_message_says_so(server, imap):
    server.reply(Reply(b"<html>", headers={"Content-Type": "text/html"}))
    assert fetched(imap, media_type="text/html", size=6)[0] == b"<html>"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(404), NotFound),
        (refusal(400), Unsupported),
        (refusal(403, "insufficient_scopes"), GrantRejected),
    ],
)
def test_whatever_will_not_pass_is_asked_once(server, imap, clock, reply, error):
    server.reply(reply)
    with pytest.raises(error) as caught:
        fetched(imap)
    assert len(server.seen) == 1
    assert clock.waits == []
    assert "a1" not in str(caught.value)
    assert "m1" not in str(caught.value)


def test_what_stays_a_page_is_given_up_after_three_more_tries(server, imap):
    server.otherwise = lambda seen: Reply(b"<html>", headers={"Content-Type": "text/html"})
    with pytest.raises(MalformedPage, match="expected the bytes of a file"):
        fetched(imap)
    assert len(server.seen) == 4


def test_one_that_does_not_come_is_given_up_sooner_than_a_page(server, imap, clock):
    server.otherwise = lambda seen: refusal(500)
    begun = clock.monotonic()
    with pytest.raises(ProviderUnavailable):
        fetched(imap)
    assert 100 < clock.monotonic() - begun <= 180


def test_no_byte_is_read_of_what_is_said_to_be_too_large(server, imap):
    server.reply(sent(), sent())
    file = io.BytesIO(b"before")
    with pytest.raises(TooLarge, match=f"more than {len(CONTENT) - 1:,} bytes"):
        imap.download("a1", "m1", file, most=len(CONTENT) - 1)
    assert file.getvalue() == b"before"
    assert fetched(imap, most=len(CONTENT))[0] == CONTENT


def test_what_does_not_say_its_size_is_broken_off_when_it_grows_too_large(server, imap):
    endless = Reply(bytes(50 * 2**20), headers={"Content-Type": "x/y"}, end="unsized half")
    server.reply(endless)
    file = io.BytesIO()
    with pytest.raises(TooLarge):
        imap.download("a1", "m1", file, most=1_000)
    assert len(file.getvalue()) <= 2**20
    assert len(server.seen) == 1


def test_a_file_that_cannot_be_written_is_no_fault_of_the_connection(server, imap):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    server.reply(sent())
    with pytest.raises(OSError, match="No space left"):
        imap.download("a1", "m1", Full(), most=MOST)
    assert len(server.seen) == 1


def test_units_are_those_the_answer_says_else_googles_price(server, google):
    server.reply(sent(), sent(units=25))
    assert [fetched(google)[1].quota_units for _ in range(2)] == [5, 25]
    assert google.pace.quota_units == 30


def test_a_retry_after_holds_the_whole_grant(server, clock, imap):
    server.reply(refusal(429, headers={"Retry-After": "100"}), sent())
    begun = clock.monotonic()
    fetched(imap)
    assert clock.monotonic() - begun >= 100
    server.reply(refusal(429, headers={"Retry-After": "1000"}))
    with pytest.raises(Throttled) as caught:
        fetched(imap)
    assert caught.value.retry_after == 1000


def test_a_body_that_drips_for_too_long_is_asked_for_again(server, clock):
    limits = Limits(read_timeout=2, download_timeout=5)
    with (
        NylasClient(KEY, server.uri, limits=limits, clock=clock) as client,
        client.grant(GRANT, "ews") as ews,
    ):
        server.reply(replace(sent(), before=lambda: clock.advance(6)), sent())
        content, got = fetched(ews)
    assert (content, got.requests) == (CONTENT, 2)


def test_cancelling_ends_a_download_under_way(server):
    over, arrived = threading.Event(), threading.Event()
    server.reply(silent_until(over, arrived))
    with NylasClient(KEY, server.uri) as client, client.grant(GRANT, "imap") as grant:
        failures = []

        def download() -> None:
            try:
                grant.download("a1", "m1", io.BytesIO(), most=MOST)
            except Cancelled as error:
                failures.append(error)

        thread = threading.Thread(target=download)
        thread.start()
        assert arrived.wait(10)
        client.cancel()
        thread.join(10)
        over.set()
    assert len(failures) == 1
