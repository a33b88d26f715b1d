import base64
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.simulator import PROVIDERS, Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.cursors import Cursors
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline.simulator.service import Service
from mail_pipeline.simulator.world import World

ONE_PASS = ("google", "microsoft", "ews", "zimbra")


def _truth(six, provider):
    return list(six.simulator.truth(six.grant_id(provider)))


@pytest.mark.parametrize("provider", ONE_PASS)
@pytest.mark.parametrize("limit", [7, 50, 200])
def test_paging_gives_exactly_the_truth_newest_first(six, provider, limit):
    assert six.api.all(six.grant_id(provider), limit=limit) == _truth(six, provider)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(PROVIDERS),
    st.integers(0, 150),
    st.lists(st.integers(1, 200), min_size=1, max_size=5),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_any_page_sizes_give_the_truth_once(provider, messages, limits, irregular, seed):
    fleet = Fleet.generate(seed, [MailboxSpec(provider, messages=messages, body_mean=10)])
    world = World(fleet)
    service = Service(world, Cursors("secret"), irregular=irregular)
    (mailbox,) = world
    folders = [f.id for f in mailbox.folders] if provider in IMAP_FAMILY else [None]
    union: dict[str, set[str]] = {}
    for folder in folders:
        params = {} if folder is None else {"in": folder, "query_imap": "true"}
        seen, tokens = [], set()
        for turn in range(2 * messages + 5):
            result = service.messages(
                mailbox, "path", params | {"limit": str(limits[turn % len(limits)])}, 0.0
            )
            seen += result.envelope["data"]
            token = result.envelope.get("next_cursor")
            if not token:
                break
            assert token not in tokens
            tokens.add(token)
            params["page_token"] = token
        else:
            pytest.fail("the list did not end")
        assert len({m["id"] for m in seen}) == len(seen)
        for message in seen:
            union.setdefault(message["id"], set()).update(message["folders"])
    assert union == {m["id"]: set(m["folders"]) for m in (mailbox.message(n) for n in range(messages))}


def test_fifty_come_unless_asked_otherwise_and_two_hundred_at_most(serve):
    served = serve(
        Simulator(Fleet.generate(0, [MailboxSpec(messages=230)]), limits=Limits.off(), irregular=0)
    )
    grant_id = served.grant_id("google")
    assert len(served.api.mail(grant_id).json()["data"]) == 50
    assert len(served.api.mail(grant_id, limit=200).json()["data"]) == 200
    for limit in (201, 0, "many", "-5"):
        response = served.api.mail(grant_id, limit=limit)
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"
    text = served.api.mail(grant_id, limit=201).json()["error"]["message"]
    assert "limit must be lower than or equal to 200" in text


def test_pages_are_irregular_as_told(six):
    sizes: set[int] = set()
    ends: set[str | None] = set()
    for provider in (*ONE_PASS, *IMAP_FAMILY):
        for limit in (9, 12):
            pages = list(six.api.pages(six.grant_id(provider), limit=limit))
            assert all(len(page["data"]) <= limit for page in pages)
            sizes.update(len(page["data"]) - limit for page in pages[:-1])
            ends.add(pages[-1].get("next_cursor", "absent"))
    assert -9 in sizes
    assert len(sizes) > 3
    assert ends == {"absent", None, ""}


@pytest.mark.parametrize("irregular", [0.0, 1.0])
def test_some_lists_end_with_an_empty_page_where_told(irregular):
    last = set()
    for seed in range(30):
        fleet = Fleet.generate(seed, [MailboxSpec(messages=3, body_mean=10)])
        world = World(fleet)
        service = Service(world, Cursors("secret"), irregular=irregular)
        (mailbox,) = world
        params, token = {"limit": "10"}, None
        while token is None or token:
            envelope = service.messages(mailbox, "p", params, 0.0).envelope
            token = envelope.get("next_cursor") or ""
            params["page_token"] = token
        last.add(len(envelope["data"]))
    assert last == ({3} if irregular == 0 else {0, 1, 2, 3})


def test_an_empty_mailbox_is_an_empty_list(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec("ews", messages=0)])))
    assert served.api.all(served.grant_id("ews")) == []


