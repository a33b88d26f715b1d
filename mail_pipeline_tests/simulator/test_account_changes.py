"""Contacts, calendars and events change in every answer at once, and webhooks are told as documented."""

import pytest

from mail_pipeline.simulator import Disorder, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.rhythm import DAY, HOUR
from mail_pipeline_tests.simulator.receiver import Receiver

WITH_CALENDARS = ("google", "microsoft", "ews", "icloud")
ALWAYS = {"start": 0, "end": 4_000_000_000}


class Scene:
    """One grant, a served simulator and a webhook with all triggers of a mirror."""

    def __init__(self, serve, receiver: Receiver, kind: str, **options) -> None:
        fleet = Fleet.generate(0, [MailboxSpec(kind, messages=0, calendars=3, oddity_every=0)])
        clock = SimulatedClock(float(fleet.now))
        self.simulator = Simulator(fleet, limits=Limits.off(), clock=clock, **options)
        self.api = serve(self.simulator).api
        self.kind, self.grant_id, self.now = kind, fleet.mailbox(0).grant.id, fleet.now
        self.provider, self.receiver = self.simulator.provider, receiver
        receiver.subscribe(self.simulator)
        self.first, self.second, self.closed = (one["id"] for one in self.truth("calendars"))

    def truth(self, stream: str):
        return list(self.simulator.truth(self.grant_id, stream))

    def event(self, calendar_id: str, event_id: str):
        return self.api.one(self.grant_id, "events", event_id, calendar_id=calendar_id)

    def told(self):
        """Deliver, and return (type, object) of all that came."""
        self.simulator.postman.deliver()
        return [(one.type, one.object) for one in self.receiver.take()]


@pytest.fixture
def scene(serve, receiver):
    return lambda kind, **options: Scene(serve, receiver, kind, **options)


@pytest.mark.parametrize("kind", [*WITH_CALENDARS])
def test_a_contact_is_made_changed_deleted_and_restored(scene, kind):
    s = scene(kind)
    contact_id = s.provider.create_contact(s.grant_id, surname="Oak", emails=[{"email": "o@x.example"}])
    [record] = [contact for contact in s.truth("contacts") if contact["id"] == contact_id]
    assert (record["surname"], record["source"]) == ("Oak", "address_book")
    assert s.api.one(s.grant_id, "contacts", contact_id).json()["data"] == record
    assert record in s.api.all(s.grant_id, "contacts", limit=50)
    # There is no contact.created.
    assert s.told() == [("contact.updated", record)]

    s.simulator.clock.advance(HOUR)
    s.provider.update_contact(s.grant_id, contact_id, surname="Oak")
    assert s.told() == []
    s.provider.update_contact(s.grant_id, contact_id, surname="Elm", groups=None)
    changed = s.api.one(s.grant_id, "contacts", contact_id).json()["data"]
    assert (changed["surname"], changed["groups"], changed["emails"]) == ("Elm", None, record["emails"])
    assert changed.get("updated_at") == (s.now + HOUR if kind in {"google", "microsoft"} else None)
    assert s.told() == [("contact.updated", changed)]

    s.provider.delete_contact(s.grant_id, contact_id)
    assert s.api.one(s.grant_id, "contacts", contact_id).status_code == 404
    assert changed not in s.truth("contacts")
    assert s.told() == [("contact.deleted", {"id": contact_id, "grant_id": s.grant_id, "object": "contact"})]
    s.provider.restore_contact(s.grant_id, contact_id)
    assert changed in s.truth("contacts")
    assert s.told() == [("contact.updated", changed)]


