import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas.provider_clock import ProviderClock, http_date
from mail_pipeline_tests.nylas.scripted import JumpingClock

ROUNDING = 1e-5  # floats of 1.7e9 seconds are exact to about 1e-7
DRIFT = 2e-4

latencies = st.floats(0, 30)
exchanges = st.lists(
    st.tuples(st.floats(0, 20), latencies, latencies, st.floats(0, 20)), min_size=1, max_size=30
)


@given(
    distance=st.floats(-1e9, 2e9),
    wall=st.floats(0, 4e9),
    exchanges=exchanges,
    order=st.randoms(use_true_random=False),
)
def test_a_request_is_never_dated_after_its_true_sending_and_hardly_before(distance, wall, exchanges, order):
    """Whatever the skew of the wall clock, the latencies, and the order in which answers are taken in."""
    clock = JumpingClock(wall_start=wall)
    provider = ProviderClock(clock)

    def true_time(monotonic):
        return monotonic + distance + 2e9

    answers = []
    start = clock.monotonic()
    for pause, there, back, reading in exchanges:
        clock.advance(pause)
        sent = clock.monotonic()
        clock.advance(there)
        date = formatdate(math.floor(true_time(clock.monotonic())), usegmt=True)
        clock.advance(back)
        answers.append((sent, date, clock.monotonic(), back))
        clock.advance(reading)
    order.shuffle(answers)
    for _, date, received, _ in answers:
        provider.learn(date, received)
    shortest = min(back for *_, back in answers)
    lost_to_drift = 3 * DRIFT * (clock.monotonic() - start)
    for sent, *_ in answers:
        told = provider.at(sent)
        assert told <= true_time(sent) + ROUNDING
        assert told >= true_time(sent) - shortest - 1 - lost_to_drift - ROUNDING


@given(drift=st.floats(-1.9e-4, 1.9e-4), pauses=st.lists(st.floats(0, 3600), min_size=1, max_size=20))
def test_clocks_that_drift_apart_never_make_it_late(drift, pauses):
    clock = JumpingClock()
    provider = ProviderClock(clock)
    start = clock.monotonic()
    for pause in pauses:
        clock.advance(pause)
        now = clock.monotonic()
        true_time = 1.8e9 + now + drift * (now - start)
        provider.learn(formatdate(math.floor(true_time), usegmt=True), now)
        assert provider.at(now) <= true_time + ROUNDING


def test_without_any_date_header_the_wall_clock_has_to_do():
    clock = JumpingClock(wall_start=1_600_000_000)
    provider = ProviderClock(clock)
    sent = clock.monotonic()
    clock.advance(7)
    provider.learn(None, clock.monotonic())
    provider.learn("yesterday, or so", clock.monotonic())
    assert provider.at(sent) == pytest.approx(1_600_000_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sun, 06 Nov 1994 08:49:37", 784111777.0),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784111777.0),
        ("120", None),
        ("", None),
        (None, None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_http_dates_are_read_and_anything_else_is_not(text, seconds):
    assert http_date(text) == seconds
