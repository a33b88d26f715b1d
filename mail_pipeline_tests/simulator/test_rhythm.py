from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.simulator.rhythm import DAY, HOUR, Rhythm, rhythm

BEGIN = int(datetime(2022, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2025, 1, 1, 9, 30, tzinfo=UTC).timestamp())
RHYTHM = Rhythm(BEGIN, END, 1.3)
MONDAY = int(datetime(2024, 3, 4, tzinfo=UTC).timestamp())
FRIDAY, SATURDAY = MONDAY + 4 * DAY, MONDAY + 5 * DAY


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_is_never_earlier(first, second):
    low, high = sorted((first, second))
    assert BEGIN <= RHYTHM.instant(low) <= RHYTHM.instant(high) < END


def test_it_covers_whole_days_and_stops_before_the_last_begun():
    assert RHYTHM.instant(0.0) == BEGIN
    assert END - 2 * DAY < RHYTHM.instant(1.0) < END - END % DAY


@pytest.mark.parametrize("span", [0, 1, HOUR, DAY, 3 * DAY])
def test_the_shortest_spans_still_have_a_day(span):
    short = Rhythm(BEGIN, BEGIN + span, 1.0)
    assert BEGIN <= short.instant(0.5) < BEGIN + max(DAY, span)


def test_equal_shares_fall_into_working_hours():
    moments = [datetime.fromtimestamp(RHYTHM.instant(number / 5_000), UTC) for number in range(5_000)]
    office = sum(moment.weekday() < 5 and 8 <= moment.hour < 18 for moment in moments)
    assert office > 0.7 * len(moments)
    hours = {moment.hour for moment in moments}
    assert hours == set(range(24))


def test_august_and_december_are_quiet():
    flat = Rhythm(BEGIN, END, 1.0)
    months = [datetime.fromtimestamp(flat.instant(number / 20_000), UTC).month for number in range(20_000)]
    assert months.count(8) < 0.75 * months.count(9)
    assert months.count(12) < 0.85 * months.count(11)


@given(st.integers(MONDAY, MONDAY + 14 * DAY), st.floats(0, 1))
def test_nobody_answers_before_being_asked(moment, draw):
    assert RHYTHM.answer_time(moment, draw) >= moment


@given(st.integers(MONDAY, MONDAY + 14 * DAY), st.floats(0.12, 1))
def test_most_people_answer_in_working_hours(moment, draw):
    answered = datetime.fromtimestamp(RHYTHM.answer_time(moment, draw), UTC)
    assert answered.weekday() < 5
    assert 7.5 <= answered.hour + answered.minute / 60 < 19


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (MONDAY + 10 * HOUR, MONDAY + 10 * HOUR),
        (MONDAY + 5 * HOUR, MONDAY + 9 * HOUR),
        (MONDAY + 22 * HOUR, MONDAY + DAY + 9 * HOUR),
        (FRIDAY + 20 * HOUR, MONDAY + 7 * DAY + 9 * HOUR),
        (SATURDAY + 3 * HOUR, MONDAY + 7 * DAY + 9 * HOUR),
        (SATURDAY + 23 * HOUR, MONDAY + 7 * DAY + 9 * HOUR),
    ],
)
def test_what_comes_at_night_or_on_a_weekend_waits_for_the_next_working_morning(asked, answered):
    assert RHYTHM.answer_time(asked, 0.5) == answered


def test_some_answer_at_night():
    assert RHYTHM.answer_time(SATURDAY + 3 * HOUR, 0.05) == SATURDAY + 3 * HOUR


def test_mailboxes_of_the_same_span_share_their_rhythm():
    assert rhythm(BEGIN, END, 1.5) is rhythm(BEGIN, END, 1.5)
    assert rhythm(BEGIN, END, 1.5) is not rhythm(BEGIN, END, 1.6)
