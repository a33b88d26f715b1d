"""The order of a changing mailbox against a plain sorted list."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mail_pipeline.simulator.order import Order

DATES = (3, 3, 3, 5, 8, 8, 13, 21)


def count_before(moment: int) -> int:
    return bisect_left(DATES, moment)


class Ordering(RuleBasedStateMachine):
    """Adds, removes and puts back; a list of (date, serial) is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.order = Order(len(DATES), count_before)
        self.dates = dict(enumerate(DATES))
        self.there = set(self.dates)

    @rule(date=st.integers(0, 25))
    def add(self, date: int) -> None:
        serial = self.order.add(date)
        assert serial not in self.dates
        self.dates[serial] = date
        self.there.add(serial)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        serial = data.draw(st.sampled_from(sorted(self.there)))
        self.order.remove(serial)
        self.there.remove(serial)

    @precondition(lambda self: len(self.there) < len(self.dates))
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        serial = data.draw(st.sampled_from(sorted(set(self.dates) - self.there)))
        self.order.put_back(serial)
        self.there.add(serial)

    @invariant()
    def it_is_the_sorted_list(self) -> None:
        expected = sorted((self.dates[serial], serial) for serial in self.there)
        order = self.order
        assert len(order) == len(expected)
        assert [order.serial(rank) for rank in range(len(order))] == [serial for _, serial in expected]
        for moment in range(27):
            assert order.count_before(moment) == bisect_left(expected, (moment, -1))
        for serial, date in self.dates.items():
            assert order.holds(serial) is (serial in self.there)
            # A message that is gone has the place of the next older one.
            assert order.rank(serial) == bisect_left(expected, (date, serial + 1)) - 1


TestOrdering = Ordering.TestCase


def test_before_the_oldest_lies_minus_one():
    assert Order(3, count_before).rank(-1) == -1


@given(st.integers())
def test_a_rank_outside_the_mailbox_is_an_error(rank):
    order = Order(len(DATES), count_before)
    order.remove(2)
    if not 0 <= rank < len(DATES) - 1:
        with pytest.raises(IndexError):
            order.serial(rank)


def test_a_serial_never_given_is_an_error():
    with pytest.raises(KeyError):
        Order(3, count_before).rank(3)
