"""The vendor's own client reads the simulator without complaint."""

from dataclasses import fields

import pytest
from nylas import Client
from nylas.models.calendars import Calendar
from nylas.models.contacts import Contact, ContactGroup
from nylas.models.errors import NylasApiError
from nylas.models.events import Event
from nylas.models.folders import Folder
from nylas.models.grants import Grant
from nylas.models.messages import Message
from nylas.models.threads import Thread

from mail_pipeline.simulator import API_KEY, PROVIDERS, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.simulator.agenda import EVENT_TYPES
from mail_pipeline.simulator.rhythm import DAY

NOT_MAIL = {"account_id", "ip", "user_agent", "state", "provider_user_id", "credential_id"}


@pytest.fixture
def client(six):
    return Client(API_KEY, six.api.url)


def _all(client, grant_id, *, listing=None, **params):
    token = None
    while token is None or token:
        page = (listing or client.messages.list)(grant_id, params | ({"page_token": token} if token else {}))
        yield from page.data
        token = page.next_cursor or ""


def _present(records, model):
    return {field.name for field in fields(model) if any(getattr(r, field.name) is not None for r in records)}


def test_it_lists_and_finds_grants(client, six):
    grants = client.grants.list({"limit": 200, "sort_by": "created_at", "order_by": "asc"}).data
    assert [grant.provider for grant in grants] == [*PROVIDERS, "zimbra"]
    assert client.grants.find(grants[0].id).data == grants[0]
    assert _present(grants, Grant) == {field.name for field in fields(Grant)} - NOT_MAIL


def test_it_lists_and_finds_folders(client, six):
    folders = [folder for p in PROVIDERS for folder in client.folders.list(six.grant_id(p)).data]
    assert _present(folders, Folder) == {field.name for field in fields(Folder)}
    grant_id = six.grant_id("google")
    first = client.folders.list(grant_id).data[0]
    assert client.folders.find(grant_id, first.id).data == first


@pytest.mark.parametrize("provider", ["google", "microsoft", "ews"])
def test_it_lists_exactly_the_truth(client, six, provider):
    grant_id = six.grant_id(provider)
    listed = list(_all(client, grant_id, limit=100))
    truth = list(six.simulator.truth(grant_id))
    assert [message.id for message in listed] == [message["id"] for message in truth]
    assert [message.body for message in listed] == [message.get("body") for message in truth]
    assert [message.from_ for message in listed] == [message.get("from") for message in truth]


def test_it_finds_every_field_it_models(client, six):
    asked = {"microsoft": "include_headers", "google": "include_tracking_options", "ews": "raw_mime"}
    messages = [
        message
        for provider, choice in asked.items()
        for message in _all(client, six.grant_id(provider), limit=200, fields=choice)
    ]
    assert _present(messages, Message) == {field.name for field in fields(Message)}


def test_it_finds_messages_with_hostile_ids(client, six):
    grant_id = six.grant_id("imap")
    listed = list(_all(client, grant_id, limit=200))
    assert any(set("/#?%&") & set(message.id) for message in listed)
    for message in listed:
        assert client.messages.find(grant_id, message.id).data.id == message.id


def test_it_lists_a_hostile_folder_with_query_imap(client, six):
    grant_id = six.grant_id("imap")
    folder = "INBOX.Arbeit & Büro"
    listed = list(_all(client, grant_id, query_imap="true", **{"in": folder}))
    expected = [message["id"] for message in six.simulator.truth(grant_id) if folder in message["folders"]]
    assert [message.id for message in listed] == expected