def test_a_contact_that_was_there_at_first_changes_too(scene):
    s = scene("google")
    first = s.truth("contacts")[0]
    s.provider.update_contact(s.grant_id, first["id"], notes="Planted")
    assert s.truth("contacts")[0] == first | {"notes": "Planted", "updated_at": s.now}


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_a_calendar_is_made_changed_and_deleted_with_its_events(scene, kind):
    s = scene(kind)
    calendar_id = s.provider.create_calendar(s.grant_id, "Choir")
    record = s.truth("calendars")[-1]
    assert (record["id"], record["name"], record["is_primary"]) == (calendar_id, "Choir", False)
    [(trigger, told)] = s.told()
    assert trigger == "calendar.created"
    assert told == {key: record[key] for key in record if key not in {"metadata", "notetaker"}}

    event_id = s.provider.create_event(s.grant_id, calendar_id, title="Rehearsal")
    assert s.event(calendar_id, event_id).json()["data"]["title"] == "Rehearsal"
    s.told()
    s.provider.update_calendar(s.grant_id, calendar_id, name="Band")
    s.provider.update_calendar(s.grant_id, calendar_id, name="Band")
    told = s.told()
    # iCloud says that every calendar has changed.
    assert [one["id"] for _, one in told] == (
        [one["id"] for one in s.truth("calendars")] if kind == "icloud" else [calendar_id]
    )
    assert {trigger for trigger, _ in told} == {"calendar.updated"}
    assert told[-1][1]["name"] == "Band"

    s.provider.delete_calendar(s.grant_id, calendar_id)
    assert s.api.one(s.grant_id, "calendars", calendar_id).status_code == 404
    assert s.event(calendar_id, event_id).status_code == 404
    assert event_id not in {event["id"] for event in s.truth("events")}
    [(trigger, told)] = s.told()
    assert (trigger, told["id"], told["name"]) == ("calendar.deleted", calendar_id, "Band")
    assert set(told) <= {
        *("id", "grant_id", "object", "name"),
        *("is_primary", "read_only", "timezone", "is_owned_by_user"),
    }


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_an_event_is_made_changed_deleted_and_restored(scene, kind):
    s = scene(kind)
    event_id = s.provider.create_event(s.grant_id, s.first, title="Lunch")
    record = s.event(s.first, event_id).json()["data"]
    assert (record["title"], record["calendar_id"], record["when"]["start_time"]) == (
        "Lunch",
        s.first,
        s.now + DAY,
    )
    assert record in s.truth("events")
    assert record in s.api.all(s.grant_id, "events", calendar_id=s.first)
    assert s.told() == [("event.created", record)]

    when = {"object": "date", "date": "2021-05-04"}
    s.provider.update_event(s.grant_id, s.first, event_id, title="Lunch")
    assert s.told() == []
    s.simulator.clock.advance(HOUR)
    s.provider.update_event(s.grant_id, s.first, event_id, title="Dinner", when=when)
    changed = s.event(s.first, event_id).json()["data"]
    assert (changed["title"], changed["when"]) == ("Dinner", when)
    assert changed["updated_at"] == (None if kind == "icloud" else s.now + HOUR)
    assert changed not in s.api.all(s.grant_id, "events", calendar_id=s.first)
    window = {"start": 1_619_000_000, "end": 1_621_000_000}
    assert changed in s.api.all(s.grant_id, "events", calendar_id=s.first, **window)
    assert s.told() == [("event.updated", changed)]

    s.provider.delete_event(s.grant_id, s.first, event_id)
    assert s.event(s.first, event_id).status_code == 404
    facts = {"id": event_id, "grant_id": s.grant_id, "object": "event", "calendar_id": s.first}
    [(trigger, told)] = s.told()
    assert (trigger, {key: told[key] for key in facts}) == ("event.deleted", facts)
    s.provider.restore_event(s.grant_id, s.first, event_id)
    assert s.told() == [("event.created", changed)]
    s.provider.delete_event(s.grant_id, s.first, event_id, say_calendar=False)
    [(_, told)] = s.told()
    assert (told["id"], told["calendar_id"]) == (event_id, None)


