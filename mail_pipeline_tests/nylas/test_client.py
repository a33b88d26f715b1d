import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail_pipeline.errors import StopRun
from mail_pipeline.nylas import (
    Cancelled,
    Clock,
    GrantRejected,
    KeyRejected,
    Limits,
    MalformedPage,
    MessageQuery,
    NotFound,
    NotNylas,
    NylasClient,
    ProviderUnavailable,
    Throttled,
    Unreachable,
    Unsupported,
)
from mail_pipeline_tests.nylas.scripted import (
    GRANT,
    KEY,
    JumpingClock,
    Reply,
    ScriptedServer,
    page,
    refusal,
    silent_until,
)


class Application:
    """An application's grants, served by offset as Nylas does; `changes` happen after a given page."""

    def __init__(self, count, *, most=200):
        self.grants = [{"id": f"g{number}", "provider": "imap"} for number in range(count)]
        self.most = most
        self.changes = {}
        self.pages = 0

    def __call__(self, seen):
        query = seen.query
        assert (query["sort_by"], query["order_by"]) == ("created_at", "asc")
        limit, offset = min(self.most, int(query["limit"])), int(query["offset"])
        found = self.grants[offset : offset + limit]
        self.pages += 1
        self.changes.get(self.pages, lambda: None)()
        return Reply({"request_id": "r", "data": found, "limit": limit, "offset": offset})


def ids(pages):
    return [record["id"] for each in pages for record in each.records]


@pytest.mark.parametrize("count", [0, 1, 2, 199, 200, 201, 399, 400, 401, 1_000])
def test_every_grant_comes_once_whatever_their_number(server, client, count):
    server.otherwise = Application(count)
    assert ids(client.grants()) == [f"g{number}" for number in range(count)]
    assert all(seen.query["limit"] == "200" for seen in server.seen)


def test_a_page_shorter_than_its_limit_ends_the_grants(server, client):
    server.otherwise = Application(6)
    assert len(ids(client.grants())) == 6
    assert len(server.seen) == 1


def test_a_server_that_lowers_the_limit_does_not_cut_the_grants_short(server, client):
    server.otherwise = Application(130, most=50)
    assert len(ids(client.grants())) == 130


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    deleted=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 699)), max_size=3), added=st.integers(0, 3)
)
def test_grants_deleted_or_added_during_the_scan_hide_no_other(server, client, deleted, added):
    application = server.otherwise = Application(700)
    kept = {grant["id"] for grant in application.grants} - {f"g{number}" for _, number in deleted}

    def change(after):
        gone = {f"g{number}" for at, number in deleted if at == after}
        application.grants = [grant for grant in application.grants if grant["id"] not in gone]
        if added == after:
            application.grants.append({"id": "new", "provider": "ews"})

    application.changes = {after: lambda after=after: change(after) for after in range(1, 5)}
    found = ids(client.grants())
    assert len(found) == len(set(found))
    assert kept <= set(found)


def test_a_grant_without_id_is_passed_on_and_does_not_stop_the_others(server, client):
    server.reply(page([{"provider": "imap"}, "text", {"id": 7}, {"id": "g"}, {"id": "g"}, None]))
    (only,) = client.grants()
    assert only.records == [{"provider": "imap"}, "text", {"id": 7}, {"id": "g"}, None]


def test_a_server_that_ignores_the_offset_does_not_hold_us_for_ever(server, client):
    everyone = [{"id": f"g{number}"} for number in range(200)]
    server.otherwise = lambda seen: page(everyone)
    with pytest.raises(MalformedPage, match="repeats itself"):
        list(client.grants())


def test_grants_keep_to_fifty_requests_a_second(server, client, clock):
    server.otherwise = Application(2_000)
    begun = clock.monotonic()
    list(client.grants())
    assert len(server.seen) > 10
    assert clock.monotonic() - begun >= (len(server.seen) - 1) / 50


def test_check_passes_where_nylas_answers_and_the_key_works(server, client):
    server.reply(page([{"id": "g"}]))
    client.check()
    assert server.seen[0].path == "/v3/grants"
    assert server.seen[0].query["limit"] == "1"


@pytest.mark.parametrize(
    ("reply", "error", "step"),
    [
        (refusal(401), KeyRejected, "NYLAS_API_KEY"),
        (refusal(403), KeyRejected, "NYLAS_API_KEY"),
        (refusal(404), NotNylas, "NYLAS_API_URI"),
        (Reply(b"404 page not found", 404), NotNylas, "NYLAS_API_URI"),
        (Reply(b"<html>Welcome to nginx!</html>"), NotNylas, "NYLAS_API_URI"),
        (Reply(b'{"hello": "world"}'), NotNylas, "NYLAS_API_URI"),
        (Reply(b"", 301, {"Location": "https://www.example.com/"}), NotNylas, "www.example.com"),
        (refusal(503), ProviderUnavailable, "later"),
        (refusal(429, headers={"Retry-After": "60"}), Throttled, "later"),
    ],
)
def test_check_says_what_is_wrong_within_ten_seconds(server, client, clock, reply, error, step):
    server.otherwise = lambda seen: reply
    begun = clock.monotonic()
    with pytest.raises(error, match=step):
        client.check()
    assert clock.monotonic() - begun <= 10


