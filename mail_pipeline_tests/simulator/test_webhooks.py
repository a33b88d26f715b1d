"""Webhooks over the API, with the vendor's own client where it can say it."""

import json
import socket

import pytest
import requests
from nylas import Client
from nylas.models.errors import NylasApiError

from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator

CREATED = ["message.created"]


@pytest.fixture
def served(serve):
    fleet = Fleet.generate(0, [MailboxSpec(messages=3)])
    return serve(Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(1.8e9)))


@pytest.fixture
def client(served):
    return Client(API_KEY, served.api.url)


def call(served, method, path, body=None):
    return served.api.session.request(method, f"{served.api.url}/v3/webhooks{path}", json=body, timeout=30)


def create(served, receiver, **settings):
    return call(served, "POST", "", {"trigger_types": CREATED, "webhook_url": receiver.url, **settings})


def test_the_official_client_creates_reads_changes_rotates_and_deletes(served, client, receiver):
    made = client.webhooks.create(
        {
            "trigger_types": ["message.created", "message.deleted"],
            "webhook_url": receiver.url,
            "description": "mirror",
            "notification_email_addresses": ["ops@x.example"],
        }
    ).data
    assert made.webhook_secret
    assert (made.status, made.description, made.created_at) == ("active", "mirror", 1_800_000_000)
    assert sorted(made.trigger_types) == ["message.created", "message.deleted"]
    assert [webhook.id for webhook in client.webhooks.list().data] == [made.id]
    assert client.webhooks.find(made.id).data.webhook_url == receiver.url

    served.simulator.clock.advance(100)
    changed = client.webhooks.update(made.id, {"trigger_types": CREATED, "description": "other"}).data
    assert (changed.trigger_types, changed.description) == (CREATED, "other")
    assert (changed.updated_at, changed.status_updated_at) == (1_800_000_100, 1_800_000_000)
    rotated = client.webhooks.rotate_secret(made.id).data
    assert rotated.webhook_secret != made.webhook_secret
    assert client.webhooks.destroy(made.id).data.status == "success"
    assert client.webhooks.list().data == []
    with pytest.raises(NylasApiError) as gone:
        client.webhooks.find(made.id)
    assert gone.value.status_code == 404


def test_the_secret_is_shown_on_creation_and_on_rotation_in_both_forms_only(served, receiver):
    made = create(served, receiver).json()["data"]
    first = made["webhook_secret"]
    assert "webhook_secret" not in call(served, "GET", "").text
    assert "webhook_secret" not in call(served, "GET", f"/{made['id']}").text
    assert "webhook_secret" not in call(served, "PUT", f"/{made['id']}", {"description": "x"}).text
    posted = call(served, "POST", f"/rotate-secret/{made['id']}").json()["data"]["webhook_secret"]
    put = call(served, "PUT", f"/{made['id']}/rotate-secret", {}).json()["data"]["webhook_secret"]

    assert len({first, posted, put}) == 3
    assert put == served.simulator.webhooks.find(made["id"]).secret
    assert put not in repr(served.simulator.webhooks.find(made["id"]))


def test_the_secret_can_be_given_and_follows_from_the_seed_otherwise(receiver):
    def secret(**options):
        simulator = Simulator(Fleet.generate(4, [MailboxSpec(messages=0)]), **options)
        return simulator.webhooks.create({"trigger_types": CREATED, "webhook_url": receiver.url}).secret

    assert secret(webhook_secret="s3cret") == "s3cret"
    assert secret() == secret() != "s3cret"


def test_creation_takes_one_challenge(served, receiver):
    assert create(served, receiver).status_code == 200
    [value] = receiver.challenges
    assert len(value) > 10


@pytest.mark.parametrize(
    "answer",
    [
        lambda value: (200, value + b"\n"),
        lambda value: (200, b'"' + value + b'"'),
        lambda value: (200, b""),
        lambda value: (201, value),
        lambda value: (302, value),
        lambda value: (500, value),
    ],
)
def test_a_wrong_answer_to_the_challenge_is_a_400_and_creates_nothing(served, receiver, answer):
    receiver.challenge = answer
    response = create(served, receiver)

    assert response.status_code == 400
    assert "challenge" in response.json()["error"]["message"]
    assert len(receiver.challenges) == 1
    assert call(served, "GET", "").json()["data"] == []


