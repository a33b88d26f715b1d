"""Another process makes things happen at the provider, moves the clock and sees what was sent."""

import pytest

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, SimulatedClock, Simulator


@pytest.fixture
def served(serve):
    fleet = Fleet.generate(0, [MailboxSpec("imap", messages=5)])
    served = serve(Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(float(fleet.now))))
    del served.api.session.headers["Authorization"]
    return served


def ask(served, path, body):
    return served.api.session.post(f"{served.api.url}/simulator/{path}", json=body, timeout=30)


def test_every_operation_can_be_asked_for(served):
    grant = {"grant_id": served.grant_id("imap")}

    def happen(operation, **arguments):
        answer = ask(served, f"provider/{operation}", arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    folder = happen("create_folder", **grant, name="Plans")
    folder = happen("rename_folder", **grant, folder_id=folder, name="Other")
    message = {"message_id": happen("arrive", **grant, subject="Lunch?", to=[{"email": "a@x.example"}])}
    happen("flag", **grant, **message, starred=True)
    happen("move", **grant, **message, folders=[folder])
    happen("edit", **grant, **message, body="<p>Words</p>")
    newest = next(served.simulator.truth(grant["grant_id"]))
    assert (newest["id"], newest["subject"], newest["starred"]) == (message["message_id"], "Lunch?", True)
    assert (newest["folders"], newest["body"]) == ([folder], "<p>Words</p>")
    happen("delete", **grant, **message)
    happen("restore", **grant, **message)
    happen("delete_folder", **grant, folder_id=folder)
    contact = {"contact_id": happen("create_contact", **grant, surname="Oak")}
    happen("update_contact", **grant, **contact, notes="Met twice")
    happen("delete_contact", **grant, **contact)
    happen("restore_contact", **grant, **contact)
    happen("expire", **grant)
    happen("reauthenticate", **grant)
    new = happen("connect", provider="google", messages=2, calendars=3)
    assert len(list(served.simulator.truth(new))) == 2
    calendar = {"grant_id": new, "calendar_id": happen("create_calendar", grant_id=new, name="Choir")}
    happen("update_calendar", **calendar, name="Band")
    event = happen("create_event", **calendar, title="Rehearsal")
    happen("update_event", **calendar, event_id=event, title="Concert")
    happen("delete_event", **calendar, event_id=event)
    happen("restore_event", **calendar, event_id=event)
    happen(
        "move_event",
        **calendar,
        event_id=event,
        to=next(iter(served.simulator.truth(new, "calendars")))["id"],
    )
    happen("delete_calendar", **calendar)
    assert len(list(served.simulator.truth(new, "calendars"))) == 3
    titles = [one["title"] for one in served.simulator.truth(new, "events") if one.get("id") == event]
    assert titles == ["Concert"]
    assert happen("disconnect", grant_id=new) == new


@pytest.mark.parametrize(
    ("operation", "arguments", "status"),
    [
        ("explode", {}, 404),
        ("arrive", {"grant_id": "nobody"}, 404),
        ("arrive", {}, 400),
        ("arrive", {"colour": "red"}, 400),
        ("create_contact", {"grant_id": "nobody"}, 404),
        ("create_calendar", {}, 400),
        ("connect", {"colour": "red"}, 400),
        ("arrive", [], 400),
        ("live", {"seed": 1}, 404),
    ],
)
def test_what_cannot_be_asked_is_refused(served, operation, arguments, status):
    assert ask(served, f"provider/{operation}", arguments).status_code == status


def test_an_unknown_folder_is_refused(served):
    arguments = {"grant_id": served.grant_id("imap"), "folders": ["nowhere"]}
    assert ask(served, "provider/arrive", arguments).status_code == 400


def test_the_clock_is_moved(served):
    before = served.simulator.clock.now()
    assert ask(served, "clock", {"advance": 90}).json() == {"now": before + 90}
    refused: list[object] = [{}, {"advance": -1}, {"advance": "x"}, []]
    for body in refused:
        assert ask(served, "clock", body).status_code == 400
    assert served.simulator.clock.now() == before + 90


def test_notifications_are_delivered_and_listed_with_each_try_and_without_mail(served, receiver):
    receiver.subscribe(served.simulator)
    receiver.answer = lambda one: 503 if one.envelope["webhook_delivery_attempt"] == 1 else 200
    grant_id = served.grant_id("imap")
    message_id = served.simulator.provider.arrive(grant_id, subject="Nobody's business")
    assert ask(served, "postman/deliver", {}).json() == {"tries": 1}
    assert ask(served, "postman/drain", {}).json() == {"tries": 1}
    listing = served.api.get("/simulator/notifications")
    [one] = listing.json()

    assert (one["type"], one["grant_id"], one["object_id"]) == ("message.created", grant_id, message_id)
    assert (one["number"], one["state"]) == (1, "delivered")
    assert [(one_try["attempt"], one_try["status"]) for one_try in one["tries"]] == [(1, 503), (2, 200)]
    assert "business" not in listing.text
