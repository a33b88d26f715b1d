"""However observations arrive, a message ends as if they had come in the order of their times."""

import copy
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.sync.merge import Observation, RecordState


@dataclass(frozen=True)
class Miss:
    """A pass of `folder` that did not see the message."""

    at: int
    folder: str


@dataclass(frozen=True)
class Delete:
    at: int


Event = Observation | Miss | Delete


def take_in(state: RecordState, event: Event) -> None:
    if isinstance(event, Miss):
        state.miss(event.folder, event.at)
    elif isinstance(event, Delete):
        state.delete(event.at)
    else:
        # A state makes the fields of its first observation its own.
        state.observe(copy.deepcopy(event))


def after(events: Iterable[Event]) -> RecordState:
    state = RecordState("m")
    for event in events:
        take_in(state, event)
    return state


def expected(events: Sequence[Event]) -> dict[str, Any]:
    """Return what the rules make of a history, worked out from all of it at once."""
    seen = [event for event in events if isinstance(event, Observation)]
    fields: dict[str, Any] = {}
    times: dict[str, int] = {}
    for name in {name for event in seen for name in event.fields}:
        times[name] = max(event.at for event in seen if name in event.fields)
        values = [e.fields[name] for e in seen if name in e.fields and e.at == times[name]]
        if name == "folders":
            fields[name] = sorted({folder for value in values for folder in value})
        else:
            fields[name] = max(values, key=lambda value: json.dumps(value, sort_keys=True))
    whole_list = times.get("folders", 0)
    passes = [(e.folder, e.at, True) for e in seen if e.folder is not None]
    passes += [(e.folder, e.at, False) for e in events if isinstance(e, Miss)]
    folders = set(fields.get("folders", ()))
    for folder in {folder for folder, at, _ in passes if at >= whole_list}:
        last = max((at, there) for name, at, there in passes if name == folder)
        (folders.add if last[1] else folders.discard)(folder)
    shown = max((event.at for event in seen), default=0)
    gone = max((event.at for event in events if isinstance(event, Delete)), default=-1)
    return {
        "fields": shown_as_json(fields),
        "times": times,
        "folders": sorted(folders),
        "observed_at": shown,
        "deleted": gone >= shown,
    }


def shown_as_json(fields: dict[str, Any]) -> dict[str, str]:
    """Return fields as what tells 1 from True."""
    return {name: json.dumps(value) for name, value in fields.items() if name != "folders"}


def known(state: RecordState) -> dict[str, Any]:
    return {
        "fields": shown_as_json(state.fields),
        "times": state.times,
        "folders": state.folders,
        "observed_at": state.observed_at,
        "deleted": state.deleted,
    }


