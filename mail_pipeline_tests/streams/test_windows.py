"""The windows in which events are listed leave no event out and are none too long, whatever the provider."""

import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mail_pipeline.sync.position import Position
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.streams import EVENTS

DAY = 86_400
LONGEST = {"microsoft": 1_825 * DAY, "icloud": 180 * DAY}
"""What the API allows; of iCloud the shorter of the two that are documented."""
NEWEST = 2_000_000_000


def windows(provider: str, since: int | None, before: int | None) -> list[tuple[int, int]]:
    """Return start and end of each request for a calendar, in the order in which they are made."""
    part = Slice(partition_key="events:g:c", grant_id="g", provider=provider, scope="c")
    position: Position | None = EVENTS.begin(Position(1, None, since, before=before, restart=True))
    asked = []
    while position is not None:
        parameters = EVENTS.parameters(part, position)
        asked.append((int(parameters["start"]), int(parameters["end"])))
        following = EVENTS.following(part, position)
        position = None if following is None else replace(following, cursor=None)
        assert len(asked) < 1_000
    return asked


@pytest.mark.parametrize("provider", ["google", "microsoft", "icloud", "ews", "virtual-calendar"])
@settings(max_examples=20)
@given(
    since=st.none() | st.integers(0, NEWEST),
    before=st.integers(1, NEWEST),
    moment=st.integers(0, NEWEST),
    length=st.integers(0, 400 * DAY),
)
@example(since=None, before=NEWEST, moment=NEWEST - 1_824 * DAY, length=0)
@example(since=None, before=NEWEST, moment=NEWEST - 179 * DAY, length=0)
@example(since=7, before=7, moment=7, length=0)
@example(since=NEWEST, before=7, moment=7, length=0)
def test_every_moment_is_inside_a_window_whether_bounds_count_or_not(
    provider: str, since: int | None, before: int, moment: int, length: int
) -> None:
    if since is not None:
        before = max(since, before)
    asked = windows(provider, since, before)
    assert all(0 <= end - start <= LONGEST.get(provider, end) for start, end in asked)
    # Newest first, each going on where the one before began, none twice, to the very end.
    starts = [start for start, _ in asked]
    assert starts == sorted(set(starts), reverse=True)
    assert starts[-1] == (since or 0)
    assert all(later <= end for later, (_, end) in zip(starts, asked[1:], strict=False))
    if (since or 0) < moment <= before:
        assert any(start < moment < end for start, end in asked)
    if (since or 0) < moment + length and moment <= before:
        assert any(start < moment + length and moment < end for start, end in asked)


@pytest.mark.parametrize(("provider", "count"), [("google", 1), ("microsoft", 13), ("icloud", 130)])
def test_a_whole_history_costs_as_few_requests_as_the_spans_allow(provider: str, count: int) -> None:
    assert len(windows(provider, None, NEWEST)) == count


def test_a_list_begins_years_ahead_and_ends_in_1970_or_where_it_was_told_to() -> None:
    [(start, end)] = windows("google", None, None)
    assert start == 0
    assert end > time.time() + 4 * 365 * DAY
    # As far ahead as nobody lists: what is there is still asked for, and no window begins behind its end.
    assert windows("google", 3 * NEWEST, None) == [(3 * NEWEST, 3 * NEWEST + DAY)]
