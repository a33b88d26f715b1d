"""The plan of a backfill follows from what folders report and from the pacing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas import Limits
from mail_pipeline.sync.plan import plan, thread_cost


@pytest.mark.parametrize(
    ("provider", "pages"), [("microsoft", 13), ("imap", 13), ("ews", 50), ("yahoo", 13), ("other", 13)]
)
def test_pages_are_as_large_as_the_provider_allows(provider: str, pages: int):
    expected = plan(provider, 2_500, limits=Limits())
    assert expected is not None
    assert (expected.messages, expected.pages, expected.quota_units) == (2_500, pages, 0)


def test_an_analysts_smaller_page_makes_more_of_them():
    expected = plan("microsoft", 100, limits=Limits(), page_size=10)
    assert expected is not None
    assert expected.pages == 10


def test_nothing_is_planned_where_nobody_says_how_much_there_is():
    assert plan("imap", None, limits=Limits()) is None


def test_an_empty_mailbox_costs_its_one_page():
    expected = plan("imap", 0, limits=Limits())
    assert expected is not None
    assert expected.pages == 1


def test_the_time_follows_what_pages_have_taken_so_far_and_never_beats_the_pace():
    slow = plan("microsoft", 2_000, limits=Limits(), seconds_per_page=3.0)
    quick = plan("microsoft", 2_000, limits=Limits(), seconds_per_page=0.01)
    assert slow is not None
    assert quick is not None
    assert slow.seconds == 30
    assert quick.seconds == math.ceil(10 * Limits().page_interval)


@given(messages=st.integers(0, 1_000_000), budget=st.floats(1, 400))
def test_googles_time_is_its_units_at_the_budget(messages: int, budget: float):
    expected = plan("google", messages, limits=Limits(google_units_per_second=budget))
    assert expected is not None
    each = 20 if budget <= 100 else 5
    assert expected.quota_units == 5 * expected.pages + each * messages
    assert expected.seconds == math.ceil(expected.quota_units / budget)
    assert expected.pages >= math.ceil(messages / 200)


@pytest.mark.parametrize(("provider", "cost"), [("google", (3, 1_640)), ("microsoft", (3, 0))])
def test_threads_cost_forty_units_each_on_gmail_and_a_request_per_twenty(
    provider: str, cost: tuple[int, int]
):
    assert thread_cost(provider, 41) == cost
