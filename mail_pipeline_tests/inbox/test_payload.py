"""Bodies come out as their sender wrote them, or not at all, and never larger than allowed."""

import gzip
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.inbox.payload import TooLarge, Undecodable, check_size, inflate, is_compressed

GZIP = {"content-encoding": "gzip"}


@given(st.binary(max_size=200_000), st.sampled_from(["gzip", "x-gzip", " GZIP "]))
def test_what_was_compressed_comes_out_as_it_was(body: bytes, encoding: str):
    assert inflate(gzip.compress(body), {"content-encoding": encoding}, limit=len(body)) == body


@pytest.mark.parametrize("headers", [{}, {"content-encoding": ""}, {"content-encoding": "Identity"}])
def test_what_was_not_compressed_is_left_alone(headers: dict[str, str]):
    assert inflate(b"{}", headers, limit=2) == b"{}"
    assert not is_compressed(headers)


def test_a_file_of_several_members_is_one_body():
    assert inflate(gzip.compress(b"one, ") + gzip.compress(b"two") + b"\0\0", GZIP, limit=8) == b"one, two"


@pytest.mark.parametrize("headers", [GZIP, {}])
def test_one_byte_over_the_limit_is_too_large(headers: dict[str, str]):
    body = gzip.compress(b"12345") if headers else b"12345"

    assert inflate(body, headers, limit=5) == b"12345"
    with pytest.raises(TooLarge, match="4 bytes"):
        inflate(body, headers, limit=4)


def test_a_bomb_is_noticed_in_little_memory():
    bomb = gzip.compress(bytes(10**8))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            check_size(bomb, GZIP, limit=5 * 10**7)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10**6


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b'{"not":"compressed"}', "gzip"),
        (gzip.compress(os.urandom(1000))[:-9], "gzip"),
        (gzip.compress(b"x" * 1000)[:15], "gzip"),
        (gzip.compress(b"x")[:-8] + b"12345678", "gzip"),
        (b"{}", "br"),
        (gzip.compress(gzip.compress(b"x")), "gzip, gzip"),
    ],
    ids=["plain", "cut short", "cut shorter", "wrong checksum", "unknown", "twice"],
)
def test_what_cannot_be_inflated_says_so(body: bytes, encoding: str):
    for way in (inflate, check_size):
        with pytest.raises(Undecodable):
            way(body, {"content-encoding": encoding}, limit=10**6)


@given(st.binary(max_size=2_000))
def test_whatever_is_called_gzip_is_decoded_or_refused(body: bytes):
    try:
        found = inflate(body, GZIP, limit=10**6)
    except Undecodable:
        return
    assert not body or found == gzip.decompress(body)