def test_a_series_is_told_of_with_its_occurrences_and_goes_with_them(scene):
    s = scene("google")
    series = s.provider.create_event(s.grant_id, s.first, recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"])
    start = s.now + DAY
    children = [
        s.provider.create_event(
            s.grant_id,
            s.first,
            master_event_id=series,
            original_start_time=start + week * 7 * DAY,
            status=status,
        )
        for week, status in ((1, "confirmed"), (2, "cancelled"))
    ]
    s.told()
    s.provider.update_event(s.grant_id, s.first, series, title="Weekly")
    [(_, told)] = s.told()
    assert (told["occurrences"], told["cancelled_occurrences"]) == (children[:1], children[1:])
    assert "occurrences" not in s.event(s.first, series).json()["data"]
    for weeks, shown in ((2, True), (4, False)):
        window = {"start": start + weeks * 7 * DAY, "end": start + weeks * 7 * DAY + HOUR}
        listed = s.api.all(s.grant_id, "events", calendar_id=s.first, **window)
        assert (series in {event["id"] for event in listed}) == shown

    s.provider.delete_event(s.grant_id, s.first, series)
    assert [(one["id"], one.get("master_event_id")) for _, one in s.told()] == [
        *((child, series) for child in children),
        (series, None),
    ]
    assert s.event(s.first, children[0]).status_code == 404
    again = s.provider.create_event(
        s.grant_id, s.first, master_event_id=series, original_start_time=start + 7 * DAY
    )
    assert again == children[0]
    assert s.event(s.first, again).status_code == 200


@pytest.mark.parametrize("kind", WITH_CALENDARS)
def test_an_event_that_moves_leaves_one_calendar_for_another(scene, kind):
    s = scene(kind)
    event_id = s.provider.create_event(s.grant_id, s.first, title="Lunch")
    s.told()
    moved = s.provider.move_event(s.grant_id, s.first, event_id, s.second)
    assert (moved == event_id) == (kind == "google")
    assert s.event(s.first, event_id).status_code == 404
    record = s.event(s.second, moved).json()["data"]
    assert (record["title"], record["calendar_id"]) == ("Lunch", s.second)
    (gone, was), (came, now) = s.told()
    assert (gone, was["id"], was["calendar_id"]) == ("event.deleted", event_id, s.first)
    assert (came, now) == ("event.created", record)
    back = s.provider.move_event(s.grant_id, s.second, moved, s.first)
    assert s.event(s.first, back).status_code == 200


def test_a_hidden_event_type_stays_hidden_when_the_event_changes(scene):
    s = scene("google")
    event_id = s.provider.create_event(s.grant_id, s.first, event_type="outOfOffice")
    s.provider.update_event(s.grant_id, s.first, event_id, title="Away")
    window = {"calendar_id": s.first, **ALWAYS, "limit": 200}
    assert event_id not in {event["id"] for event in s.api.all(s.grant_id, "events", **window)}
    listed = s.api.all(s.grant_id, "events", **window, event_type="outOfOffice")
    assert event_id in {event["id"] for event in listed}


def test_what_cannot_be_is_an_error_and_changes_nothing(scene):
    s = scene("google")
    before = [s.truth(stream) for stream in ("contacts", "calendars", "events")]
    repeating = next(event for event in s.truth("events") if event.get("master_event_id"))
    for call in (
        lambda: s.provider.create_contact("nobody"),
        lambda: s.provider.update_contact(s.grant_id, "nothing", notes=""),
        lambda: s.provider.restore_contact(s.grant_id, s.truth("contacts")[0]["id"]),
        lambda: s.provider.create_event(s.grant_id, "nowhere"),
        lambda: s.provider.create_event(s.grant_id, s.closed),
        lambda: s.provider.update_event(s.grant_id, s.first, "nothing", title=""),
        lambda: s.provider.delete_event(s.grant_id, s.first, "nothing"),
        lambda: s.provider.update_calendar(s.grant_id, "nowhere", name=""),
    ):
        with pytest.raises(KeyError):
            call()
    for call in (
        lambda: s.provider.create_contact(s.grant_id, source="space"),
        lambda: s.provider.create_event(s.grant_id, s.first, when={}),
        lambda: s.provider.delete_calendar(s.grant_id, s.first),
        lambda: s.provider.move_event(s.grant_id, repeating["calendar_id"], repeating["id"], s.second),
    ):
        with pytest.raises(ValueError, match=r"source|when|primary|moved"):
            call()
    assert [s.truth(stream) for stream in ("contacts", "calendars", "events")] == before
    assert s.told() == []


def test_who_has_no_calendars_cannot_make_any(serve, receiver):
    simulator = Simulator(Fleet.generate(0, [MailboxSpec("imap", messages=0)]))
    with pytest.raises(ValueError, match="imap has no calendars"):
        simulator.provider.create_calendar(simulator.fleet.mailbox(0).grant.id, "Choir")


def test_customised_events_and_calendars_come_without_the_fields_and_say_so(scene):
    s = scene("google")
    s.simulator.postman.style.agenda_without = ("title", "calendar_id", "name")
    event_id = s.provider.create_event(s.grant_id, s.first, title="Secret")
    s.provider.update_calendar(s.grant_id, s.second, name="Secret")
    s.provider.delete_event(s.grant_id, s.first, event_id)
    s.provider.create_contact(s.grant_id)
    told = s.told()
    assert [trigger for trigger, _ in told] == [
        "event.created.transformed",
        "calendar.updated.transformed",
        "event.deleted",
        "contact.updated",
    ]
    # Ids are kept, whatever else is taken out.
    assert ("title" in told[0][1], told[0][1]["calendar_id"]) == (False, s.first)
    assert "Secret" not in str(told)


def test_upserts_and_doubles_happen_to_events_as_to_mail(scene):
    s = scene("google", disorder=Disorder(merge=1.0, duplicate=1.0))
    s.provider.create_event(s.grant_id, s.first)
    s.provider.update_calendar(s.grant_id, s.second, name="Band")
    s.provider.create_contact(s.grant_id)
    kinds = [trigger for trigger, _ in s.told()]
    assert sorted(kinds) == sorted(
        2 * ["event.created", "event.updated", "calendar.created", "contact.updated"]
    )


def test_envelopes_name_the_product(scene):
    s = scene("icloud")
    s.provider.create_contact(s.grant_id)
    s.provider.create_event(s.grant_id, s.first)
    s.provider.create_calendar(s.grant_id, "Choir")
    s.simulator.postman.deliver()
    assert [one.envelope["source"] for one in s.receiver.take()] == [
        f"/icloud/{product}/realtime" for product in ("contacts", "events", "calendars")
    ]


def test_what_an_expired_grant_missed_follows(scene):
    s = scene("google")
    s.provider.expire(s.grant_id)
    s.told()
    s.provider.create_contact(s.grant_id)
    s.provider.create_event(s.grant_id, s.first)
    assert s.told() == []
    s.provider.reauthenticate(s.grant_id)
    assert [kind for kind, _ in s.told()] == ["grant.updated", "contact.updated", "event.created"]
