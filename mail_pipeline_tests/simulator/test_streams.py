"""Every list beside the mail gives the truth once, whatever its pages look like."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.contacts import SOURCES
from mail_pipeline.simulator.cursors import Cursors
from mail_pipeline.simulator.pager import Pager
from mail_pipeline.simulator.problems import LACKING
from mail_pipeline.simulator.queries import paging

LISTS = ("contacts", "contacts/groups", "calendars", "threads")


@settings(deadline=None, max_examples=200)
@given(
    st.sets(st.integers(-50, 1 << 42), max_size=60),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.floats(0, 1),
    st.integers(0, 5),
    st.booleans(),
)
def test_any_list_is_cut_into_pages_that_hold_it_once(places, limits, irregular, seed, repeat):
    pager = Pager(Cursors("secret"), seed=seed, irregular=irregular)
    params: dict[str, str] = {}
    seen: list[int] = []
    fresh: list[int] = []
    tokens = set()
    for turn in range(2 * len(places) + 3):
        page = paging("path", params | {"limit": str(limits[turn % len(limits)])})
        shown, envelope = pager.cut(sorted(places), page, 0.0, repeat=repeat)
        assert len(shown) <= page.limit
        seen += shown
        fresh += [place for place in shown if place not in fresh]
        token = envelope.get("next_cursor")
        if not token:
            break
        assert token not in tokens
        tokens.add(token)
        params["page_token"] = token
    else:
        pytest.fail("the list did not end")
    assert fresh == sorted(places)
    assert repeat or seen == fresh


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_list_that_changes_between_pages_loses_and_doubles_nothing_that_stays(data):
    pager = Pager(Cursors("secret"), seed=1, irregular=0.5)
    places = set(range(0, 60, 2))
    stays = set(places)
    params: dict[str, str] = {}
    seen: list[int] = []
    for _ in range(200):
        shown, envelope = pager.cut(sorted(places), paging("path", params | {"limit": "4"}), 0.0)
        seen += shown
        token = envelope.get("next_cursor")
        if not token:
            break
        params["page_token"] = token
        gone = data.draw(st.sets(st.sampled_from(range(60)), max_size=3))
        places = places - gone | data.draw(st.sets(st.integers(60, 90), max_size=2))
        stays -= gone
    assert stays <= set(seen)
    assert len(seen) == len(set(seen))


def _key(record):
    return (record.get("calendar_id") or "", record["id"])


@pytest.mark.parametrize("kind", [*PROVIDERS, "zimbra", "virtual-calendar"])
@pytest.mark.parametrize("stream", ["contacts", "calendars", "threads"])
def test_lists_and_gets_give_the_truth(house, kind, stream):
    grant_id, api = house.grant_id(kind), house.api
    if kind in LACKING[stream]:
        refused = api.get(f"/v3/grants/{grant_id}/{stream}")
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        assert kind in refused.json()["error"]["message"]
        return
    passes: list[dict[str, str]] = [{}]
    if stream == "contacts":
        sources = ("address_book", "domain") if kind in {"ews", "zimbra"} else SOURCES
        passes = [{"source": source} for source in sources]
    listed = [record for params in passes for record in api.all(grant_id, stream, limit=19, **params)]
    truth = list(house.simulator.truth(grant_id, stream))
    assert sorted(listed, key=_key) == sorted(truth, key=_key)
    for record in truth[:3]:
        assert api.one(grant_id, stream, record["id"]).json()["data"] == record
        short = api.one(grant_id, stream, record["id"], select="id, object").json()["data"]
        assert short == {"id": record["id"], "object": record["object"]}
    assert api.one(grant_id, stream, "nobody").status_code == 404


@pytest.mark.parametrize(("what", "usual", "most"), [("contacts", 30, 200), ("threads", 20, 50)])
def test_pages_are_as_long_as_documented(serve, what, usual, most):
    fleet = Fleet.generate(0, [MailboxSpec("google", messages=400, contacts=400, oddity_every=0)])
    served = serve(Simulator(fleet, limits=Limits.off(), irregular=0))
    grant_id = served.grant_id("google")
    assert len(served.api.get(f"/v3/grants/{grant_id}/{what}").json()["data"]) == usual
    assert len(served.api.get(f"/v3/grants/{grant_id}/{what}", limit=most).json()["data"]) == most
    refused = served.api.get(f"/v3/grants/{grant_id}/{what}", limit=most + 1)
    assert refused.status_code == 400
    assert f"limit must be lower than or equal to {most}" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("what", "asked", "other"),
    [
        ("contacts", {"source": "address_book"}, {"source": "inbox"}),
        ("contacts", {}, {"select": "id"}),
        ("events", {"start": 0, "end": 2_000_000_000}, {"end": 2_000_000_001}),
        ("events/import", {"start": 0, "end": 2_000_000_000}, {"start": 1}),
        ("threads", {}, {"select": "id"}),
    ],
)
def test_a_cursor_is_bound_to_its_list(house, what, asked, other):
    grant_id, path = house.grant_id("google"), f"/v3/grants/{house.grant_id('google')}/{what}"
    calendar = {"calendar_id": "primary"} if what.startswith("events") else {}
    asked = {"limit": 4, **calendar, **asked}
    token = house.api.get(path, **asked).json()["next_cursor"]
    assert house.api.get(path, **asked, page_token=token).status_code == 200
    assert house.api.get(path, **asked | {"limit": 3}, page_token=token).status_code == 200
    refused = house.api.get(path, **asked | other, page_token=token)
    assert (refused.status_code, "page_token" in refused.json()["error"]["message"]) == (400, True)
    assert house.api.get(f"/v3/grants/{grant_id}/calendars", page_token=token).status_code == 400


@pytest.mark.parametrize(
    ("kind", "what", "params"),
    [
        ("google", "contacts", {"source": "address_book,inbox"}),
        ("google", "contacts", {"source": "everywhere"}),
        ("google", "contacts", {"recurse": "true", "group": "friends"}),
        ("google", "contacts", {"email": "a@x.example"}),
        ("ews", "contacts", {"source": "inbox"}),
        ("ews", "contacts", {"group": "any"}),
        ("google", "calendars", {"metadata_pair": "key1:x"}),
        ("google", "threads", {"subject": "Lunch"}),
        ("google", "events", {}),
        ("google", "events/import", {}),
        ("google", "events", {"calendar_id": "primary", "order_by": "start"}),
        ("google", "events", {"calendar_id": "primary", "event_type": "party"}),
        ("google", "events", {"calendar_id": "primary", "start": "2", "end": "1"}),
        ("google", "events", {"calendar_id": "primary", "start": "yesterday"}),
        ("google", "events/import", {"calendar_id": "primary", "show_cancelled": "true"}),
        ("microsoft", "events", {"calendar_id": "primary", "event_type": "default"}),
        ("icloud", "events", {"calendar_id": "primary"}),
        ("ews", "events/import", {"calendar_id": "primary"}),
    ],
)
def test_what_is_not_served_is_refused_and_not_ignored(house, kind, what, params):
    refused = house.api.get(f"/v3/grants/{house.grant_id(kind)}/{what}", **params)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_log_tells_streams_apart_and_what_was_asked(house):
    grant_id = house.grant_id("google")
    before = len(house.simulator.requests)
    house.api.get(f"/v3/grants/{grant_id}/contacts/groups", limit=2)
    params = {"calendar_id": "primary", "event_type": ["default", "focusTime"]}
    house.api.get(f"/v3/grants/{grant_id}/events", **params)
    groups, events = house.simulator.requests[before:]
    assert (groups.operation, groups.limit, groups.grant_id) == ("contact_groups", 2, grant_id)
    assert events.operation == "events"
    assert events.query == {"calendar_id": "primary", "event_type": "default,focusTime"}


def test_an_expired_grant_answers_401_to_every_stream(serve):
    fleet = Fleet.generate(0, [MailboxSpec("google", messages=1)])
    served = serve(Simulator(fleet, limits=Limits.off()))
    grant_id = served.grant_id("google")
    served.simulator.provider.expire(grant_id)
    for what in (*LISTS, "events?calendar_id=primary", "contacts/x", "threads/x"):
        assert served.api.get(f"/v3/grants/{grant_id}/{what}").status_code == 401


def test_the_truth_is_asked_for_by_stream_over_http_too(house):
    grant_id = house.grant_id("google")
    answer = house.api.get(f"/simulator/truth/{grant_id}/events")
    assert len(answer.content.splitlines()) == len(list(house.simulator.truth(grant_id, "events"))) == 240
    assert house.api.get(f"/simulator/truth/{grant_id}/weather").status_code == 404
    assert house.api.get("/simulator/truth/nobody/events").status_code == 404
    with pytest.raises(ValueError, match="streams are"):
        house.simulator.truth(grant_id, "weather")
    with pytest.raises(KeyError):
        house.simulator.truth("nobody", "events")


@pytest.mark.parametrize("kind", ["google", "microsoft"])
def test_a_large_account_is_made_at_once_and_listed_exactly(kind):
    spec = MailboxSpec(kind, messages=0, contacts=10_000, calendars=30, events=20_000)
    simulator = Simulator(Fleet.generate(1, [spec]))
    grant_id = simulator.fleet.mailbox(0).grant.id
    begin = time.process_time()
    events = [(event["calendar_id"], event["id"]) for event in simulator.truth(grant_id, "events")]
    contacts = {contact["id"] for contact in simulator.truth(grant_id, "contacts")}
    # Ten times what it takes: this holds seconds apart from minutes.
    assert time.process_time() - begin < 10
    assert (len(set(events)), len(events), len(contacts)) == (20_000, 20_000, 10_000)
    assert len(list(simulator.truth(grant_id, "calendars"))) == 30
    assert len({calendar for calendar, _ in events}) == 25


def test_the_same_seed_gives_the_same_account():
    def account(seed):
        fleet = Fleet.generate(seed, [MailboxSpec(kind, messages=20) for kind in PROVIDERS])
        simulator = Simulator(fleet)
        return [
            list(simulator.truth(mailbox.grant.id, stream))
            for mailbox in fleet
            for stream in ("contacts", "calendars", "events", "threads")
        ]

    assert account(1) == account(1) != account(2)


def test_mail_files_come_without_the_rest_of_an_account(serve, tmp_path):
    path = tmp_path / "mail.mbox"
    text = "From a@x Thu Jan  1 12:00:00 2026\nMessage-ID: <1@x>\nSubject: One\nFrom: a@x.example\n"
    path.write_text(text + "Date: Thu, 01 Jan 2026 12:00:00 +0000\n\nHello\n\n")
    served = serve(Simulator(Fleet.from_mail([path], provider="google"), limits=Limits.off()))
    grant_id = served.grant_id("google")
    assert [served.api.all(grant_id, what) for what in ("contacts", "calendars")] == [[], []]
    [thread] = served.api.all(grant_id, "threads")
    assert len(thread["message_ids"]) == 1
