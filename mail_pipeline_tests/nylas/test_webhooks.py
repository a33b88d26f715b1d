import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.nylas import (
    TRIGGERS,
    KeyRejected,
    Limits,
    MalformedPage,
    NotFound,
    NotNylas,
    NylasClient,
    ProviderUnavailable,
    Throttled,
    Webhook,
    WebhookRefused,
)
from mail_pipeline.nylas.pages import UnreadableError
from mail_pipeline_tests.nylas.scripted import KEY, Reply, page, refusal, silent_until

URL = "https://mail.example.com/webhooks/nylas"
SECRET = "whsec-SECRET-SECRET"
RECORD = {
    "id": "w-1",
    "description": "mirror",
    "trigger_types": ["message.created", "grant.expired"],
    "webhook_url": URL,
    "status": "active",
    "notification_email_addresses": ["ops@example.com"],
    "compressed_delivery": True,
    "status_updated_at": 1_700_000_100,
    "created_at": 1_700_000_000,
    "updated_at": 1_700_000_200,
}


def one(**changes):
    return Reply({"request_id": "r", "data": RECORD | changes})


def test_a_webhook_is_read_as_nylas_documents_it(server, client):
    server.reply(one())
    assert client.webhook("w-1") == Webhook(
        id="w-1",
        url=URL,
        description="mirror",
        triggers=("message.created", "grant.expired"),
        status="active",
        status_updated_at=1_700_000_100,
        created_at=1_700_000_000,
        updated_at=1_700_000_200,
        compressed=True,
        secret=None,
    )
    assert (server.seen[0].method, server.seen[0].target) == ("GET", "/v3/webhooks/w-1")


@pytest.mark.parametrize("status", ["active", "failing", "failed", "paused", "asleep", ""])
def test_a_status_is_kept_even_if_nobody_knows_it(status):
    assert Webhook.read(RECORD | {"status": status}).status == status


def test_paused_is_one_word_however_nylas_writes_it():
    assert Webhook.read(RECORD | {"status": "pause"}).status == "paused"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(set(RECORD) - {"id", "webhook_url"})), _json))
def test_whatever_stands_in_the_other_fields_a_webhook_with_id_and_url_is_read(odd):
    webhook = Webhook.read({"id": "w", "webhook_url": URL} | odd)
    assert (webhook.id, webhook.url, webhook.secret) == ("w", URL, None)
    assert all(isinstance(trigger, str) for trigger in webhook.triggers)
    for moment in (webhook.created_at, webhook.updated_at, webhook.status_updated_at):
        assert moment is None or type(moment) is int


@pytest.mark.parametrize(
    "moment", [1_700_000_000, 1_700_000_000.4, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20"]
)
def test_a_time_is_read_as_number_or_as_text(moment):
    assert Webhook.read(RECORD | {"created_at": moment}).created_at == 1_700_000_000


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "expected an object, found null"),
        ({"webhook_url": URL}, "at its id, found nothing"),
        ({"id": 5, "webhook_url": URL}, "at its id, found a number"),
        ({"id": "w", "webhook_url": ""}, "at its webhook_url, found an empty one"),
    ],
)
def test_a_record_without_id_or_url_is_refused_saying_what_is_missing(record, said):
    with pytest.raises(UnreadableError, match=said):
        Webhook.read(record)


def test_a_list_with_a_record_that_cannot_be_read_is_no_shorter_list(server, client):
    server.reply(page([RECORD, {"id": "w-2"}]))
    with pytest.raises(MalformedPage, match="webhook_url"):
        client.webhooks()


def test_webhooks_are_listed_to_the_end(server, client):
    server.reply(page([RECORD], "c"), page([RECORD | {"id": "w-2"}], "c"))
    assert [webhook.id for webhook in client.webhooks()] == ["w-1", "w-2"]
    assert [seen.target for seen in server.seen] == ["/v3/webhooks", "/v3/webhooks?page_token=c"]


def test_no_webhooks_are_an_empty_list(server, client):
    server.reply(page([]))
    assert client.webhooks() == []


def test_a_webhook_is_made_with_all_triggers_and_comes_with_its_secret(server, client):
    server.reply(one(webhook_secret=SECRET))
    made = client.create_webhook(URL, description="mirror", emails=["ops@example.com"])
    assert made.secret == SECRET
    [seen] = server.seen
    assert (seen.method, seen.target) == ("POST", "/v3/webhooks")
    assert seen.json == {
        "webhook_url": URL,
        "trigger_types": list(TRIGGERS),
        "description": "mirror",
        "notification_email_addresses": ["ops@example.com"],
        "compressed_delivery": True,
    }