def test_it_lists_and_finds_contacts(client, house):
    client = Client(API_KEY, house.api.url)
    grant_id = house.grant_id("google")
    contacts = [
        contact
        for source in ("address_book", "inbox", "domain")
        for contact in _all(client, grant_id, listing=client.contacts.list, source=source)
    ]
    truth = {contact["id"]: contact for contact in house.simulator.truth(grant_id, "contacts")}
    assert {contact.id for contact in contacts} == set(truth)
    for contact in contacts:
        emails = truth[contact.id].get("emails")
        assert contact.surname == truth[contact.id]["surname"]
        assert (contact.emails and [one.email for one in contact.emails]) == (
            emails and [one["email"] for one in emails]
        )
    pictured = next(contact for contact in contacts if contact.picture_url)
    found = client.contacts.find(grant_id, pictured.id, {"profile_picture": True}).data
    assert _present([*contacts, found], Contact) == {field.name for field in fields(Contact)}
    groups = client.contacts.list_groups(grant_id).data
    assert _present(groups, ContactGroup) == {field.name for field in fields(ContactGroup)}


def test_it_lists_and_finds_calendars(house):
    client = Client(API_KEY, house.api.url)
    calendars = [
        calendar
        for kind in ("google", "microsoft", "icloud")
        for calendar in _all(client, house.grant_id(kind), listing=client.calendars.list)
    ]
    assert _present(calendars, Calendar) == {field.name for field in fields(Calendar)}
    grant_id = house.grant_id("google")
    for calendar in _all(client, grant_id, listing=client.calendars.list):
        # The client sends a calendar's id as it is, so what follows a "#" never leaves it.
        if "#" not in calendar.id:
            assert client.calendars.find(grant_id, calendar.id).data == calendar


@pytest.fixture(scope="module")
def orderly():
    """Accounts without what the vendor's client cannot read, such as a `when` that does not say its shape."""
    specs = [MailboxSpec(kind, messages=80, events=400, oddity_every=0) for kind in ("google", "microsoft")]
    simulator = Simulator(Fleet.generate(2, specs), limits=Limits.off())
    with simulator.serve() as url:
        yield simulator, Client(API_KEY, url)


@pytest.mark.parametrize("number", [0, 1])
def test_it_lists_imports_and_finds_events(orderly, number):
    simulator, client = orderly
    grant_id, now = simulator.fleet.mailbox(number).grant.id, simulator.fleet.now
    truth = {(event["calendar_id"], event["id"]): event for event in simulator.truth(grant_id, "events")}
    types = {"event_type": list(EVENT_TYPES)} if number == 0 else {}
    listed, imported = [], []
    for calendar in client.calendars.list(grant_id).data:
        for start in range(now - 2_000 * DAY, now + 400 * DAY, 1_800 * DAY):
            window = {"calendar_id": calendar.id, "start": start, "end": start + 1_800 * DAY}
            asked = {**window, **types, "show_cancelled": True}
            listed += _all(client, grant_id, listing=client.events.list, **asked)
            imported += _all(client, grant_id, listing=client.events.list_import_events, **window)
    for events in (listed, imported):
        assert {(event.calendar_id, event.id) for event in events} == set(truth)
    assert _present(listed, Event) == {field.name for field in fields(Event)} - (
        {"hide_participants"} if number else set()
    )
    for event in listed[::50]:
        assert client.events.find(grant_id, event.id, {"calendar_id": event.calendar_id}).data == event


def test_it_lists_and_finds_threads(orderly):
    simulator, client = orderly
    grant_id = simulator.fleet.mailbox(1).grant.id
    threads = list(_all(client, grant_id, listing=client.threads.list, limit=50))
    truth = {thread["id"]: thread for thread in simulator.truth(grant_id, "threads")}
    assert {thread.id: thread.message_ids for thread in threads} == {
        thread_id: thread["message_ids"] for thread_id, thread in truth.items()
    }
    assert _present(threads, Thread) == {field.name for field in fields(Thread)}
    found = client.threads.find(grant_id, threads[0].id).data
    assert found.latest_draft_or_message.id == threads[0].latest_draft_or_message.id


def test_it_reads_the_errors(client, six):
    with pytest.raises(NylasApiError) as refused:
        client.messages.list(six.grant_id("google"), {"limit": 201})
    assert (refused.value.status_code, refused.value.type) == (400, "invalid_request_error")
    with pytest.raises(NylasApiError) as refused:
        Client("wrong", six.api.url).grants.list()
    assert refused.value.status_code == 401
