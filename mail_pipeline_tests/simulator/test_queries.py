from typing import Any

import pytest

from mail_pipeline.simulator.mailboxes import Grant
from mail_pipeline.simulator.problems import ApiError
from mail_pipeline.simulator.queries import (
    MessageQuery,
    flag,
    message_list_query,
    message_query,
    paging,
    selected,
    whole_number,
)
from mail_pipeline.simulator.rhythm import DAY

GOOGLE, EWS, IMAP = (Grant(provider, provider, 0) for provider in ("google", "ews", "imap"))


def _refused(call, *arguments):
    with pytest.raises(ApiError) as refused:
        call(*arguments)
    assert refused.value.status == 400
    assert refused.value.kind == "invalid_request_error"
    return refused.value.message


def test_nothing_asked_is_everything():
    assert message_list_query(GOOGLE, {}) == MessageQuery()
    assert message_query(GOOGLE, {}) == MessageQuery()


def test_empty_parameters_count_as_absent():
    assert message_list_query(GOOGLE, {"in": "", "select": "", "received_after": ""}) == MessageQuery()
    assert paging("p", {"page_token": "", "limit": ""}).page_token is None


def test_times_exclude_the_second_they_name():
    query = message_list_query(GOOGLE, {"received_after": "100", "received_before": "200"})
    assert (query.first, query.end) == (101, 200)


def test_ews_compares_days_and_includes_both():
    noon = 10 * DAY + DAY // 2
    query = message_list_query(EWS, {"received_after": str(noon), "received_before": str(noon)})
    assert (query.first, query.end) == (10 * DAY, 11 * DAY)


@pytest.mark.parametrize("value", ["-1", "1.5", "1e3", "٣", "soon", " 1"])
def test_a_time_is_a_whole_number_of_seconds(value):
    assert "received_after" in _refused(message_list_query, GOOGLE, {"received_after": value})


def test_query_imap_is_for_the_imap_family_and_names_a_folder():
    assert message_list_query(IMAP, {"query_imap": "true", "in": "a/b"}).folder_id == "a/b"
    assert "in is required" in _refused(message_list_query, IMAP, {"query_imap": "true"})
    assert "google" in _refused(message_list_query, GOOGLE, {"query_imap": "true", "in": "INBOX"})
    assert message_query(IMAP, {"query_imap": "true"}).query_imap


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("false", False), ("FALSE", False)]
)
def test_flags_are_true_or_false(text, value):
    assert flag({"x": text}, "x") is value
    assert flag({}, "x") is False


@pytest.mark.parametrize("text", ["1", "yes", ""])
def test_other_flags_are_refused(text):
    assert "must be true or false" in _refused(flag, {"x": text}, "x")


def test_a_limit_has_a_default_and_bounds():
    assert paging("p", {}).limit == 50
    assert paging("p", {}, default=10).limit == 10
    assert [paging("p", {"limit": limit}).limit for limit in ("1", "200")] == [1, 200]
    for limit in ("0", "201", "-1", "x"):
        assert "limit" in _refused(paging, "p", {"limit": limit})


def test_cursors_are_bound_to_the_path_and_to_all_parameters_but_limit_and_cursor():
    base = paging("p", {"in": "a", "select": "b"}).binding
    assert paging("p", {"select": "b", "in": "a", "limit": "3", "page_token": "t"}).binding == base
    others = [
        paging("q", {"in": "a", "select": "b"}),
        paging("p", {"in": "ab", "select": ""}),
        paging("p", {"in": "a", "select": "b", "received_after": "1"}),
    ]
    assert base not in {other.binding for other in others}


def test_select_names_top_level_fields():
    records: list[dict[str, Any]] = [{"id": 1, "body": "x", "date": 3}, {"id": 2}]
    assert selected(records, frozenset({"id", "date"})) == [{"id": 1, "date": 3}, {"id": 2}]
    assert selected(records, None) == records
    assert message_list_query(GOOGLE, {"select": " id ,, date"}).select == frozenset({"id", "date"})


def test_whole_numbers_have_defaults():
    assert whole_number({}, "x", 3) == 3
    assert whole_number({"x": ""}, "x", None) is None
    assert whole_number({"x": "007"}, "x", None) == 7
