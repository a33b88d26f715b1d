"""A body is taken only with a signature of one of the secrets over its very bytes."""

import gzip
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.inbox.signature import verify

# The public vector of the vendor's Java SDK, in its test of the validator.
SECRET = "UfZWFrkjsbg5bxLbax-y"
BODY = (
    b'{"specversion":"1.0","type":"grant.deleted","source":"/nylas/system","id":"Kkx2QQB7TWjWM3KXRQQn562394",'
    b'"time":1717162394,"webhook_delivery_attempt":1,"data":{"application_id":'
    b'"a7966b5a-9bc2-44b7-9895-4e2b281ce6be","object":{"code":25013,"grant_id":'
    b'"4c22c3c5-d163-48b6-ad95-45fedc879683","integration_id":"b7dd6e6e-af6a-463b-92fa-be35c2683f5c",'
    b'"metric":1934,"provider":"google"}}}'
)
SIGNATURE = "a4534f7e68dcd54f0621f7539ddd5a0d14a9a46ace9b68a4cfd9c99b4b6b89cc"


def sign(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_the_vendors_public_vector_verifies():
    assert verify(BODY, SIGNATURE, [SECRET])


@pytest.mark.parametrize("secrets", [["new", SECRET], [SECRET, "old"], ["a", SECRET, "b"]])
def test_any_of_several_secrets_will_do(secrets: list[str]):
    assert verify(BODY, SIGNATURE, secrets)


@pytest.mark.parametrize(
    "signature",
    [None, "", SIGNATURE[:-1], SIGNATURE + "0", SIGNATURE.upper(), "é" * 64, sign(BODY, "other"), "0" * 64],
)
def test_nothing_else_verifies(signature: str | None):
    assert not verify(BODY, signature, [SECRET])


def test_without_a_secret_nothing_verifies():
    assert not verify(BODY, SIGNATURE, [])


def test_the_signature_is_over_the_compressed_bytes():
    compressed = gzip.compress(BODY)

    assert verify(compressed, sign(compressed, SECRET), [SECRET])
    assert not verify(compressed, SIGNATURE, [SECRET])


@given(st.binary(min_size=1, max_size=300), st.text(min_size=1, max_size=40), st.data())
def test_one_changed_byte_is_noticed(body: bytes, secret: str, data: st.DataObject):
    position = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[position] ^= data.draw(st.integers(1, 255))

    assert verify(body, sign(body, secret), [secret])
    assert not verify(bytes(changed), sign(body, secret), [secret])
