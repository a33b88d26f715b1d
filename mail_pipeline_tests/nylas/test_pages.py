import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas.pages import UnreadableError, decode, read_envelope


def body(**answer):
    return json.dumps({"request_id": "r", "data": [], **answer}).encode()


@pytest.mark.parametrize("end", [{}, {"next_cursor": None}, {"next_cursor": ""}])
def test_an_absent_null_or_empty_cursor_ends_a_list(end):
    assert read_envelope(body(**end), "array").next_cursor is None


@given(st.text(min_size=1), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3))
def test_any_other_cursor_goes_on_even_after_an_empty_page(cursor, records):
    envelope = read_envelope(body(data=records, next_cursor=cursor), "array")
    assert envelope.next_cursor == cursor
    assert envelope.records == records


@pytest.mark.parametrize(
    ("sent", "shape", "complaint"),
    [
        (b"", "array", "expected JSON at $, found an empty body"),
        (b"  \n", "array", "expected JSON at $, found an empty body"),
        (b"<html><body>Sign in</body></html>", "array", "expected JSON at $, found HTML or XML"),
        (b"upstream connect error", "array", "expected JSON at $, found other text"),
        (b'{"data": [{"id": "1"', "array", "expected JSON at $, found broken JSON"),
        (b"[]", "array", "expected an object at $, found an array"),
        (b"null", "array", "expected an object at $, found null"),
        (b"17", "array", "expected an object at $, found a number"),
        (b"{}", "array", "expected an array at $.data, found nothing"),
        (b'{"data": {"threads": []}}', "array", "expected an array at $.data, found an object"),
        (b'{"data": "x"}', "array", "expected an array at $.data, found a string"),
        (b'{"data": true}', "object", "expected an object at $.data, found a boolean"),
        (b'{"data": []}', "object", "expected an object at $.data, found an array"),
        (
            b'{"data": [], "next_cursor": 7}',
            "array",
            "expected a string or null at $.next_cursor, found a number",
        ),
        (
            b'{"data": [], "next_cursor": {}}',
            "array",
            "expected a string or null at $.next_cursor, found an object",
        ),
        (b"[" * 100_000, "array", "expected JSON at $, found broken JSON"),
        (b'{"data": ["\xff]}', "array", "expected JSON at $, found broken JSON"),
        (
            b'{"data": [], "next_cursor": "\\ud800"}',
            "array",
            "expected Unicode at $.next_cursor, found a lone surrogate",
        ),
    ],
)
def test_an_answer_that_is_no_page_names_the_place_and_what_was_expected(sent, shape, complaint):
    with pytest.raises(UnreadableError) as caught:
        read_envelope(sent, shape)
    assert str(caught.value) == complaint


def test_an_object_comes_as_one_record():
    assert read_envelope(b'{"data": {"id": "m"}}', "object").records == [{"id": "m"}]


@given(st.text(max_size=20), st.sampled_from(["\ud800", "\udfff", "a\udc00b", "\x00"]))
def test_a_lone_surrogate_or_nul_does_not_cost_its_page(text, odd):
    records = [{"id": "1", "body": text + odd}, {"id": "2", "body": "whole"}]
    assert read_envelope(body(data=records), "array").records == records


def test_a_page_without_oddities_is_decoded_the_same_by_either_decoder():
    sent = body(data=[{"id": "1", "date": 1, "body": "ü😀", "unread": True, "bcc": None, "x": 1.5}])
    assert decode(sent) == json.loads(sent)


DEEP = 20_000


def depth(value: Any) -> int:
    levels = 0
    while value:
        levels, value = levels + 1, value[0] if isinstance(value, list) else value["x"]
    return levels


@pytest.mark.parametrize("deep", [b"[" * DEEP + b"]" * DEEP, b'{"x": ' * DEEP + b"{}" + b"}" * DEEP])
def test_a_record_nested_to_any_depth_does_not_cost_its_page(deep):
    sent = b'{"data": [{"id": "1", "x": %s}, {"id": "2"}], "next_cursor": "c"}' % deep
    envelope = read_envelope(sent, "array")

    assert [each["id"] for each in envelope.records] == ["1", "2"]
    assert DEEP - 1 <= depth(envelope.records[0]["x"]) <= DEEP
    assert envelope.next_cursor == "c"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from([None, 2]), st.booleans())
def test_beside_what_is_nested_deeply_everything_reads_as_ever(value, indent, ascii_only):
    sent = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    _, beside = decode(b" [%s , %s] " % (b"[" * 2_000 + b"]" * 2_000, sent))

    assert beside == value


@given(json_values, st.data())
def test_a_deep_page_that_is_damaged_stays_an_error(value, data):
    deep = b"[" * 2_000 + b"]" * 2_000
    whole = json.dumps([{"deep": "DEEP", "value": value, "end": [1]}]).encode().replace(b'"DEEP"', deep)
    damaged = [whole[: data.draw(st.integers(len(deep), len(whole) - 1))], whole + b"]", whole[:-1] + b",]"]
    damaged += [whole.replace(b'"end":', b'"end"'), whole.replace(b', "end"', b', end"'), whole[:-1] + b"}"]
    for sent in damaged:
        with pytest.raises(UnreadableError, match="found broken JSON"):
            decode(sent)


def test_bytes_that_are_not_utf_8_do_not_cost_their_page_and_are_not_forgotten():
    sent = '{"data": [{"id": "1", "subject": "caf\xe9"}, {"id": "2", "subject": "ok"}]}'.encode("latin-1")
    first, second = read_envelope(sent, "array").records

    assert first["subject"].encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert second == {"id": "2", "subject": "ok"}


def test_a_control_character_in_a_text_does_not_cost_its_page():
    assert decode(b'{"data": ["a\nb\x01"]}') == {"data": ["a\nb\x01"]}


def test_a_number_of_any_length_does_not_cost_its_page():
    [huge, negative, other] = decode(b"[%s, -%s, 7]" % (b"9" * 5_000, b"9" * 5_000))

    assert (huge, negative, other) == (math.inf, -math.inf, 7)


def test_an_integer_of_more_than_64_bits_is_a_float_or_whole_where_the_page_has_another_oddity():
    assert isinstance(decode(b"[%d]" % 10**30)[0], float)
    assert decode(b'[%d, "\\ud800"]' % 10**30)[0] == 10**30


@pytest.mark.parametrize("odd", [None, 7, [], {"a": 1}])
def test_a_request_id_that_is_no_text_is_left_out(odd):
    assert read_envelope(body(request_id=odd), "array").request_id == ""


@pytest.mark.parametrize(("said", "limit"), [(100, 100), (0, None), ("100", None), (None, None)])
def test_the_page_size_is_taken_from_the_answer_where_it_is_one(said, limit):
    assert read_envelope(body(limit=said), "array").limit == limit