def test_a_cursor_is_bound_to_all_its_parameters_but_the_limit(six):
    google, ews = six.grant_id("google"), six.grant_id("ews")
    asked = {"limit": 5, "folder": "INBOX", "select": "id"}
    token = next(p["next_cursor"] for p in six.api.pages(google, **asked))
    assert six.api.mail(google, **asked | {"limit": 9, "page_token": token}).status_code == 200
    for other in ({"select": "id,body"}, {"folder": "SENT"}, {"received_after": 5}, {"select": ""}):
        response = six.api.mail(google, **asked | other | {"page_token": token})
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert "page_token" in response.json()["error"]["message"]
    assert six.api.mail(ews, limit=5, select="id", page_token=token).status_code == 400


@pytest.mark.parametrize("token", ["x", "AAAA", "not base64!", "é", "A" * 400, "%"])
def test_a_garbage_cursor_answers_400(six, token):
    response = six.api.mail(six.grant_id("google"), page_token=token)
    assert response.status_code == 400
    assert "page_token" in response.json()["error"]["message"]


def test_a_cursor_survives_a_restart_of_the_simulator(serve):
    def fleet():
        return Fleet.generate(0, [MailboxSpec(messages=30)])

    first, second = serve(Simulator(fleet())), serve(Simulator(fleet()))
    grant_id = first.grant_id("google")
    pages = first.api.pages(grant_id, limit=10)
    token = next(page["next_cursor"] for page in pages if page["data"])
    answers = [
        served.api.mail(grant_id, limit=10, page_token=token).json()["data"] for served in (first, second)
    ]
    assert answers[0] == answers[1]