def test_nobody_there_is_a_400(served):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    response = call(served, "POST", "", {"trigger_types": CREATED, "webhook_url": url})

    assert response.status_code == 400
    assert "did not answer" in response.json()["error"]["message"]


def test_a_url_has_one_webhook(served, receiver):
    assert create(served, receiver).status_code == 200
    again = create(served, receiver)
    assert again.status_code == 400
    assert "already" in again.json()["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trigger_types": []}, "trigger_types"),
        ({"trigger_types": None}, "trigger_types"),
        ({"trigger_types": ["message.exploded"]}, "message.exploded"),
        ({"trigger_types": ["contact.created"]}, "contact.created"),
        ({"webhook_url": "http://mail.example.org/hook"}, "https"),
        ({"webhook_url": "ftp://127.0.0.1/"}, "URL"),
        ({"webhook_url": 5}, "URL"),
        ({"webhook_url": ""}, "URL"),
    ],
)
def test_bad_settings_are_a_400_that_names_them(served, receiver, settings, said):
    response = create(served, receiver, **settings)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]
    assert receiver.challenges == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"webhook_url": "https://x.example/"}'])
def test_a_body_that_says_too_little_is_a_400(served, body):
    url = f"{served.api.url}/v3/webhooks"
    assert served.api.session.post(url, body, timeout=10).status_code == 400


def test_an_application_may_lack_a_trigger(served, receiver):
    served.simulator.webhooks.refused_triggers = {"message.deleted"}
    response = create(served, receiver, trigger_types=["message.created", "message.deleted"])
    assert response.status_code == 400
    assert "message.deleted" in response.json()["error"]["message"]


def test_webhooks_need_the_key_and_an_id_that_exists(served):
    for method, path in (("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x"), ("POST", "/rotate-secret/x")):
        assert call(served, method, path, {}).status_code == 404
    bare = requests.post(f"{served.api.url}/v3/webhooks", json={}, timeout=10)
    assert bare.status_code == 401


@pytest.mark.parametrize("spelling", ["pause", "paused"])
def test_a_webhook_is_paused_and_comes_back_by_a_challenge(served, receiver, spelling):
    webhook_id = create(served, receiver).json()["data"]["id"]
    served.simulator.clock.advance(10)
    paused = call(served, "PUT", f"/{webhook_id}", {"status": spelling}).json()["data"]
    assert (paused["status"], paused["status_updated_at"]) == ("pause", 1_800_000_010)

    receiver.challenge = lambda _: (503, b"")
    assert call(served, "PUT", f"/{webhook_id}", {"status": "active"}).status_code == 400
    assert call(served, "GET", f"/{webhook_id}").json()["data"]["status"] == "pause"
    receiver.challenge = lambda value: (200, value)
    back = call(served, "PUT", f"/{webhook_id}", {"status": "active"}).json()["data"]
    assert back["status"] == "active"
    assert len(receiver.challenges) == 3
    assert call(served, "PUT", f"/{webhook_id}", {"status": "asleep"}).status_code == 400


def test_another_url_takes_a_challenge_and_another_description_none(served, receiver):
    webhook_id = create(served, receiver).json()["data"]["id"]
    assert call(served, "PUT", f"/{webhook_id}", {"description": "x"}).status_code == 200
    assert len(receiver.challenges) == 1
    moved = call(served, "PUT", f"/{webhook_id}", {"webhook_url": receiver.url + "/2"}).json()["data"]
    assert moved["webhook_url"] == receiver.url + "/2"
    assert len(receiver.challenges) == 2


def test_calls_are_logged_without_a_secret(served, receiver):
    secret = create(served, receiver).json()["data"]["webhook_secret"]
    [entry] = served.simulator.requests
    assert (entry.operation, entry.method, entry.status) == ("webhooks", "POST", 200)
    assert secret not in json.dumps(served.api.get("/simulator/requests").json())
