"""The vendor's own client reads the simulator without complaint."""

from dataclasses import fields

import pytest
from nylas import Client
from nylas.models.errors import NylasApiError
from nylas.models.folders import Folder
from nylas.models.grants import Grant
from nylas.models.messages import Message

from mail_pipeline.simulator import API_KEY, PROVIDERS

NOT_MAIL = {"account_id", "ip", "user_agent", "state", "provider_user_id", "credential_id"}


@pytest.fixture
def client(six):
    return Client(API_KEY, six.api.url)


def _all(client, grant_id, **params):
    token = None
    while token is None or token:
        page = client.messages.list(grant_id, params | ({"page_token": token} if token else {}))
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


def test_it_reads_the_errors(client, six):
    with pytest.raises(NylasApiError) as refused:
        client.messages.list(six.grant_id("google"), {"limit": 201})
    assert (refused.value.status_code, refused.value.type) == (400, "invalid_request_error")
    with pytest.raises(NylasApiError) as refused:
        Client("wrong", six.api.url).grants.list()
    assert refused.value.status_code == 401
