import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.simulator.cursors import Cursors, Position
from mail_pipeline.simulator.problems import ApiError

positions = st.builds(Position, st.integers(-1, 2**40), st.booleans())


@given(positions, st.text(), st.floats(0, 1e9))
def test_a_cursor_opens_to_what_was_sealed(position, binding, now):
    cursors = Cursors("secret")
    assert cursors.open(cursors.seal(position, binding, now), binding, now + 1e6) == position


@given(positions, st.text(), st.text())
def test_a_cursor_opens_for_its_own_list_only(position, binding, other):
    cursors = Cursors("secret")
    token = cursors.seal(position, binding, 0.0)
    if other != binding:
        with pytest.raises(ApiError) as refused:
            cursors.open(token, other, 0.0)
        assert refused.value.status == 400


@given(st.text())
def test_garbage_is_refused(token):
    with pytest.raises(ApiError, match="page_token"):
        Cursors("secret").open(token, "list", 0.0)


def test_another_simulators_cursor_is_refused():
    token = Cursors("one").seal(Position(3), "list", 0.0)
    with pytest.raises(ApiError):
        Cursors("two").open(token, "list", 0.0)


def test_a_cursor_dies_of_age():
    cursors = Cursors("secret", lifetime=30.0)
    token = cursors.seal(Position(3), "list", 1_000.0)
    assert cursors.open(token, "list", 1_029.0) == Position(3)
    with pytest.raises(ApiError, match="expired"):
        cursors.open(token, "list", 1_031.0)
