import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas.redaction import shown_grant, shown_request, shown_token


def test_a_grant_id_is_shown_for_it_names_what_to_reconnect():
    assert shown_grant("5f3e0a52-7d1c-4d8e") == "5f3e0a52-7d1c-4d8e"


@pytest.mark.parametrize("given", ["alice@example.com", "email:alice@example.com", "", "a b", "x" * 65])
def test_whatever_is_no_plain_grant_id_is_not_shown(given):
    assert shown_grant(given) == "<grant>"


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_only_one_plain_word_passes_as_an_error_type_or_request_id(value):
    shown = shown_token(value)
    assert shown in ("", value)
    assert not set(shown) & set("@ \n<>\"'&")


def test_parameters_are_shown_by_name_alone():
    shown = shown_request("GET", "/v3/grants/g/messages", {"limit": 5, "in": "Private folder"})
    assert shown == "GET /v3/grants/g/messages?limit&in"