times = st.integers(1, 5)
folder_names = st.sampled_from(["A", "B", "C"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "subject": st.sampled_from(["", "one", "two", None]),
    "unread": st.sampled_from([True, False, None]),
    "to": st.sampled_from([[], [("x", "x@y.example")], [(None, None), ("", "")]]),
    # Equal to Python, yet not the same to a reader: 1, True and 1.0.
    "importance": st.sampled_from([1, True, 1.0, {"a": [1]}, None]),
}
WHOLE_LIST = st.lists(folder_names, max_size=2).map(lambda found: sorted(set(found)))
pages = st.builds(
    Observation,
    st.just("m"),
    times,
    st.fixed_dictionaries({}, optional={**VALUES, "folders": WHOLE_LIST}),
)
folder_pages = st.builds(
    Observation, st.just("m"), times, st.fixed_dictionaries({}, optional=VALUES), folder_names
)
events = st.one_of(pages, folder_pages, st.builds(Miss, times, folder_names), st.builds(Delete, times))
histories = st.lists(events, min_size=1, max_size=9)


@given(histories, st.randoms(use_true_random=False))
def test_any_order_and_repetition_ends_as_the_order_of_times(
    history: list[Event], chance: random.Random
) -> None:
    arrived = history + [event for event in history if chance.random() < 0.4]
    chance.shuffle(arrived)

    assert known(after(arrived)) == expected(history)
    assert known(after(sorted(history, key=lambda event: event.at))) == expected(history)
    assert after(arrived).disputed == after(history).disputed


@given(histories, st.randoms(use_true_random=False))
def test_an_observation_says_the_same_in_pieces(history: list[Event], chance: random.Random) -> None:
    pieces: list[Event] = []
    for event in history:
        if isinstance(event, Observation) and event.fields:
            cut = chance.randint(0, len(event.fields))
            names = list(event.fields)
            for part in (names[:cut], names[cut:]):
                pieces.append(replace(event, fields={name: event.fields[name] for name in part}))
        else:
            pieces.append(event)
    chance.shuffle(pieces)

    assert known(after(pieces)) == expected(history)


@given(st.lists(events, min_size=1, max_size=4))
def test_every_order_of_four_ends_the_same(history: list[Event]) -> None:
    wanted = expected(history)
    for arrived in permutations(history, len(history)):
        assert known(after(arrived)) == wanted


def page(at: int, **fields: Any) -> Observation:
    return Observation("m", at, fields)


def in_folder(folder: str, at: int, **fields: Any) -> Observation:
    return Observation("m", at, fields, folder)


SIX: dict[str, list[Event]] = {
    "fields, whole and partial": [
        page(1, subject="draft", unread=True, folders=["A"]),
        page(2, unread=False),
        page(2, unread=True),
        page(3, subject="final", folders=["B"], cc=[]),
        page(3, subject="other"),
        page(4, starred=True),
    ],
    "folders, whole lists and passes": [
        page(2, folders=["A", "B"]),
        page(2, folders=["A", "C"]),
        in_folder("B", 3),
        Miss(3, "B"),
        Miss(4, "A"),
        in_folder("D", 1),
    ],
    "a newer whole list between passes": [
        in_folder("A", 1, subject="x"),
        in_folder("B", 4),
        page(3, folders=["C"]),
        Miss(5, "C"),
        Miss(2, "B"),
        in_folder("A", 3),
    ],
    "deleted, revived, deleted": [
        page(1, subject="x", folders=["A"]),
        Delete(2),
        page(3, unread=False),
        Delete(4),
        in_folder("A", 4),
        Delete(1),
    ],
    "all of one second": [
        page(1, subject="a", importance=1),
        page(1, subject="b", importance=True),
        page(1, importance=1.0, folders=[]),
        in_folder("A", 1),
        Miss(1, "A"),
        Delete(1),
    ],
}


@pytest.mark.parametrize("name", SIX)
def test_every_order_of_six_ends_the_same(name: str) -> None:
    history = SIX[name]
    wanted, disputed = expected(history), after(history).disputed
    for arrived in permutations(history):
        state = after(arrived)
        assert known(state) == wanted
        assert state.disputed == disputed


def test_an_absent_field_is_left_alone_and_an_empty_one_is_not() -> None:
    state = after([page(1, subject="kept", cc=[("a", "a@b.example")]), page(2, cc=[], snippet="")])

    assert state.fields == {"subject": "kept", "cc": [], "snippet": ""}


def test_an_older_update_cannot_revive_a_deleted_message_and_a_newer_sighting_can() -> None:
    deleted = after([page(5, subject="x"), Delete(7)])
    assert deleted.deleted

    take_in(deleted, page(6, unread=False))
    assert deleted.deleted
    take_in(deleted, in_folder("A", 8))
    assert not deleted.deleted


def test_a_pass_that_missed_it_is_no_sighting() -> None:
    state = after([in_folder("A", 3), Delete(5), Miss(9, "A")])

    assert state.deleted
    assert state.observed_at == 3


def test_a_folder_pass_speaks_of_its_own_folder_only() -> None:
    state = after([page(1, folders=["A", "B"]), Miss(2, "A"), in_folder("C", 2)])

    assert state.folders == ["B", "C"]


def test_a_newer_whole_list_ends_what_passes_have_said() -> None:
    state = after([in_folder("A", 2), Miss(3, "B"), page(4, folders=["B"])])

    assert state.folders == ["B"]
    assert state.folder_times == {}


def test_a_disagreement_within_a_second_is_named_until_a_newer_observation_settles_it() -> None:
    state = after([page(1, subject="one", unread=True), page(1, subject="two", unread=True)])
    assert state.disputed == {"subject"}

    take_in(state, page(2, subject="two"))
    assert state.disputed == set()


def test_the_first_observation_is_taken_in_as_any_other() -> None:
    for observation in (page(3, subject="x", folders=["A"]), in_folder("A", 3, subject="x")):
        assert RecordState.first(copy.deepcopy(observation)) == after([observation])