def test_what_is_not_said_is_not_sent(server, client):
    server.reply(one(webhook_secret=SECRET))
    client.create_webhook(URL, ("message.created",), compressed=False)
    assert server.seen[0].json == {
        "webhook_url": URL,
        "trigger_types": ["message.created"],
        "compressed_delivery": False,
    }


def test_the_secret_shows_in_no_representation(server, client):
    server.reply(one(webhook_secret=SECRET))
    assert SECRET not in f"{client.create_webhook(URL)!r}"


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(500),
        refusal(502),
        refusal(503),
        refusal(408),
        Reply(end="reset"),
        replace(one(webhook_secret=SECRET), end="half"),
        Reply(b"<html>"),
    ],
)
def test_a_creation_that_may_have_happened_is_not_repeated_and_says_how_to_find_out(server, client, trouble):
    server.reply(trouble, one(webhook_secret=SECRET))
    with pytest.raises(MailPipelineError, match="Nobody knows whether the webhook was made") as caught:
        client.create_webhook(URL)
    assert len(server.seen) == 1
    assert "webhook status" in caught.value.next_step
    assert SECRET not in str(caught.value)


def test_a_creation_refused_for_its_rate_is_repeated(server, client):
    server.reply(refusal(429, headers={"Retry-After": "2"}), one(webhook_secret=SECRET))
    assert client.create_webhook(URL).secret == SECRET
    assert len(server.seen) == 2


def test_a_creation_that_found_nobody_is_repeated_and_then_said_to_be_undone(clock):
    nowhere = NylasClient(KEY, "http://no-such-host.invalid", limits=Limits(patience=20), clock=clock)
    with nowhere as client, pytest.raises(ProviderUnavailable, match="could not be sent") as caught:
        client.create_webhook(URL)
    assert len(clock.waits) > 2
    assert "Nobody knows" not in str(caught.value)


@pytest.mark.parametrize("trouble", [refusal(503), Reply(end="reset"), Reply(b"<html>")])
@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda client: client.webhooks(), page([RECORD])),
        (lambda client: client.webhook("w-1"), one()),
        (lambda client: client.update_webhook("w-1", description="new"), one()),
        (lambda client: client.activate_webhook("w-1"), one()),
        (lambda client: client.delete_webhook("w-1"), Reply({"request_id": "r"})),
    ],
)
def test_what_may_be_done_twice_is_tried_again(server, client, trouble, call, answer):
    server.reply(trouble, answer)
    call(client)
    assert len(server.seen) == 2
    assert server.seen[0].body == server.seen[1].body


def test_only_what_is_given_is_changed(server, client):
    server.reply(one(), one())
    client.update_webhook("w-1", triggers=["event.created"], emails=[])
    client.activate_webhook("w-1")
    assert [(seen.method, seen.target) for seen in server.seen] == [("PUT", "/v3/webhooks/w-1")] * 2
    assert server.seen[0].json == {"trigger_types": ["event.created"], "notification_email_addresses": []}
    assert server.seen[1].json == {"status": "active"}


def test_a_secret_is_rotated_by_the_documented_form(server, client):
    server.reply(one(webhook_secret=SECRET))
    assert client.rotate_webhook_secret("w-1").secret == SECRET
    assert [(seen.method, seen.target) for seen in server.seen] == [
        ("POST", "/v3/webhooks/rotate-secret/w-1")
    ]


@pytest.mark.parametrize(
    "missing",
    [refusal(404, "not_found_error"), refusal(405), Reply(b"404 page not found", 404), Reply(b"", 405)],
)
def test_where_that_form_is_missing_the_secret_is_rotated_by_the_other(server, client, missing):
    server.reply(missing, one(webhook_secret=SECRET))
    assert client.rotate_webhook_secret("w-1").secret == SECRET
    assert (server.seen[1].method, server.seen[1].target) == ("PUT", "/v3/webhooks/w-1/rotate-secret")


def test_a_webhook_that_neither_form_finds_is_not_there(server, client):
    server.otherwise = lambda seen: refusal(404)
    with pytest.raises(NotFound, match="no such webhook"):
        client.rotate_webhook_secret("w-1")