@given(st.sampled_from(ONE_PASS), st.data())
@settings(deadline=None, max_examples=25)
def test_a_time_window_excludes_the_seconds_it_names_and_ews_counts_days(six, provider, data):
    truth = _truth(six, provider)
    picked = sorted(data.draw(st.lists(st.sampled_from([m["date"] for m in truth]), min_size=2, max_size=2)))
    after, before = picked[0] + data.draw(st.integers(-1, 1)), picked[1] + data.draw(st.integers(-1, 1))
    got = six.api.all(six.grant_id(provider), limit=200, received_after=after, received_before=before)
    if provider == "ews":
        expected = [m for m in truth if after // DAY <= m["date"] // DAY <= before // DAY]
    else:
        expected = [m for m in truth if after < m["date"] < before]
    assert got == expected


@pytest.mark.parametrize("provider", ["google", "microsoft"])
def test_in_shows_one_folder_with_all_the_labels_of_its_messages(six, provider):
    grant_id = six.grant_id(provider)
    truth = _truth(six, provider)
    for folder in six.api.all(grant_id, "folders"):
        inside = [m for m in truth if folder["id"] in m["folders"]]
        assert six.api.all(grant_id, folder=folder["id"], limit=100) == inside
    assert six.api.mail(grant_id, folder="inbox").status_code == 404


def test_a_sparse_folder_of_a_huge_mailbox_comes_in_short_pages(serve):
    fleet = Fleet.generate(0, [MailboxSpec("imap", messages=20_000, body_mean=10)])
    served = serve(Simulator(fleet, limits=Limits.off(), irregular=0))
    grant_id = served.grant_id("imap")
    pages = list(served.api.pages(grant_id, folder="INBOX.Drafts", query_imap="true", limit=200, select="id"))
    assert len(pages) == 5
    ids = [record["id"] for page in pages for record in page["data"]]
    mailbox = fleet.mailbox(0)
    assert ids == [
        mailbox.message(number)["id"]
        for number in reversed(range(20_000))
        if "INBOX.Drafts" in mailbox.folders_of(number)
    ]


@pytest.mark.parametrize("provider", sorted(IMAP_FAMILY))
def test_the_imap_familys_plain_list_sees_ninety_days(six, provider):
    truth = _truth(six, provider)
    horizon = six.simulator.fleet.now - 90 * DAY
    recent = [m for m in truth if m["date"] >= horizon]
    assert 0 < len(recent) < len(truth)
    grant_id = six.grant_id(provider)
    assert six.api.all(grant_id, limit=200) == recent
    old = next(m for m in truth if m["date"] < horizon)
    assert six.api.message(grant_id, old["id"]).status_code == 404
    assert six.api.message(grant_id, recent[0]["id"]).json()["data"] == recent[0]


@pytest.mark.parametrize("provider", sorted(IMAP_FAMILY))
def test_query_imap_shows_a_whole_folder_and_only_that_folder(six, provider):
    grant_id = six.grant_id(provider)
    truth = _truth(six, provider)
    union: dict[str, set[str]] = {}
    for folder in six.api.all(grant_id, "folders"):
        inside = six.api.all(grant_id, folder=folder["id"], query_imap="true", limit=60)
        assert inside == [m | {"folders": [folder["id"]]} for m in truth if folder["id"] in m["folders"]]
        for message in inside:
            union.setdefault(message["id"], set()).update(message["folders"])
    assert union == {m["id"]: set(m["folders"]) for m in truth}
    assert any(len(folders) == 2 for folders in union.values())


def test_query_imap_needs_a_folder_and_an_imap_grant(six):
    assert six.api.mail(six.grant_id("imap"), query_imap="true").status_code == 400
    assert six.api.mail(six.grant_id("google"), query_imap="true", folder="INBOX").status_code == 400
    assert six.api.mail(six.grant_id("imap"), query_imap="perhaps", folder="INBOX").status_code == 400


def test_an_old_message_is_found_with_query_imap(six):
    grant_id = six.grant_id("imap")
    old = _truth(six, "imap")[-1]
    folder = old["folders"][0]
    assert six.api.message(grant_id, old["id"], query_imap="true").json()["data"] == old
    params = {"query_imap": "true", "in": folder}
    assert six.api.message(grant_id, old["id"], **params).json()["data"] == old | {"folders": [folder]}
    assert six.api.message(grant_id, old["id"], **params | {"in": "INBOX.Sent Nowhere"}).status_code == 404


def test_mail_in_no_folder_is_seen_by_the_plain_list_alone(serve):
    fleet = Fleet.generate(0, [MailboxSpec("imap", messages=400, plain_only=0.5)])
    served = serve(Simulator(fleet, limits=Limits.off()))
    grant_id = served.grant_id("imap")
    plain = {m["id"] for m in served.api.all(grant_id, limit=200)}
    in_folders = {
        m["id"]
        for folder in served.api.all(grant_id, "folders")
        for m in served.api.all(grant_id, folder=folder["id"], query_imap="true", limit=200)
    }
    stray = {m["id"] for m in served.simulator.truth(grant_id) if not m["folders"]}
    assert stray
    assert plain - in_folders == stray
    assert plain | in_folders == {m["id"] for m in served.simulator.truth(grant_id)}


def test_now_moves_the_ninety_days(serve):
    fleet = Fleet.generate(0, [MailboxSpec("imap", messages=400)])
    served = serve(Simulator(fleet, limits=Limits.off(), now=fleet.now + 89 * DAY))
    seen = served.api.all(served.grant_id("imap"), limit=200)
    expected = [m for m in served.simulator.truth(served.grant_id("imap")) if m["date"] >= fleet.now - DAY]
    assert seen == expected


@pytest.mark.parametrize("provider", ["google", "microsoft", "ews", "zimbra"])
def test_every_message_is_found_by_its_encoded_id(six, provider):
    for message in _truth(six, provider)[:40]:
        assert six.api.message(six.grant_id(provider), message["id"]).json()["data"] == message


def test_reserved_characters_survive_when_encoded_once(six):
    grant_id = six.grant_id("imap")
    recent = six.api.all(grant_id, limit=200)
    assert any("/" in m["id"] for m in recent)
    assert any("%2F" in m["id"] for m in recent)
    for message in recent:
        assert six.api.message(grant_id, message["id"]).json()["data"] == message


def test_an_id_that_is_not_encoded_or_encoded_twice_is_not_found(six):
    grant_id = six.grant_id("imap")
    recent = six.api.all(grant_id, limit=200)
    slash = next(m["id"] for m in recent if "a/b" in m["id"])
    assert six.api.get(f"/v3/grants/{grant_id}/messages/{slash}").status_code == 404
    percent = next(m["id"] for m in recent if "%2F" in m["id"])
    assert six.api.message(grant_id, percent.replace("%2F", "/")).status_code == 404
    twice = slash.replace("/", "%2F")
    assert six.api.message(grant_id, twice).status_code == 404


def test_ids_are_compared_byte_for_byte(six):
    for provider, change in (
        ("microsoft", str.lower),
        ("google", str.upper),
        ("imap", lambda text: text.strip("<>")),
    ):
        message = six.api.mail(six.grant_id(provider), limit=30).json()["data"][-1]
        assert six.api.message(six.grant_id(provider), change(message["id"])).status_code == 404


def test_select_leaves_the_other_fields_out(six):
    grant_id = six.grant_id("google")
    listed = six.api.all(grant_id, select="id, date,nothing", limit=100)
    assert {frozenset(m) for m in listed} == {frozenset({"id", "date"})}
    assert set(six.api.message(grant_id, listed[0]["id"], select="subject").json()["data"]) <= {"subject"}


def test_fields_bring_headers_tracking_and_mime(six):
    grant_id = six.grant_id("imap")
    answers = [m for m in six.api.all(grant_id, fields="include_headers", limit=200) if len(m["headers"]) > 3]
    names = [header["name"] for header in answers[0]["headers"]]
    assert names == ["Received", "Received", "Message-ID", "In-Reply-To", "References"]
    basic = six.api.message(grant_id, answers[0]["id"], fields="include_basic_headers").json()["data"]
    assert [h["name"] for h in basic["headers"]] == ["Message-ID", "In-Reply-To", "References"]
    assert basic["headers"][0]["value"] == answers[0]["id"]
    tracked = six.api.message(grant_id, answers[0]["id"], fields="include_tracking_options").json()["data"]
    assert tracked["tracking_options"]["opens"] is True
    raw = six.api.message(grant_id, answers[0]["id"], fields="raw_mime").json()["data"]
    assert set(raw) == {"id", "grant_id", "object", "raw_mime"}
    parsed = message_from_bytes(base64.urlsafe_b64decode(raw["raw_mime"]))
    assert parsed["From"] == answers[0]["from"][0]["email"]
    assert six.api.mail(grant_id, fields="everything").status_code == 400


def test_every_message_of_a_mailbox_has_mime(six):
    assert all(m["raw_mime"] for m in six.api.all(six.grant_id("google"), fields="raw_mime", limit=200))


@pytest.mark.parametrize("name", ["offset", "subject", "unread"])
def test_a_filter_the_simulator_does_not_serve_is_refused_not_ignored(six, name):
    response = six.api.mail(six.grant_id("google"), **{name: "1"})
    assert response.status_code == 400
    assert name in response.json()["error"]["message"]


def test_every_answer_has_its_id_and_its_date(six):
    response = six.api.mail(six.grant_id("google"), limit=1)
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert six.api.mail(six.grant_id("google")).headers["x-request-id"] != response.headers["x-request-id"]
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == pytest.approx(
        six.simulator.requests[-2].time, abs=1.01
    )


def test_the_clock_can_be_wrong_and_answers_slow(serve):
    fleet = Fleet.generate(0, [MailboxSpec("ews", messages=20)])
    served = serve(
        Simulator(fleet, clock_skew=-7_200.0, latency=Latency(base=0.05, per_message=0.01), irregular=0)
    )
    response = served.api.mail(served.grant_id("ews"), limit=10)
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == pytest.approx(
        served.simulator.requests[0].time - 7_200, abs=1.01
    )
    assert response.elapsed.total_seconds() >= 0.15


def test_answers_are_compressed_where_told_and_accepted(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec(messages=20)]), compress=True))
    grant_id = served.grant_id("google")
    compressed = served.api.mail(grant_id)
    assert compressed.headers["Content-Encoding"] == "gzip"
    plain = served.api.session.get(
        f"{served.api.url}/v3/grants/{grant_id}/messages", headers={"Accept-Encoding": "identity"}, timeout=10
    )
    assert "Content-Encoding" not in plain.headers
    assert plain.json()["data"] == compressed.json()["data"]
    assert "Content-Encoding" not in served.api.mail("nobody").headers
