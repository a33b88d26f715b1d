import threading
from dataclasses import replace
from email.utils import formatdate

import pytest

from mail_pipeline.nylas import (
    Cancelled,
    CursorRejected,
    GrantRejected,
    Limits,
    MalformedPage,
    MessageQuery,
    NotFound,
    NylasClient,
    ProviderUnavailable,
    Throttled,
    Unsupported,
)
from mail_pipeline_tests.nylas.scripted import GRANT, KEY, Reply, page, refusal

EVERYTHING = MessageQuery()
PASSING = [
    refusal(408),
    refusal(429),
    refusal(500),
    refusal(502),
    refusal(503),
    refusal(504),
    refusal(403, "rateLimitExceeded"),
    Reply(b"<html>502</html>", 502),
    Reply(b"", 503),
    Reply(b"", 500, end="reset"),
    replace(page([{"id": "m"}] * 30), end="half"),
    replace(page([{"id": "m"}] * 30), end="unsized half"),
    Reply(b"<html>Be right back</html>"),
    Reply(b""),
    Reply(b'{"data": null}'),
    Reply(b'{"request_id": "r", "data": {"messages": []}}'),
    Reply(b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize("trouble", PASSING)
def test_whatever_may_pass_is_tried_again_until_the_page_comes(server, imap, trouble):
    server.reply(trouble, trouble, page([{"id": "m"}], "next"))
    got = imap.messages(EVERYTHING, cursor=None, limit=None)
    assert got.records == [{"id": "m"}]
    assert got.next_cursor == "next"
    assert got.requests == len(server.seen) == imap.pace.requests == 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(400), Unsupported),
        (refusal(422), Unsupported),
        (refusal(403, "insufficient_scopes"), GrantRejected),
        (refusal(423), GrantRejected),
        (refusal(404, "grant.not_found"), NotFound),
    ],
)
def test_whatever_will_not_pass_is_asked_once(server, imap, clock, reply, error):
    server.reply(reply)
    with pytest.raises(error):
        imap.messages(EVERYTHING)
    assert len(server.seen) == 1
    assert clock.waits == []


def test_a_refused_cursor_is_said_so_at_once(server, imap):
    server.reply(refusal(400, "invalid_request_error", "page_token is invalid"))
    with pytest.raises(CursorRejected):
        imap.messages(EVERYTHING, cursor="old")
    assert server.seen[0].query["page_token"] == "old"


@pytest.mark.parametrize("form", ["seconds", "date", "words"])
def test_the_providers_own_waiting_time_holds_the_whole_grant(server, clock, client, form):
    """A date counts from the provider's clock; ours is years off."""
    provider_time = 1_900_000_000
    server.now = lambda: provider_time + clock.monotonic()
    until = provider_time + clock.monotonic() + 120
    refused = {
        "seconds": refusal(429, headers={"Retry-After": "120"}),
        "date": refusal(429, headers={"Retry-After": formatdate(until, usegmt=True)}),
        "words": refusal(429, "quota_exceeded_error", "Retry after 2030-03-17T19:12:00Z"),
    }[form]
    assert formatdate(until, usegmt=True) == "Sun, 17 Mar 2030 19:12:00 GMT"
    server.reply(refused, page(), page())
    with client.grant(GRANT, "imap") as one, client.grant(GRANT, "imap") as other:
        begun = clock.monotonic()
        one.messages(EVERYTHING)
        assert 119 <= clock.monotonic() - begun < 123
        one.pace.hold(50)
        assert other.pace.held_until == pytest.approx(clock.time() + 50)
        other.messages(EVERYTHING)
    assert clock.monotonic() - begun > 169


def test_a_wait_longer_than_the_patience_pauses_the_mailbox_at_once(server, imap, clock):
    server.reply(refusal(429, headers={"Retry-After": "3600"}))
    with pytest.raises(Throttled) as caught:
        imap.messages(EVERYTHING)
    assert caught.value.retry_after == 3600
    assert clock.waits == []
    with pytest.raises(Throttled, match="was not sent") as caught:
        imap.messages(EVERYTHING)
    assert caught.value.retry_after == pytest.approx(3600)
    assert len(server.seen) == 1


def test_no_wait_beyond_a_day_is_believed(server, imap):
    server.reply(refusal(429, headers={"Retry-After": "9" * 400}))
    with pytest.raises(Throttled) as caught:
        imap.messages(EVERYTHING)
    assert caught.value.retry_after == 86_400


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(429), Throttled),
        (refusal(503), ProviderUnavailable),
        (Reply(end="reset"), ProviderUnavailable),
    ],
)
def test_patience_ends_with_what_was_last_seen(server, imap, clock, reply, error):
    server.otherwise = lambda seen: reply
    begun = clock.monotonic()
    with pytest.raises(error) as caught:
        imap.messages(EVERYTHING)
    assert 800 < clock.monotonic() - begun <= 900
    assert "run the backfill again later" in str(caught.value)
    assert caught.value.retry_after is None
    assert imap.pace.held_until is None
    assert 15 < len(server.seen) < 200