@pytest.mark.parametrize(
    "answer",
    [Reply({"request_id": "r"}), Reply(b"", 204), Reply({"data": {"status": "ok"}}), refusal(404)],
)
def test_a_deleted_webhook_is_gone_however_that_is_said(server, client, answer):
    server.reply(answer)
    client.delete_webhook("w-1")
    assert [(seen.method, seen.target) for seen in server.seen] == [("DELETE", "/v3/webhooks/w-1")]


def test_a_gateways_page_does_not_make_a_webhook_deleted(server, client):
    server.otherwise = lambda seen: Reply(b"<html>404</html>", 404)
    with pytest.raises(NotNylas):
        client.delete_webhook("w-1")


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (refusal(400, message="webhook_url is not reachable"), WebhookRefused, "webhooks/nylas"),
        (refusal(400, message="Challenge failed for URL"), WebhookRefused, "did not answer Nylas' challenge"),
        (refusal(409, message="webhook already exists"), WebhookRefused, "seems to have a webhook"),
        (refusal(422), WebhookRefused, "ngrok"),
        (refusal(401), KeyRejected, "NYLAS_API_KEY"),
        (refusal(403, "insufficient_scopes"), KeyRejected, "NYLAS_API_KEY"),
        (Reply(b"404 page not found", 404), NotNylas, "NYLAS_API_URI"),
        (refusal(429, headers={"Retry-After": "4000"}), Throttled, "again later"),
    ],
)
def test_a_refused_creation_says_what_is_wrong_and_asks_once(server, client, reply, error, said):
    server.reply(reply)
    with pytest.raises(error, match=said) as caught:
        client.create_webhook(URL)
    assert len(server.seen) == 1
    assert "backfill" not in str(caught.value)


def test_a_trigger_that_the_application_does_not_have_is_named(server, client):
    server.reply(refusal(400, message="invalid trigger_types: message.deleted"))
    with pytest.raises(WebhookRefused, match=r"does not know message\.deleted.*--without") as caught:
        client.create_webhook(URL)
    assert caught.value.triggers == ("message.deleted",)


def test_a_refusal_that_lists_the_triggers_there_are_tells_which_are_not(server, client):
    known = ", ".join(trigger for trigger in TRIGGERS if trigger != "message.deleted")
    server.reply(refusal(400, message=f"trigger_types must be one of {known}"))
    with pytest.raises(WebhookRefused, match=r"does not know message\.deleted") as caught:
        client.create_webhook(URL)
    assert caught.value.triggers == ("message.deleted",)


def test_a_change_that_names_triggers_without_sending_any_says_so_too(server, client):
    server.reply(refusal(400, message="message.deleted is gone"))
    with pytest.raises(WebhookRefused, match=r"does not know message\.deleted"):
        client.activate_webhook("w-1")


def test_the_answers_own_words_are_not_repeated(server, client):
    server.reply(refusal(400, message="bad address ops@example.com"))
    with pytest.raises(WebhookRefused) as caught:
        client.create_webhook(URL, emails=["ops@example.com"])
    assert "@" not in str(caught.value)
    assert URL not in str(caught.value)


@pytest.mark.parametrize("identifier", ["../grants", "a/b", "{0}", "w?x=1"])
def test_a_hostile_id_stays_one_segment_and_is_not_shown(server, client, identifier):
    server.reply(refusal(404))
    with pytest.raises(NotFound) as caught:
        client.webhook(identifier)
    assert server.seen[0].path.startswith("/v3/webhooks/")
    assert server.seen[0].target.count("/") == 3
    assert "/v3/webhooks/<webhook>" in str(caught.value)


def test_an_empty_id_deletes_nothing_and_lists_nothing(server, client):
    with pytest.raises(NotFound, match="empty"):
        client.webhook("")
    client.delete_webhook("")
    assert server.seen == []


def test_the_applications_pace_holds_for_webhooks_too(server, client, clock):
    server.otherwise = lambda seen: page([])
    begun = clock.monotonic()
    for _ in range(20):
        client.webhooks()
    assert clock.monotonic() - begun >= 19 / 50


def test_cancel_ends_a_creation_under_way(server):
    arrived, over = threading.Event(), threading.Event()
    server.otherwise = lambda seen: silent_until(over, arrived)
    ended = []
    with NylasClient(KEY, server.uri) as client:

        def work():
            try:
                client.create_webhook(URL)
            except MailPipelineError as error:
                ended.append(type(error).__name__)

        worker = threading.Thread(target=work)
        worker.start()
        assert arrived.wait(10)
        client.cancel()
        worker.join(10)
        assert not worker.is_alive()
        over.set()
    assert ended == ["Cancelled"]