def test_check_stops_the_run_where_nobody_answers(clock):
    gone = ScriptedServer()
    gone.stop()
    with NylasClient(KEY, gone.uri, clock=clock) as client, pytest.raises(Unreachable) as caught:
        client.check()
    assert isinstance(caught.value, StopRun)
    assert "nothing accepts connections there" in str(caught.value)
    assert "NYLAS_API_URI" in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_connection_lost_in_the_middle_pauses_the_mailbox_and_not_the_run(clock):
    gone = ScriptedServer()
    with NylasClient(KEY, gone.uri, clock=clock) as client, client.grant(GRANT, "imap") as grant:
        gone.reply(page())
        grant.messages()
        gone.stop()
        with pytest.raises(ProviderUnavailable):
            grant.messages()


def test_a_401_on_a_grant_whose_key_works_says_reconnect(server, imap):
    server.reply(refusal(401), page([{"id": "g"}]))
    with pytest.raises(GrantRejected, match="reconnect") as caught:
        imap.messages()
    assert GRANT in str(caught.value)
    assert [seen.path for seen in server.seen] == [f"/v3/grants/{GRANT}/messages", "/v3/grants"]


def test_a_401_on_a_grant_whose_key_fails_too_stops_the_run(server, imap):
    server.reply(refusal(401), refusal(401))
    with pytest.raises(KeyRejected, match="NYLAS_API_KEY"):
        imap.messages()


def test_a_401_whose_key_cannot_be_checked_now_decides_nothing(server, imap):
    server.reply(refusal(401))
    server.otherwise = lambda seen: refusal(503)
    with pytest.raises(ProviderUnavailable):
        imap.messages()


def test_a_page_carries_its_cursor_its_costs_and_the_request_id(server, google):
    server.reply(page([{"id": "m"}], "next", Nylas_Gmail_Quota_Usage="10"))
    got = google.messages()
    assert (got.next_cursor, got.quota_units, got.request_id, got.requests) == ("next", 10, "r-1", 1)
    assert got.body_bytes == google.pace.body_bytes > 30


def test_a_request_id_only_in_the_headers_is_taken_from_there(server, imap):
    server.reply(Reply({"data": []}, headers={"x-request-id": "from-header"}))
    assert imap.messages().request_id == "from-header"


@pytest.mark.parametrize("wall", [0.0, 1_600_000_000.0, 4_000_000_000.0])
@pytest.mark.parametrize("latency", [0.0, 0.4, 3.0])
def test_a_page_is_dated_by_the_providers_clock_whatever_ours_says(server, wall, latency):
    clock = JumpingClock(wall_start=wall)
    server.now = lambda: 1_750_000_000 + clock.monotonic()

    def slow(seen):
        clock.advance(latency / 2)
        return page()

    server.otherwise = slow
    with NylasClient(KEY, server.uri, clock=clock) as client, client.grant(GRANT, "imap") as grant:
        for _ in range(8):
            got = grant.messages()
            sent = server.now() - latency / 2
            assert isinstance(got.observed_at, int)
            assert got.observed_at <= sent
            assert sent - got.observed_at <= latency / 2 + 2


def test_folders_follow_the_cursor_through_short_and_empty_pages(server, imap):
    server.reply(page([{"id": "a"}], "2"), page([], "3"), page([{"id": "b"}], ""))
    assert ids(imap.folders()) == ["a", "b"]
    assert [seen.query.get("page_token") for seen in server.seen] == [None, "2", "3"]
    assert server.seen[0].query["limit"] == "200"


def test_folders_that_go_in_circles_are_given_up(server, imap):
    server.reply(page([], "1"), page([], "2"), page([], "1"))
    with pytest.raises(MalformedPage, match="same cursor twice"):
        list(imap.folders())


def test_a_query_is_sent_whole_with_every_page(server, imap):
    query = MessageQuery("INBOX/Späße & mehr", True, 5, 9, ("id", "folders"))
    server.reply(page([], "c"), page())
    imap.messages(query)
    imap.messages(query, cursor="c/+=&", limit=30)
    first, second = (seen.query for seen in server.seen)
    assert first == {
        "limit": "200",
        "in": "INBOX/Späße & mehr",
        "query_imap": "true",
        "received_after": "5",
        "received_before": "9",
        "select": "id,folders",
    }
    assert second == first | {"limit": "30", "page_token": "c/+=&"}


