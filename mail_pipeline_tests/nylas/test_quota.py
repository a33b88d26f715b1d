import math
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.nylas.pacing import Pace
from mail_pipeline.nylas.quota import LIST_UNITS, WINDOW_SECONDS, UnitBudget
from mail_pipeline_tests.nylas.scripted import JumpingClock

FULL_PAGE = 200


@dataclass
class SlidingWindow:
    """What a provider does: refuses what would bring the last 60 s over its limit."""

    limit: float
    charges: list[tuple[float, int]] = field(default_factory=list)

    def allows(self, moment: float, units: int) -> bool:
        recent = sum(charge for at, charge in self.charges if at > moment - WINDOW_SECONDS)
        if recent + units > self.limit:
            return False
        self.charges.append((moment, units))
        return True

    def fullest(self) -> int:
        return max(
            sum(units for at, units in self.charges if start <= at <= start + WINDOW_SECONDS)
            for start, _ in self.charges
        )


@dataclass
class Run:
    """A mailbox listed to its end at a pace; each page is charged somewhere within its request."""

    budget: float
    price: int
    messages: int
    latencies: list[tuple[float, float]]
    headroom: float = 0.95
    starts: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        clock = JumpingClock()
        pace = Pace(clock, in_flight=4, budget=UnitBudget(self.budget))
        self.window = SlidingWindow(self.budget / self.headroom * WINDOW_SECONDS)
        began, left, page = clock.monotonic(), self.messages, 0
        while left:
            size = pace.page_size(FULL_PAGE)
            there, back = self.latencies[page % len(self.latencies)]
            page += 1
            with pace.turn(pace.cost(size), 0.2) as turn:
                clock.advance(there)
                found = min(size, left)
                units = LIST_UNITS + self.price * found
                if not self.window.allows(clock.monotonic(), units):
                    self.refused += 1
                    turn.units = 0
                    continue
                clock.advance(back)
                left -= found
                turn.units = units
                pace.served(0, messages=found, units=units)
                self.starts.append((turn.started, units))
        self.seconds = clock.monotonic() - began


budgets = st.floats(70, 1000)
prices = st.sampled_from([5, 20])
latencies = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=12)


@settings(max_examples=40)
@given(budgets, prices, st.integers(1, 5_000), latencies)
def test_no_sixty_seconds_hold_more_than_sixty_times_the_budget(budget, price, messages, latencies):
    run = Run(budget, price, messages, latencies)
    assert run.window.fullest() <= WINDOW_SECONDS * budget
    assert run.refused == 0


@settings(max_examples=40)
@given(budgets, prices, st.integers(1, 5_000), latencies)
def test_the_next_page_starts_no_sooner_than_what_the_last_one_cost(budget, price, messages, latencies):
    starts = Run(budget, price, messages, latencies).starts
    for (before, units), (after, _) in pairwise(starts):
        assert after - before >= max(0.2, units / budget) - 1e-6


@settings(max_examples=40)
@given(st.floats(20, 400), prices, st.floats(0, 0.6), st.floats(0, 0.6))
def test_a_mailbox_takes_the_quotas_own_time_and_at_most_a_tenth_more(budget, price, there, back):
    """Against a server whose limit the budget is 95 % of, over at least ten of its minutes.

    Above 400 units a second a page's latency, not its quota, would decide.
    """
    messages = math.ceil(10 * WINDOW_SECONDS * budget / price)
    run = Run(budget, price, messages, [(there, back)])
    units = price * messages + LIST_UNITS * math.ceil(messages / FULL_PAGE)
    assert run.refused == 0
    assert run.seconds <= 1.1 * units / (budget / 0.95)


@given(st.floats(1, 5_000), prices, st.integers(1, FULL_PAGE))
def test_a_page_asked_for_fits_the_window(budget, price, wanted):
    units = UnitBudget(budget)
    units.served(100, LIST_UNITS + 100 * price)
    size = units.page_size(wanted)
    assert 1 <= size <= wanted
    assert size == 1 or units.cost(size) <= WINDOW_SECONDS * budget


def test_pages_are_sized_so_that_a_whole_number_of_them_fills_a_minute():
    budget = UnitBudget(95)
    budget.served(100, LIST_UNITS + 100 * 20)
    size = budget.page_size(FULL_PAGE)
    assert size == 142
    assert 0.99 * 95 * 60 <= 2 * budget.cost(size) <= 95 * 60


def test_before_the_first_answer_a_message_is_taken_to_cost_the_most():
    assert UnitBudget(150).cost(200) == 4_005


def test_the_price_of_a_message_is_learned_from_what_an_answer_says():
    budget = UnitBudget(150)
    budget.served(200, 1_005)
    assert budget.cost(200) == 1_005
    assert budget.page_size(200) == 199
    budget.served(0, LIST_UNITS)
    assert budget.cost(200) == 1_005


def test_one_request_dearer_than_a_whole_minute_goes_when_the_minute_is_empty():
    budget = UnitBudget(1)
    assert budget.wait(0, 500) <= 0
    budget.start(0, 500)
    budget.end(1, 500, 500)
    assert budget.wait(1, 500) > 498
    assert budget.wait(600, 500) <= 0


@given(st.floats(20, 1000), st.integers(1, 40))
def test_a_throttled_budget_slows_down_and_comes_back_to_what_was_set(rate, refusals):
    budget, untouched = UnitBudget(rate), UnitBudget(rate)
    for _ in range(refusals):
        budget.throttled()
    budget.start(0, 100)
    untouched.start(0, 100)
    slowed, usual = budget.wait(0, 1), untouched.wait(0, 1)
    assert usual < slowed <= 10.001 * usual
    for _ in range(120):
        budget.served(1, LIST_UNITS + 20)
    again = UnitBudget(rate)
    for each in (budget, again):
        each.start(1_000, 100)
    assert budget.wait(1_000, 1) == again.wait(1_000, 1)


def test_units_reserved_by_a_request_under_way_are_not_given_twice():
    budget = UnitBudget(10)
    budget.start(0, 400)
    assert budget.wait(50, 300) > 0
    budget.end(50, 400, 100)
    assert budget.wait(50, 300) <= 0


@given(st.sampled_from([100.0, 150.0, 250.0]), prices, st.integers(1, 5))
def test_pages_leave_room_for_the_messages_fetched_one_by_one(budget, price, singles):
    units = UnitBudget(0.95 * budget)
    units.served(FULL_PAGE, LIST_UNITS + price * FULL_PAGE)
    for _ in range(singles):
        units.start(0.0, units.cost(1))
        units.end(0.0, units.cost(1), price)
    page = units.cost(units.page_size(FULL_PAGE))
    pages = math.floor(WINDOW_SECONDS * 0.95 * budget / page)
    assert pages * page + (singles + 1) * price <= WINDOW_SECONDS * 0.95 * budget
