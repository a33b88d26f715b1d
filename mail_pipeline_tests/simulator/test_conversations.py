import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_pipeline.simulator.conversations import CONVERSATION, CORRESPONDENTS, SENDERS, Shape
from mail_pipeline.simulator.folders import folder_plan
from mail_pipeline.simulator.rhythm import DAY, rhythm

NOW = 1_777_626_000


def _shape(messages, *, seed=0, years=5.0, provider="microsoft", mailbox=0):
    return Shape(
        seed=seed,
        mailbox=mailbox,
        messages=messages,
        rhythm=rhythm(NOW - int(years * 365 * DAY), NOW, 1.2),
        plan=folder_plan(provider, seed, mailbox, 4),
    )


# From a mailbox of a few days, whose conversations must be squeezed, to one of many years.
shapes = st.builds(
    _shape,
    st.sampled_from([1, 2, 63, 64, 65, 129, 500, 4_200]),
    seed=st.integers(0, 50),
    years=st.sampled_from([0.003, 0.05, 1.0, 9.0]),
)


@settings(deadline=None, max_examples=60)
@given(shapes)
def test_messages_come_in_order_inside_their_span(shape):
    dates = [shape.sketch(number).date for number in range(shape.messages)]
    assert dates == sorted(dates)
    assert shape.rhythm.begin <= dates[0]
    assert dates[-1] < NOW


@settings(deadline=None, max_examples=60)
@given(shapes)
def test_an_answer_has_an_earlier_parent_in_the_same_conversation(shape):
    last: dict[int, int] = {}
    for number in range(shape.messages):
        sketch = shape.sketch(number)
        if sketch.parent == -1:
            assert sketch.thread == number
        else:
            assert sketch.parent == last[sketch.thread]
            first, parent = shape.sketch(sketch.thread), shape.sketch(sketch.parent)
            assert first.parent == -1
            assert (first.kind, first.other) == (CONVERSATION, sketch.other)
            assert parent.date <= sketch.date
        last[sketch.thread] = number


@settings(deadline=None, max_examples=30)
@given(shapes)
def test_only_conversations_are_answered_and_only_they_are_sent(shape):
    for number in range(shape.messages):
        sketch = shape.sketch(number)
        if sketch.kind == CONVERSATION:
            assert 0 <= sketch.other < CORRESPONDENTS
        else:
            assert (sketch.parent, sketch.sent) == (-1, False)
            assert 0 <= sketch.other < SENDERS


def test_what_was_sent_is_read():
    sketches = [_shape(1_000).sketch(number) for number in range(1_000)]
    assert not any(sketch.unread for sketch in sketches if sketch.sent)
    assert any(sketch.unread for sketch in sketches)


def test_recent_mail_is_unread_more_often():
    shape = _shape(6_000, years=1.0)
    sketches = [shape.sketch(number) for number in range(6_000)]
    received = [sketch for sketch in sketches if not sketch.sent]
    recent = [sketch.unread for sketch in received if sketch.date > shape.rhythm.end - 30 * DAY]
    old = [sketch.unread for sketch in received if sketch.date <= shape.rhythm.end - 30 * DAY]
    assert sum(recent) / len(recent) > 3 * sum(old) / len(old)


def test_conversations_are_short_and_long():
    shape = _shape(4_000)
    lengths: dict[int, int] = {}
    for number in range(4_000):
        sketch = shape.sketch(number)
        if sketch.kind == CONVERSATION:
            lengths[sketch.thread] = lengths.get(sketch.thread, 0) + 1
    assert set(range(1, 9)) <= set(lengths.values())
    assert max(lengths.values()) <= 12


@pytest.mark.parametrize(("messages", "size"), [(10, 64), (4_096, 64), (10_000, 156), (1_000_000, 512)])
def test_blocks_grow_with_the_mailbox_up_to_a_limit(messages, size):
    assert _shape(messages).block_size == size


@pytest.mark.parametrize("number", [-1, 100, 10**9])
def test_a_number_outside_the_mailbox_is_an_error(number):
    with pytest.raises(IndexError):
        _shape(100).sketch(number)


def test_a_mailbox_of_a_million_is_sketched_anywhere_at_once():
    shape = _shape(1_000_000)
    middle = shape.sketch(500_000).date
    assert shape.sketch(0).date < middle < shape.sketch(999_999).date
    found = shape.count_before(middle)
    assert shape.sketch(found).date == middle


@pytest.mark.parametrize("messages", [70, 600, 1_200, 2_500])
@pytest.mark.parametrize("seed", range(4))
def test_the_newest_mail_is_spread_and_not_piled_up_in_the_last_second(messages, seed):
    shape = _shape(messages, seed=seed)
    dates = [shape.sketch(number).date for number in range(messages)]
    last_week = [date for date in dates if date >= shape.rhythm.end - 7 * DAY]
    assert len(last_week) == len(set(last_week))
    assert dates[-1] < shape.rhythm.end - 2
