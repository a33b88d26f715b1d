import gzip
import json
import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail_pipeline.nylas import KeyRejected, Limits, NotNylas
from mail_pipeline.nylas.transport import Answer, Broken, Transport, encoded
from mail_pipeline_tests.nylas.scripted import KEY, Reply, ScriptedServer, page, silent_until

HOSTILE = [
    "<CA+x/y#z%2F?a=b&c@mail.example>",
    "..",
    ".",
    "../../../v3/grants",
    "a b+c%20d",
    "//host/path",
    "ümläut😀",
    "half\ud83d",
    "new\nline\ttab\x00nul",
    "\\..\\x;p=1:!*'()~",
]


@pytest.fixture
def transport(server, clock, limits):
    with Transport(KEY, server.uri, clock=clock, limits=limits) as it:
        yield it


def decoded(segment: str) -> str:
    raw = bytearray()
    while segment:
        if segment[0] == "%":
            raw.append(int(segment[1:3], 16))
            segment = segment[3:]
        else:
            raw.append(ord(segment[0]))
            segment = segment[1:]
    return raw.decode("utf-8", "surrogatepass")


@pytest.mark.parametrize("identifier", HOSTILE)
def test_a_hostile_id_arrives_as_one_segment_byte_for_byte(server, transport, identifier):
    server.reply(page())
    assert isinstance(transport.get(f"/v3/grants/g/messages/{encoded(identifier)}", {}), Answer)
    target = server.seen[0].target
    segments = target.split("/")
    assert segments[:-1] == ["", "v3", "grants", "g", "messages"]
    assert not set(segments[-1]) & set("?#& ")
    assert segments[-1] not in (".", "..")
    assert decoded(segments[-1]) == identifier


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(identifier=st.text(st.characters(), min_size=1), value=st.text(st.characters(), min_size=1))
def test_any_id_and_any_value_arrive_byte_for_byte(server, transport, identifier, value):
    server.reply(page())
    transport.get(f"/v3/grants/g/messages/{encoded(identifier)}", {"in": value, "limit": 5})
    path, _, query = server.seen[-1].target.partition("?")
    assert decoded(path.removeprefix("/v3/grants/g/messages/")) == identifier
    name, _, sent = query.partition("&")[0].partition("=")
    assert (name, decoded(sent)) == ("in", value)


def test_the_key_is_sent_as_bearer_and_gzip_is_taken(server, transport):
    server.reply(page())
    transport.get("/v3/grants", {})
    headers = server.seen[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "gzip"
    assert headers["user-agent"].startswith("mail-pipeline/")


def test_a_netrc_file_does_not_replace_the_key(server, clock, limits, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.reply(page())
    with Transport(KEY, server.uri, clock=clock, limits=limits) as transport:
        transport.get("/v3/grants", {})
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_handed_back_and_never_followed(server, transport, status):
    elsewhere = ScriptedServer()
    try:
        server.reply(Reply(b"", status, {"Location": f"{elsewhere.uri}/v3/grants"}))
        answer = transport.get("/v3/grants", {})
        assert isinstance(answer, Answer)
        assert answer.status == status
        assert elsewhere.seen == []
        assert len(server.seen) == 1
    finally:
        elsewhere.stop()


def test_gzip_is_inflated(server, transport):
    server.reply(replace(page([{"id": "m"}] * 50), headers={"Content-Encoding": "gzip"}))
    answer = transport.get("/v3/grants", {})
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["data"] == [{"id": "m"}] * 50


def test_one_connection_serves_many_requests(server, transport):
    server.otherwise = lambda seen: page()
    for _ in range(5):
        assert isinstance(transport.get("/v3/grants", {}), Answer)
    assert len({seen.client for seen in server.seen}) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (replace(page(), end="reset"), "lost its connection"),
        (replace(page([{"id": "m"}] * 50), end="half"), "got half an answer"),
        (
            Reply(b"\x1f\x8bnot gzip at all", headers={"Content-Encoding": "gzip"}),
            "got an answer whose compression is damaged",
        ),
    ],
)
def test_a_broken_answer_says_how_it_broke(server, transport, reply, reason):
    server.reply(reply)
    outcome = transport.get("/v3/grants/g/messages/private-id", {"page_token": "private-token"})
    assert outcome == Broken(reason)


def test_silence_is_given_up_and_counts_as_too_slow(server, clock):
    hasty = Limits(connect_timeout=2, read_timeout=0.05)
    given_up = threading.Event()
    server.reply(replace(page(), before=lambda: given_up.wait(5)))
    with Transport(KEY, server.uri, clock=clock, limits=hasty) as transport:
        assert transport.get("/v3/grants", {}) == Broken("got no answer in time", too_slow=True)
    given_up.set()


def test_an_answer_that_takes_too_long_altogether_is_given_up(server, clock, limits):
    short = replace(limits, answer_timeout=300)
    server.reply(replace(page([{"id": "m"}]), before=lambda: clock.advance(301)))
    with Transport(KEY, server.uri, clock=clock, limits=short) as transport:
        assert transport.get("/v3/grants", {}) == Broken("was not through after 300 s", too_slow=True)


