"""Windows, types, series and calendars that hide: what a list of events shows, and what it does not."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.agenda import EVENT_TYPES, bounds
from mail_pipeline.simulator.asked import month_after
from mail_pipeline.simulator.rhythm import DAY, YEAR

WITH_CALENDARS = ("google", "microsoft", "ews", "icloud", "zimbra", "virtual-calendar")
STEP = {"microsoft": 1_825, "icloud": 184}


def _calendars(house, grant_id):
    closed = [c["id"] for c in house.simulator.truth(grant_id, "calendars") if c["read_only"]]
    return [c["id"] for c in house.api.all(grant_id, "calendars") if c["id"] not in closed], closed


def _windows(house, kind):
    """Yield windows that cover everything, each as long as the provider allows."""
    now = house.simulator.fleet.now
    start, end = now - int(7 * YEAR), now + int(2 * YEAR)
    while start < end:
        yield start, min(start + STEP.get(kind, 4_000) * DAY, end)
        start += STEP.get(kind, 4_000) * DAY


def _mirror(house, kind, what="events", **params):
    """List every calendar in windows and return the events by (calendar, id)."""
    grant_id, found = house.grant_id(kind), {}
    for calendar_id in _calendars(house, grant_id)[0]:
        for start, end in _windows(house, kind):
            asked = {"calendar_id": calendar_id, "start": start, "end": end, "limit": 50, **params}
            for event in house.api.all(grant_id, what, **asked):
                assert event["calendar_id"] in {calendar_id, None}
                found[calendar_id, event["id"]] = event | {"calendar_id": calendar_id}
    return found


def _truth(house, kind):
    events = house.simulator.truth(house.grant_id(kind), "events")
    return {(event["calendar_id"], event["id"]): event for event in events}


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_windows_over_all_calendars_give_the_truth(house, kind):
    cancelled = {} if kind in {"icloud", "ews"} else {"show_cancelled": "true"}
    types = {"event_type": EVENT_TYPES} if kind == "google" else {}
    assert _mirror(house, kind, **cancelled, **types) == _truth(house, kind)


@pytest.mark.parametrize("kind", ["google", "microsoft"])
def test_an_import_gives_the_truth_too(house, kind):
    assert _mirror(house, kind, "events/import") == _truth(house, kind)


def test_an_import_is_unsorted_and_repeats_some_at_the_edges_of_pages(house):
    window = {
        "calendar_id": "primary",
        "start": house.simulator.fleet.now - int(6 * YEAR),
        "end": 2_000_000_000,
    }
    listed = house.api.all(house.grant_id("google"), "events/import", **window, limit=11)
    ids = [event["id"] for event in listed]
    starts = [bounds(event["when"])[0] for event in listed]
    assert len(ids) > len(set(ids))
    assert starts != sorted(starts)
    assert house.api.get(f"/v3/grants/{house.grant_id('google')}/events/import", **window, limit=500).json()[
        "data"
    ]
    refused = house.api.get(f"/v3/grants/{house.grant_id('google')}/events/import", **window, limit=501)
    assert "lower than or equal to 500" in refused.json()["error"]["message"]


@settings(deadline=None, max_examples=25)
@given(st.floats(-5, 1), st.integers(0, 900))
def test_a_window_shows_what_any_part_of_lies_in_it(house, years, days):
    start = house.simulator.fleet.now + int(years * YEAR)
    end = start + days * DAY
    window = {"calendar_id": "primary", "start": start, "end": end, "show_cancelled": "true", "limit": 200}
    listed = {event["id"] for event in house.api.all(house.grant_id("microsoft"), "events", **window)}
    primary = next(calendar for calendar, _ in _truth(house, "microsoft"))
    for (calendar, event_id), event in _truth(house, "microsoft").items():
        if calendar == primary and not event.get("recurrence"):
            first, last = bounds(event["when"])
            assert (event_id in listed) == (first < end and max(last, first + 1) > start)


def test_without_a_window_the_next_month_is_shown(house):
    now = house.simulator.fleet.now
    for what in ("events", "events/import"):
        path, params = (
            f"/v3/grants/{house.grant_id('google')}/{what}",
            {"calendar_id": "primary", "limit": 200},
        )
        named = {"start": now, "end": month_after(now)}
        default = house.api.all(house.grant_id("google"), what, **params)
        assert default
        assert {e["id"] for e in default} == {
            e["id"] for e in house.api.all(house.grant_id("google"), what, **params, **named)
        }
        assert house.api.get(path, **params, start=month_after(now) + 1).status_code == 400


@pytest.mark.parametrize(
    ("day", "later"),
    [("2026-01-31", "2026-02-28"), ("2026-12-15", "2027-01-15"), ("2028-01-30", "2028-02-29")],
)
def test_a_month_later_is_the_same_day_or_the_last_one(day, later):
    moment, expected = (
        int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in (day, later)
    )
    assert month_after(moment) == expected


@pytest.mark.parametrize(("kind", "days"), STEP.items())
def test_a_window_is_as_long_as_the_provider_allows(house, kind, days):
    grant_id = house.grant_id(kind)
    calendar_id = _calendars(house, grant_id)[0][0]
    path, now = f"/v3/grants/{grant_id}/events", house.simulator.fleet.now
    window = {"calendar_id": calendar_id, "start": now - days * DAY}
    assert house.api.get(path, **window, end=now).status_code == 200
    refused = house.api.get(path, **window, end=now + 1)
    assert (refused.status_code, f"{days} days" in refused.json()["error"]["message"]) == (400, True)


def test_google_shows_regular_events_unless_asked_for_others(house):
    plain, every = _mirror(house, "google"), _mirror(house, "google", event_type=EVENT_TYPES)
    by_type = [_mirror(house, "google", event_type=kind) for kind in EVENT_TYPES]
    assert plain == by_type[0]
    assert sum(map(len, by_type)) == len(every) > len(plain)
    assert all(by_type)


@pytest.mark.parametrize("kind", ["google", "microsoft", "zimbra"])
def test_cancelled_events_are_shown_on_request_and_those_of_a_series_always(house, kind):
    types = {"event_type": EVENT_TYPES} if kind == "google" else {}
    hidden = set(_mirror(house, kind, show_cancelled="true", **types)) - set(_mirror(house, kind, **types))
    truth = _truth(house, kind)
    cancelled = {key for key, event in truth.items() if event["status"] == "cancelled"}
    assert hidden == {key for key in cancelled if "master_event_id" not in truth[key]}
    assert hidden
    assert cancelled - hidden


@pytest.mark.parametrize("kind", ["icloud", "ews"])
def test_some_providers_know_cancelled_occurrences_only(house, kind):
    cancelled = [event for event in _truth(house, kind).values() if event["status"] == "cancelled"]
    assert cancelled
    assert all(event["master_event_id"] for event in cancelled)
    path = f"/v3/grants/{house.grant_id(kind)}/events"
    calendar_id = _calendars(house, house.grant_id(kind))[0][0]
    assert house.api.get(path, calendar_id=calendar_id, show_cancelled="true").status_code == 400


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_series_come_with_occurrences_that_name_them(house, kind):
    truth = _truth(house, kind)
    children = {key: event for key, event in truth.items() if event.get("master_event_id")}
    for (calendar, event_id), event in children.items():
        master = truth[calendar, event["master_event_id"]]
        assert master["recurrence"][0].startswith("RRULE:FREQ=WEEKLY")
        first = bounds(master["when"])[0]
        assert (event["original_start_time"] - first) % (7 * DAY) == 0
        if kind == "google":
            moment = datetime.fromtimestamp(event["original_start_time"], UTC)
            assert event_id == f"{master['id']}_{moment:%Y%m%dT%H%M%SZ}"
    kinds = Counter(
        (event["status"] == "cancelled", bounds(event["when"])[0] == event["original_start_time"])
        for event in children.values()
    )
    assert set(kinds) == {(False, True), (True, True), (False, False)}


def test_the_instances_of_one_series_are_asked_for_by_its_id(house):
    truth = _truth(house, "google")
    (calendar, _), child = next((key, event) for key, event in truth.items() if event.get("master_event_id"))
    master = child["master_event_id"]
    window = {"calendar_id": calendar, "start": 0, "end": 4_000_000_000}
    listed = house.api.all(house.grant_id("google"), "events", **window, master_event_id=master)
    assert {event["id"] for event in listed} == {
        event["id"]
        for (place, _), event in truth.items()
        if place == calendar and event.get("master_event_id") == master
    }


@pytest.mark.parametrize("kind", ["google", "microsoft", "ews"])
def test_events_are_asked_for_by_when_they_changed(house, kind):
    grant_id = house.grant_id(kind)
    calendar = _calendars(house, grant_id)[0][0]
    truth = [event for (place, _), event in _truth(house, kind).items() if place == calendar]
    middle = sorted(event["updated_at"] for event in truth)[len(truth) // 2]
    window = {"calendar_id": calendar, "start": house.simulator.fleet.now - 1_800 * DAY, "limit": 50}
    window["end"] = house.simulator.fleet.now
    everything = {e["id"]: e["updated_at"] for e in house.api.all(grant_id, "events", **window)}
    for name, wanted in (("updated_after", middle.__lt__), ("updated_before", middle.__gt__)):
        listed = {e["id"] for e in house.api.all(grant_id, "events", **window, **{name: middle})}
        assert listed == {event_id for event_id, updated in everything.items() if wanted(updated)}
        assert listed


def test_icloud_says_neither_when_it_changed_nor_lists_by_it(house):
    assert {event["updated_at"] for event in _truth(house, "icloud").values()} == {None}
    calendar = _calendars(house, house.grant_id("icloud"))[0][0]
    path = f"/v3/grants/{house.grant_id('icloud')}/events"
    assert house.api.get(path, calendar_id=calendar, updated_after=1).status_code == 400


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_a_calendar_that_hides_its_events_answers_404(house, kind):
    grant_id = house.grant_id(kind)
    _, [closed] = _calendars(house, grant_id)
    assert house.api.one(grant_id, "calendars", closed).status_code == 200
    for what in ("events", "events/any"):
        refused = house.api.get(f"/v3/grants/{grant_id}/{what}", calendar_id=closed)
        assert (refused.status_code, refused.json()["error"]["type"]) == (404, "not_found_error")
    assert house.api.get(f"/v3/grants/{grant_id}/events", calendar_id="nowhere").status_code == 404


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_one_event_is_found_in_its_calendar_and_in_no_other(house, kind):
    grant_id, (open_calendars, _) = house.grant_id(kind), _calendars(house, house.grant_id(kind))
    truth = _truth(house, kind)
    for (calendar, event_id), event in list(truth.items())[::40]:
        path = ("events", event_id)
        found = house.api.one(grant_id, *path, calendar_id=calendar).json()["data"]
        assert found | {"calendar_id": calendar} == event
        assert house.api.one(grant_id, *path, calendar_id=calendar, select="id").json()["data"] == {
            "id": event_id
        }
        assert house.api.one(grant_id, *path).status_code == 400
        for other in open_calendars:
            expected = 200 if (other, event_id) in truth else 404
            assert house.api.one(grant_id, *path, calendar_id=other).status_code == expected
    if kind != "icloud":
        assert house.api.one(grant_id, "calendars", "primary").json()["data"]["is_primary"]


def test_googles_event_is_in_several_calendars_under_one_id(house):
    truth = _truth(house, "google")
    calendars: dict[str, list[str]] = {}
    for calendar, event_id in truth:
        calendars.setdefault(event_id, []).append(calendar)
    doubles = {event_id: places for event_id, places in calendars.items() if len(places) > 1}
    assert len(doubles) > 5
    for event_id, places in doubles.items():
        first, *others = ({**truth[place, event_id], "calendar_id": None} for place in places)
        assert all(other == first for other in others)
    for kind in ("microsoft", "icloud"):
        ids = [event_id for _, event_id in _truth(house, kind)]
        assert len(ids) == len(set(ids))


def test_every_shape_the_api_allows_occurs(house):
    events = [event for kind in WITH_CALENDARS for event in _truth(house, kind).values()]
    assert {event["when"].get("object") for event in events} == {"time", "timespan", "date", "datespan", None}
    calls = [event["conferencing"] for event in events if event["conferencing"] is not None]
    assert {} in calls
    assert {call.get("provider") for call in calls} >= {"Google Meet", "unknown", "Harbour Talk"}
    for name in ("description", "ical_uid", "participants", "conferencing", "reminders"):
        assert any(event[name] is None for event in events)
    people = [person for event in events for person in event["participants"] or []]
    assert any("email" not in person for person in people)
    assert {person["status"] for person in people} == {"yes", "no", "maybe", "noreply"}
    assert any("title" not in event for event in events)
    assert {event["status"] for event in events} == {"confirmed", "tentative", "cancelled", "maybe"}


def test_a_calendar_id_may_be_null_in_the_answer(house):
    grant_id = house.grant_id("google")
    window = {"calendar_id": "primary", "start": 0, "end": 4_000_000_000, "limit": 200}
    listed = house.api.all(grant_id, "events", **window, event_type=EVENT_TYPES, show_cancelled="true")
    assert {event["calendar_id"] for event in listed} == {None, house.simulator.fleet.mailbox(0).grant.email}


def test_without_oddities_every_event_says_its_shape_and_its_calendar(serve):
    fleet = Fleet.generate(0, [MailboxSpec("google", messages=0, events=400, calendars=1, oddity_every=0)])
    served = serve(Simulator(fleet, limits=Limits.off()))
    window = {"calendar_id": "primary", "start": 0, "end": 4_000_000_000, "limit": 500}
    listed = served.api.all(served.grant_id("google"), "events/import", **window)
    assert len({event["id"] for event in listed}) == 400
    assert all(event["calendar_id"] and event["when"]["object"] and event["title"] for event in listed)


def test_a_calendar_that_vanishes_answers_404_and_comes_back(serve):
    fleet = Fleet.generate(0, [MailboxSpec("google", messages=0)])
    served = serve(Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(float(fleet.now))))
    grant_id, primary = served.grant_id("google"), fleet.mailbox(0).grant.email
    served.simulator.vanish(grant_id, primary)
    assert len(served.api.all(grant_id, "calendars")) == 1
    assert served.api.get(f"/v3/grants/{grant_id}/events", calendar_id="primary").status_code == 404
    assert served.api.one(grant_id, "calendars", primary).status_code == 404
    served.simulator.restore(grant_id, primary)
    assert served.api.get(f"/v3/grants/{grant_id}/events", calendar_id="primary").status_code == 200
