import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas import Cancelled, Clock, Limits, Pace
from mail_pipeline.nylas.quota import UnitBudget
from mail_pipeline_tests.nylas.scripted import JumpingClock


@pytest.fixture
def clock():
    return JumpingClock()


def starts(pace, count, *, cost=0, interval=0.2):
    found = []
    for _ in range(count):
        with pace.turn(cost, interval) as turn:
            found.append(turn.started)
    return found


def test_pages_start_at_least_the_interval_apart(clock):
    first, second, third = starts(Pace(clock, in_flight=1), 3)
    assert second - first == pytest.approx(0.2)
    assert third - second == pytest.approx(0.2)


def test_the_time_a_request_took_counts_towards_the_interval(clock):
    pace = Pace(clock, in_flight=1)
    with pace.turn(0, 0.2):
        clock.advance(5)
    with pace.turn(0, 0.2):
        assert clock.waits == []


def test_a_hold_stops_the_whole_grant_until_it_ends(clock):
    pace = Pace(clock, in_flight=4)
    before = clock.monotonic()
    pace.hold(30)
    pace.hold(10)
    assert starts(pace, 1)[0] - before >= 30


def test_held_until_tells_when_in_unix_seconds(clock):
    pace = Pace(clock, in_flight=1)
    assert pace.held_until is None
    pace.hold(30)
    assert pace.held_until == pytest.approx(clock.time() + 30)
    assert pace.hold_left == pytest.approx(30)
    clock.advance(31)
    assert pace.held_until is None
    assert pace.hold_left == 0


def test_held_until_is_seen_from_another_thread_while_one_waits_for_quota():
    clock = Clock()
    pace = Pace(clock, in_flight=1, budget=UnitBudget(1))
    starts(pace, 1, cost=50)

    def wait():
        with pytest.raises(Cancelled):
            starts(pace, 1, cost=50)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while pace.held_until is None:
        assert waiting.is_alive()
    left = pace.held_until - clock.time()
    clock.cancel()
    waiting.join(5)
    assert not waiting.is_alive()
    assert 30 < left < 61


def test_waiting_for_the_plain_interval_is_no_hold(clock):
    pace = Pace(clock, in_flight=1)
    starts(pace, 2, interval=5)
    assert pace.held_until is None


def test_no_more_than_the_allowed_requests_run_at_once():
    pace = Pace(Clock(), in_flight=4)
    running, most, lock = 0, 0, threading.Lock()
    all_in = threading.Barrier(4)

    def request(_):
        nonlocal running, most
        with pace.turn(0, 0):
            with lock:
                running += 1
                most = max(most, running)
            all_in.wait(5)
            with lock:
                running -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(request, range(24)))
    assert most == 4
    assert pace.requests == 24


def test_a_request_that_fails_gives_its_slot_back(clock):
    pace = Pace(clock, in_flight=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), pace.turn(0, 0):
            raise ZeroDivisionError
    assert len(starts(pace, 1)) == 1


def test_a_cancelled_pace_starts_nothing(clock):
    pace = Pace(clock, in_flight=1)
    clock.cancel()
    with pytest.raises(Cancelled):
        starts(pace, 1)
    assert pace.requests == 0


def test_what_was_spent_is_counted(clock):
    pace = Pace(clock, in_flight=1, budget=UnitBudget(150))
    with pace.turn(pace.cost(10), 0) as turn:
        turn.units = 55
        pace.served(1_000, messages=10, units=55)
    starts(pace, 1, cost=5)
    pace.served(500)
    assert (pace.requests, pace.body_bytes, pace.quota_units) == (2, 1_500, 60)


def test_only_google_counts_units(clock):
    assert Pace(clock, in_flight=1).cost(200) == 0
    assert Pace(clock, in_flight=1).page_size(200) == 200
    assert not Pace(clock, in_flight=1).counts_units
    assert Pace(clock, in_flight=1, budget=UnitBudget(150)).counts_units


@pytest.mark.parametrize(
    ("provider", "at_once", "page"),
    [
        ("microsoft", 4, 200),
        ("imap", 1, 200),
        ("yahoo", 1, 200),
        ("icloud", 1, 200),
        ("ews", 4, 50),
        ("google", 4, 200),
        ("some-provider-of-2031", 4, 200),
    ],
)
def test_each_provider_gets_its_own_limits(provider, at_once, page):
    limits = Limits()
    assert limits.in_flight(provider) == at_once
    assert limits.largest_page(provider) == page


@given(st.integers(1, 5_000))
def test_backoff_grows_to_a_minute_and_no_further(failures):
    longest = max(Limits().backoff(failures) for _ in range(20))
    assert 0 <= longest <= min(60, 2.0 ** min(failures - 1, 30))