def test_a_body_beyond_the_bound_is_given_up_even_when_packed_small(server, clock, limits):
    small = replace(limits, largest_body=10_000)
    bomb = gzip.compress(b" " * 5_000_000)
    server.reply(Reply(bomb, headers={"Content-Encoding": "gzip"}))
    with Transport(KEY, server.uri, clock=clock, limits=small) as transport:
        assert transport.get("/v3/grants", {}) == Broken("sent more than 10000 bytes", too_slow=True)


def test_an_address_where_nothing_listens(clock, limits):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with Transport(KEY, uri, clock=clock, limits=limits) as transport:
        assert transport.get("/v3/grants", {}) == Broken(
            "could not be sent: nothing accepts connections there", unsent=True
        )


def test_a_host_that_does_not_exist(clock, limits):
    with Transport(KEY, "http://no-such-host.invalid", clock=clock, limits=limits) as transport:
        assert transport.get("/v3/grants", {}) == Broken(
            "could not be sent: the host's name is unknown", unsent=True
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_body_is_sent_as_json_with_its_length(server, transport, method):
    server.reply(page())
    body = {"description": "Späße", "status": "active"}
    assert isinstance(transport.send(method, "/v3/webhooks/w", {}, body), Answer)
    [seen] = server.seen
    assert (seen.method, seen.path, seen.json) == (method, "/v3/webhooks/w", body)
    assert seen.headers["content-type"] == "application/json"
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert seen.headers["authorization"] == f"Bearer {KEY}"


def test_a_get_after_a_post_has_no_body(server, transport):
    server.reply(page(), page())
    transport.send("POST", "/v3/webhooks", {}, {"a": 1})
    transport.get("/v3/webhooks", {})
    assert server.seen[1].body == b""
    assert "content-type" not in server.seen[1].headers


def test_what_was_sent_and_lost_is_not_taken_for_unsent(server, transport):
    server.reply(Reply(end="reset"))
    outcome = transport.send("POST", "/v3/webhooks", {}, {})
    assert isinstance(outcome, Broken)
    assert not outcome.unsent


@pytest.mark.parametrize("started", [True, False])
def test_breaking_off_ends_a_read_under_way_and_every_one_to_come(server, clock, started):
    arrived, over = threading.Event(), threading.Event()
    silent = silent_until(over, arrived)
    server.reply(*([page()] if started else []), silent, page())
    outcomes = []
    with Transport(KEY, server.uri, clock=clock, limits=Limits(read_timeout=20)) as transport:
        if started:
            transport.get("/v3/grants", {})
        worker = threading.Thread(target=lambda: outcomes.append(transport.get("/v3/grants", {})))
        worker.start()
        assert arrived.wait(10)
        transport.break_off()
        worker.join(10)
        assert not worker.is_alive()
        over.set()
        outcomes.append(transport.get("/v3/grants", {}))
    assert outcomes == [Broken("lost its connection")] * 2


def test_breaking_off_ends_a_body_that_stopped_half_way(clock):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
        outcomes = []
        with Transport(KEY, uri, clock=clock, limits=Limits(read_timeout=20)) as transport:
            worker = threading.Thread(target=lambda: outcomes.append(transport.get("/v3/grants", {})))
            worker.start()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                transport.break_off()
                worker.join(10)
                assert not worker.is_alive()
        [outcome] = outcomes
        assert isinstance(outcome, Broken)


def test_tls_against_a_server_without_it(server, clock, limits):
    with Transport(KEY, server.uri.replace("http:", "https:"), clock=clock, limits=limits) as transport:
        outcome = transport.get("/v3/grants", {})
    assert outcome == Broken("could not be sent: no trusted TLS connection")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "api.us.nylas.com",
        "ftp://x",
        "http://",
        "https://user:pw@host",
        "https://h:port",
        "https://h/?a=1",
        "http://[::1",
    ],
)
def test_what_cannot_be_an_address_is_refused_before_anything_is_sent(uri, clock, limits):
    with pytest.raises(NotNylas, match="NYLAS_API_URI") as caught:
        Transport(KEY, uri, clock=clock, limits=limits)
    assert "https://api.us.nylas.com" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", "/", "/v3", "/v3/"])
def test_the_address_may_end_as_people_write_it(server, clock, limits, ending):
    server.reply(page())
    with Transport(KEY, server.uri + ending, clock=clock, limits=limits) as transport:
        transport.get("/v3/grants", {})
    assert server.seen[0].target == "/v3/grants"


@pytest.mark.parametrize("key", ["", "  ", "nyk SECRET", "nyk\nSECRET", "nykSECRETé", "nyk\x00SECRET"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key, clock, limits):
    with pytest.raises(KeyRejected, match="NYLAS_API_KEY") as caught:
        Transport(key, "http://127.0.0.1:1", clock=clock, limits=limits)
    assert "SECRET" not in f"{caught.value!r}{caught.value}"