def test_an_empty_query_asks_for_everything(server, imap):
    server.reply(page())
    imap.messages(MessageQuery())
    assert server.seen[0].query == {"limit": "200"}


@pytest.mark.parametrize("wrong", [{"folder_id": ""}, {"query_imap": True}])
def test_a_query_that_would_list_more_than_was_asked_is_refused(wrong):
    with pytest.raises(ValueError, match="folder_id"):
        MessageQuery(**wrong)


def test_one_message_comes_as_a_page_of_one(server, imap):
    server.reply(Reply({"request_id": "r", "data": {"id": "<a/b@c>"}}))
    assert imap.message("<a/b@c>", folder_id="INBOX", query_imap=True).records == [{"id": "<a/b@c>"}]
    assert server.seen[0].path == f"/v3/grants/{GRANT}/messages/%3Ca%2Fb%40c%3E"
    assert server.seen[0].query == {"in": "INBOX", "query_imap": "true"}


def test_an_empty_message_id_does_not_turn_into_a_list(server, imap):
    with pytest.raises(NotFound, match="message id"):
        imap.message("")
    assert server.seen == []


def test_exchange_is_asked_for_fifty_at_most(server, client):
    server.reply(page(), page())
    with client.grant(GRANT, "ews") as grant:
        grant.messages()
        grant.messages(limit=20)
    assert [seen.query["limit"] for seen in server.seen] == ["50", "20"]


def test_one_grant_comes_as_a_page_of_one(server, client):
    server.reply(Reply({"request_id": "r", "data": {"id": GRANT, "provider": "imap"}}))
    assert client.one_grant(GRANT).records == [{"id": GRANT, "provider": "imap"}]
    assert server.seen[0].target == f"/v3/grants/{GRANT}"


def test_a_grant_that_is_gone_is_not_taken_for_a_wrong_address(server, client):
    server.reply(refusal(404, "grant.not_found"))
    with pytest.raises(NotFound, match="404"):
        client.one_grant(GRANT)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b"404 page not found", 404), NotNylas),
        (refusal(401), KeyRejected),
        (refusal(400), Unsupported),
        (page([]), NotNylas),
    ],
)
def test_asking_for_one_grant_fails_as_any_request_of_the_application(server, client, reply, error):
    server.otherwise = lambda seen: reply
    with pytest.raises(error):
        client.one_grant(GRANT)


def test_an_empty_grant_id_does_not_turn_into_a_list_and_an_address_is_not_shown(server, client):
    with pytest.raises(NotFound, match="empty"):
        client.one_grant("")
    assert server.seen == []
    server.reply(refusal(404))
    with pytest.raises(NotFound) as caught:
        client.one_grant("alice@example.com")
    assert "alice" not in str(caught.value)


@pytest.mark.parametrize(("provider", "at_once"), [("microsoft", 4), ("imap", 1)])
def test_no_mailbox_gets_more_requests_at_once_than_its_provider_allows(server, provider, at_once):
    running, most, lock, full = 0, 0, threading.Lock(), threading.Barrier(at_once)

    def arrived():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(5)
        with lock:
            running -= 1

    server.otherwise = lambda seen: Reply({"data": {"id": "m"}}, before=arrived)
    clock = Clock()
    with NylasClient(KEY, server.uri, limits=Limits(item_interval=0), clock=clock) as client:

        def worker():
            with client.grant(GRANT, provider) as grant:
                for _ in range(2):
                    grant.message("m")

        workers = [threading.Thread(target=worker) for _ in range(8)]
        for each in workers:
            each.start()
        for each in workers:
            each.join(10)
    assert len(server.seen) == 16
    assert most == at_once


def test_cancel_reaches_a_wait_under_way_in_another_thread(server):
    server.otherwise = lambda seen: refusal(429, headers={"Retry-After": "600"})
    ended = []
    with NylasClient(KEY, server.uri) as client, client.grant(GRANT, "imap") as grant:

        def work():
            try:
                grant.messages()
            except Cancelled as error:
                ended.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        while grant.pace.held_until is None:
            assert worker.is_alive()
        client.cancel()
        worker.join(5)
        assert not worker.is_alive()
    assert len(ended) == 1


def test_cancel_ends_a_read_under_way_in_another_thread(server):
    arrived, over = threading.Event(), threading.Event()
    server.otherwise = lambda seen: silent_until(over, arrived)
    ended = []
    with NylasClient(KEY, server.uri, limits=Limits(patience=0)) as client:

        def work():
            with client.grant(GRANT, "imap") as grant:
                try:
                    grant.messages()
                except Cancelled as error:
                    ended.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        assert arrived.wait(10)
        client.cancel()
        worker.join(10)
        assert not worker.is_alive()
        over.set()
    assert len(ended) == 1
