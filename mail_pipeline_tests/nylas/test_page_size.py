from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.nylas.page_size import SMALLEST_PAGE, PageSize


def test_a_slow_page_is_halved_and_the_size_remembered():
    size = PageSize(200)
    size.too_slow(size.limit(None))
    assert size.limit(None) == 100
    size.too_slow(size.limit(None))
    assert size.limit(None) == 50


def test_it_never_goes_under_five():
    size = PageSize(200)
    for _ in range(20):
        size.too_slow(size.limit(None))
    assert size.limit(None) == SMALLEST_PAGE == 5


def test_two_requests_that_were_slow_at_the_same_size_halve_it_once():
    size = PageSize(200)
    size.too_slow(200)
    size.too_slow(200)
    assert size.limit(None) == 100


def test_it_doubles_after_twenty_good_pages_in_a_row():
    size = PageSize(200)
    size.too_slow(200)
    for _ in range(19):
        size.served()
    assert size.limit(None) == 100
    size.served()
    assert size.limit(None) == 200


def test_a_slow_page_starts_the_count_of_good_ones_anew():
    size = PageSize(200)
    size.too_slow(200)
    for _ in range(19):
        size.served()
    size.too_slow(100)
    size.served()
    assert size.limit(None) == 50


@given(st.integers(5, 200), st.lists(st.one_of(st.none(), st.integers(1, 300)), max_size=60))
def test_whatever_happens_the_size_stays_between_one_and_the_largest(largest, wishes):
    size = PageSize(largest)
    for wish in wishes:
        limit = size.limit(wish)
        assert 1 <= limit <= min(largest, wish or largest)
        size.too_slow(limit)
        for _ in range(25):
            size.served()