def test_backoff_waits_longer_from_failure_to_failure(server, imap, clock):
    server.otherwise = lambda seen: refusal(500)
    with pytest.raises(ProviderUnavailable):
        imap.messages(EVERYTHING)
    assert max(clock.waits) <= 60
    assert sum(clock.waits[:3]) < sum(clock.waits[-6:])


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"data": {"a": 1}}'])
def test_an_answer_that_stays_unreadable_is_given_up_after_three_more_tries(server, imap, body):
    server.otherwise = lambda seen: Reply(body)
    with pytest.raises(MalformedPage, match="expected") as caught:
        imap.messages(EVERYTHING)
    assert len(server.seen) == 4
    assert "$" in str(caught.value)


def test_a_504_halves_the_page_for_this_grant_alone(server, client):
    server.reply(refusal(504), refusal(504), page(), page(), page())
    with client.grant(GRANT, "imap") as slow, client.grant("another-grant", "imap") as other:
        slow.messages(EVERYTHING)
        slow.messages(EVERYTHING)
        other.messages(EVERYTHING)
    assert [seen.query["limit"] for seen in server.seen] == ["200", "100", "50", "50", "200"]


def test_a_504_never_brings_the_page_under_five(server, imap):
    server.reply(*[refusal(504)] * 8, page())
    imap.messages(EVERYTHING)
    assert [seen.query["limit"] for seen in server.seen][-3:] == ["5", "5", "5"]


def test_a_page_size_is_remembered_when_the_grant_is_opened_again(server, client):
    server.reply(refusal(504), page(), page())
    for _ in range(2):
        with client.grant(GRANT, "imap") as grant:
            grant.messages(EVERYTHING)
    assert [seen.query["limit"] for seen in server.seen] == ["200", "100", "100"]


def test_silence_halves_the_page_too(server, clock):
    with (
        NylasClient(KEY, server.uri, limits=Limits(read_timeout=0.05), clock=clock) as client,
        client.grant(GRANT, "imap") as grant,
    ):
        over = threading.Event()
        server.reply(replace(page(), before=lambda: over.wait(5)), page())
        grant.messages(EVERYTHING)
        over.set()
    assert [seen.query["limit"] for seen in server.seen] == ["200", "100"]


def test_cancelling_stops_between_two_tries(server, client):
    server.reply(replace(refusal(503), before=client.cancel))
    with client.grant(GRANT, "imap") as grant, pytest.raises(Cancelled):
        grant.messages(EVERYTHING)
    assert len(server.seen) == 1


def test_google_units_are_taken_from_the_header(server, google):
    server.reply(page([{"id": "m"}] * 10, Nylas_Gmail_Quota_Usage="205"))
    assert google.messages(EVERYTHING).quota_units == 205
    assert google.pace.quota_units == 205


def test_without_the_header_google_units_are_estimated(server, google):
    server.reply(page([{"id": "m"}] * 10), Reply({"request_id": "r", "data": {"id": "m"}}))
    assert google.messages(EVERYTHING).quota_units == 55
    assert google.message("m").quota_units == 5


def test_other_providers_spend_no_units_and_are_not_slowed_by_them(server, imap, clock):
    server.otherwise = lambda seen: page([{"id": "m"}] * 200)
    for _ in range(3):
        assert imap.messages(EVERYTHING).quota_units == 0
    assert sum(clock.waits) == pytest.approx(0.4)


def test_the_next_google_page_waits_for_what_the_last_one_cost(server, google, clock):
    server.otherwise = lambda seen: page([{"id": "m"}] * 100, Nylas_Gmail_Quota_Usage="505")
    begun = clock.monotonic()
    for _ in range(3):
        google.messages(EVERYTHING)
    assert clock.monotonic() - begun == pytest.approx(2 * 505 / 150)


def test_google_never_has_to_refuse_a_mailbox_read_within_its_quota(server, clock):
    limit, left = 250, [3_000]
    spent: list[tuple[float, int]] = []
    refusals = []

    def gmail(seen):
        clock.advance(0.3)
        now, found = clock.monotonic(), min(left[0], int(seen.query["limit"]))
        units = 5 + 5 * found
        if sum(cost for at, cost in spent if at > now - 60) + units > 60 * limit:
            refusals.append(seen)
            return refusal(429)
        spent.append((now, units))
        left[0] -= found
        return page([{"id": "m"}] * found, "on" if left[0] else None, Nylas_Gmail_Quota_Usage=str(units))

    server.otherwise = gmail
    limits, cursor = Limits(google_units_per_second=0.95 * limit), None
    begun = clock.monotonic()
    with (
        NylasClient(KEY, server.uri, limits=limits, clock=clock) as client,
        client.grant(GRANT, "google") as grant,
    ):
        while cursor or not spent:
            cursor = grant.messages(EVERYTHING, cursor=cursor).next_cursor
    assert left == [0]
    assert refusals == []
    assert clock.monotonic() - begun <= 1.1 * sum(cost for _, cost in spent) / limit


def test_a_refusal_for_quota_costs_nothing_and_a_failure_what_was_expected(server, google):
    server.reply(refusal(429), refusal(500), page([{"id": "m"}] * 200))
    google.messages(EVERYTHING)
    failed_page = int(server.seen[1].query["limit"])
    assert google.pace.quota_units == 0 + (5 + 20 * failed_page) + (5 + 5 * 200)


@pytest.mark.parametrize("odd", ["-5", "many", "1e9", "9999999999999", ""])
def test_an_odd_units_header_is_not_believed(server, google, odd):
    server.reply(page([{"id": "m"}] * 2, Nylas_Gmail_Quota_Usage=odd))
    assert google.messages(EVERYTHING).quota_units == 15
