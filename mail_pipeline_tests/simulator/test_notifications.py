"""Envelopes, suffixes and signatures."""

import gzip
import hashlib
import hmac

import orjson
import pytest

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.delivery import signature
from mail_pipeline.simulator.notifications import CLEANED, TRUNCATED_OVER

VECTOR = (
    b'{"specversion":"1.0","type":"grant.deleted","source":"/nylas/system","id":"Kkx2QQB7TWjWM3KXRQQn562394",'
    b'"time":1717162394,"webhook_delivery_attempt":1,"data":{"application_id":'
    b'"a7966b5a-9bc2-44b7-9895-4e2b281ce6be","object":{"code":25013,"grant_id":'
    b'"4c22c3c5-d163-48b6-ad95-45fedc879683","integration_id":"b7dd6e6e-af6a-463b-92fa-be35c2683f5c",'
    b'"metric":1934,"provider":"google"}}}'
)


@pytest.fixture
def simulator():
    fleet = Fleet.generate(0, [MailboxSpec(messages=0)])
    return Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(1.8e9), webhook_secret="s")


@pytest.fixture
def grant_id(simulator):
    return simulator.fleet.mailbox(0).grant.id


def test_the_public_vector_is_signed_as_nylas_signs_it():
    expected = "a4534f7e68dcd54f0621f7539ddd5a0d14a9a46ace9b68a4cfd9c99b4b6b89cc"
    assert signature("UfZWFrkjsbg5bxLbax-y", VECTOR) == expected


def test_an_envelope_is_as_documented(simulator, grant_id, receiver):
    receiver.subscribe(simulator)
    message_id = simulator.provider.arrive(grant_id)
    simulator.provider.create_folder(grant_id, "Plans")
    simulator.provider.expire(grant_id)
    simulator.postman.deliver()
    message, folder, grant = (one.envelope for one in receiver.take())

    assert list(message) == [
        "specversion",
        "type",
        "source",
        "id",
        "time",
        "data",
        "webhook_delivery_attempt",
    ]
    assert (message["specversion"], message["type"], message["time"]) == ("1.0", "message.created", 1.8e9)
    assert message["webhook_delivery_attempt"] == 1
    assert set(message["data"]) == {"application_id", "object"}
    assert message["data"]["object"]["id"] == message_id
    assert message["data"]["object"]["grant_id"] == grant_id
    assert [one["source"] for one in (message, folder, grant)] == [
        "/google/emails/realtime",
        "/google/folders/realtime",
        "/nylas/system",
    ]
    assert len({one["id"] for one in (message, folder, grant)}) == 3


@pytest.mark.parametrize("compressed", [False, True])
def test_the_signature_covers_the_bytes_as_sent(simulator, grant_id, receiver, compressed):
    receiver.subscribe(simulator, compressed_delivery=compressed)
    simulator.provider.arrive(grant_id)
    simulator.postman.deliver()
    [one] = receiver.take()

    expected = hmac.new(b"s", one.body, hashlib.sha256).hexdigest()
    assert one.headers["x-nylas-signature"] == expected
    assert one.headers.get("content-encoding") == ("gzip" if compressed else None)
    raw = gzip.decompress(one.body) if compressed else one.body
    assert orjson.loads(raw)["type"] == "message.created"


def test_a_rotated_secret_signs_from_then_on(simulator, grant_id, receiver):
    webhook_id = receiver.subscribe(simulator)
    simulator.provider.arrive(grant_id)
    secret = simulator.webhooks.rotate(webhook_id).secret
    simulator.postman.deliver()
    [one] = receiver.take()

    assert one.headers["x-nylas-signature"] == signature(secret, one.body)


def test_nothing_but_what_was_subscribed_to_is_sent(simulator, grant_id, receiver):
    receiver.subscribe(simulator, ["message.deleted"])
    message_id = simulator.provider.arrive(grant_id)
    simulator.provider.flag(grant_id, message_id, unread=False)
    simulator.provider.delete(grant_id, message_id)
    simulator.postman.deliver()

    assert receiver.types() == ["message.deleted"]


def test_over_a_megabyte_the_body_is_left_out_and_the_type_says_so(simulator, grant_id, receiver):
    receiver.subscribe(simulator)
    small = simulator.provider.arrive(grant_id, size=TRUNCATED_OVER - 50_000)
    large = simulator.provider.arrive(grant_id, size=TRUNCATED_OVER)
    simulator.provider.flag(grant_id, large, unread=False)
    simulator.postman.deliver()
    came = receiver.take()

    assert [(one.type, one.object["id"]) for one in came] == [
        ("message.created", small),
        ("message.created.truncated", large),
        ("message.updated.truncated", large),
    ]
    assert ["body" in one.object for one in came] == [True, False, False]
    assert "snippet" in came[1].object


def test_cleaned_is_subscribed_to_by_itself_and_carries_markdown(simulator, grant_id, receiver):
    receiver.subscribe(simulator, [CLEANED])
    simulator.provider.arrive(grant_id, body="<html><body><p>Tea &amp; cake</p><p>At noon</p></body></html>")
    simulator.postman.deliver()
    [one] = receiver.take()

    assert one.type == CLEANED
    assert one.object["body"] == "Tea & cake\n\nAt noon"
    assert one.object["cleaning_status"] == "success"


def test_both_forms_are_sent_under_their_own_ids(simulator, grant_id, receiver):
    receiver.subscribe(simulator, ["message.created", CLEANED])
    simulator.provider.arrive(grant_id)
    simulator.postman.deliver()
    first, second = receiver.take()

    assert (first.type, second.type) == ("message.created", CLEANED)
    assert first.envelope["id"] != second.envelope["id"]


def test_suffixes_are_switched_on_and_combine(simulator, grant_id, receiver):
    receiver.subscribe(simulator, ["message.created", "message.updated", "message.deleted", CLEANED])
    simulator.postman.style.transformed_without = {"cc", "attachments", "id"}
    message_id = simulator.provider.arrive(grant_id, size=2 * TRUNCATED_OVER)
    simulator.postman.style.metadata_only = {grant_id}
    simulator.provider.flag(grant_id, message_id, unread=False)
    simulator.provider.delete(grant_id, message_id)
    simulator.postman.deliver()
    created, cleaned, updated, deleted = receiver.take()

    assert created.type == "message.created.transformed.truncated"
    assert cleaned.type.startswith("message.created.cleaned.transformed")
    assert updated.type == "message.updated.transformed.metadata"
    assert deleted.type == "message.deleted"
    assert not {"cc", "attachments", "body"} & set(created.object)
    assert created.object["id"] == message_id
    assert not {"cc", "snippet", "body"} & set(updated.object)
