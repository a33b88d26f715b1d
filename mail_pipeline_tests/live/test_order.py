"""Whatever the order, repetition and interleaving in which things are learned, the tables end the same."""

import copy
import itertools
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.beside import write_beside
from mail_pipeline.sync.committer import Committer
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import read_message
from mail_pipeline.sync.storing import MessageStore
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.live.envelopes import GRANT, NOW, apply_offline, envelope, know, land, whole
from mail_pipeline_tests.sync.test_committer import MESSAGE_TABLES, Mailbox, comparable, contents_of

PARTIAL = ("thread_id", "subject", "from", "to", "cc", "date", "body", "snippet", "starred", "unread")
Told = tuple[str, int, dict[str, Any]]
"""Trigger, time and fields of one notification, apart from the message it is about."""


def updated(at: int, **changes: Any) -> Told:
    """Return an update as Nylas sends it: without attachments, bcc and reply_to."""
    known = whole("")
    return "message.updated", at, {name: known[name] for name in (*PARTIAL, "folders")} | changes


def created(at: int, **changes: Any) -> Told:
    return "message.created", at, {name: value for name, value in whole("").items() if name != "id"} | changes


BACK = {"unread": False, "folders": ["Archive"], "body": "<p>At one</p>", "snippet": "At one"}
SIX: tuple[Told, ...] = (
    created(NOW + 1),
    updated(NOW + 2, unread=False, body="<p>At one</p>", snippet="At one"),
    updated(NOW + 3, unread=False, folders=["Archive"], cc=[]),
    ("message.deleted", NOW + 4, {}),
    ("message.updated", NOW + 5, {"subject": "Dinner?"}),
    created(NOW + 6, **BACK, attachments=[]),
)
SIX_IN_THREE_SECONDS = tuple((kind, NOW + (at - NOW + 1) // 2, fields) for kind, at, fields in SIX)
SUBSETS = list(chain.from_iterable(combinations(range(6), size) for size in range(1, 7)))
"""The notifications that came, of those of a history, in the order of their times."""


def sent(identity: str, told: Told) -> dict[str, Any]:
    kind, at, fields = told
    return envelope(kind, at, fields, id=identity)


def name_of(order: Iterable[int]) -> str:
    return "-".join(map(str, order))


def tables_by_message(lake: Lake) -> dict[str, list[str]]:
    """Return all rows of each message, without its id; fails where a message is there twice."""
    found: dict[str, list[str]] = {}
    for table in MESSAGE_TABLES:
        rows = lake.table("SELECT * EXCLUDE grant_id FROM query_table(?)", [table]).to_pylist()
        by_message: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            identity = row.pop("id" if "message_id" not in row else "message_id")
            by_message.setdefault(identity, []).append(row)
        for identity, own in by_message.items():
            assert table != "all_messages" or len(own) == 1
            found.setdefault(identity, []).extend(f"{table}: {row}" for row in comparable(own))
    return found


HISTORIES = {"one a second": SIX, "two a second": SIX_IN_THREE_SECONDS}
ORDERS = [order for subset in SUBSETS for order in permutations(subset)]


@pytest.mark.parametrize("name", HISTORIES)
def test_every_order_of_up_to_six_notifications_ends_as_the_order_of_times(
    data: Path, lake: Lake, name: str
) -> None:
    know(data, GRANT)
    land(data, [sent(name_of(order), HISTORIES[name][number]) for order in ORDERS for number in order])
    report = apply_offline(data)

    assert len(ORDERS) == 1956
    assert report.count("applied") == sum(map(len, ORDERS)) == 9786
    assert_as_in_the_order_of_times(lake)


def test_every_order_ends_the_same_if_each_notification_is_applied_by_itself(data: Path, lake: Lake) -> None:
    know(data, GRANT)
    for step in itertools.zip_longest(*ORDERS):
        told = [(order, number) for order, number in zip(ORDERS, step, strict=True) if number is not None]
        land(data, [sent(name_of(order), SIX_IN_THREE_SECONDS[number]) for order, number in told])
        assert apply_offline(data).count("applied") == len(told)

    assert_as_in_the_order_of_times(lake)


def assert_as_in_the_order_of_times(lake: Lake) -> None:
    found = tables_by_message(lake)
    assert len(found) == len(ORDERS)
    wrong = [order for order in ORDERS if found[name_of(order)] != found[name_of(sorted(order))]]
    assert wrong == []


def test_the_order_of_times_is_what_the_rules_make_of_it(data: Path, lake: Lake) -> None:
    know(data, GRANT)
    land(data, [sent(name_of(order), SIX[number]) for order in ORDERS[-720:][:1] for number in order])
    land(data, [sent("gone", told) for told in SIX[:4]])
    land(data, [sent("revived", told) for told in SIX[:5]])
    apply_offline(data)

    shown = lake.table("SELECT id, subject, unread, folders, attachment_count FROM messages ORDER BY id")
    assert [tuple(row.values()) for row in shown.to_pylist()] == [
        ("0-1-2-3-4-5", "Lunch?", False, ["Archive"], 0),
        ("revived", "Dinner?", False, ["Archive"], 1),
    ]
    assert list(lake.column("SELECT id FROM all_messages WHERE deleted_at IS NOT NULL")) == ["gone"]
    parts = lake.column("SELECT role || ' ' || name FROM message_participants WHERE message_id = 'revived'")
    # The newest update had emptied cc, and no update carries bcc and reply_to.
    assert sorted(parts) == ["bcc Dee", "from Ann", "reply_to Eve", "to Bob"]


@pytest.fixture
def leases(data: Path) -> Iterator[Leases]:
    leases = Leases(data)
    yield leases
    leases.close()


@pytest.fixture
def committer(lake: Lake, leases: Leases) -> Iterator[Committer]:
    committer = Committer(lake, leases)
    yield committer
    committer.close()


PAGE = -1
"""In the place of a notification's number."""
THREE: dict[str, tuple[Told, ...]] = {
    "created, updated, deleted": SIX[1:4],
    "new while the page is on its way": (SIX[0], SIX[1], SIX[2]),
    "deleted and back": (SIX[0], SIX[3], SIX[5]),
    "only updates": (SIX[1], SIX[2], SIX[4]),
}
PAGE_TIMES = (0, 1, 2, 3, 4, 9)
"""Seconds after NOW at which the page may have been asked for."""


def test_a_page_and_three_notifications_beside_it_store_one_message_in_every_interleaving(
    data: Path, lake: Lake, leases: Leases, committer: Committer
) -> None:
    know(data, GRANT)
    # It begins here, and takes for new whatever the lake does not hold now.
    worker = Mailbox(lake, leases, committer, GRANT)
    worker.begin(GRANT)
    cases = {
        f"{name} {at} {name_of(order)}": (name, at, order)
        for name in THREE
        for at in PAGE_TIMES
        for order in permutations((PAGE, 0, 1, 2))
    }
    stored = 0
    for step in range(4):
        now = {identity: (name, at, order[step]) for identity, (name, at, order) in cases.items()}
        listed = [shown(identity, at) for identity, (_, at, what) in now.items() if what == PAGE]
        stored = worker.store(listed).messages
        told = {identity: THREE[name][what] for identity, (name, _, what) in now.items() if what != PAGE}
        land(data, [sent(identity, one) for identity, one in told.items()])
        assert apply_offline(data).count("applied") == len(told)

    assert len(cases) == 576
    found = tables_by_message(lake)
    assert len(found) == len(cases)
    # Only of those that the page came first with.
    assert stored == len(THREE) * len(PAGE_TIMES) * 6
    for name, at in itertools.product(THREE, PAGE_TIMES):
        same = [found[identity] for identity, case in cases.items() if case[:2] == (name, at)]
        assert [rows for rows in same if rows != same[0]] == []


def shown(identity: str, at: int) -> Observation:
    """Return what a page asked for so many seconds after NOW shows of a message."""
    return read_message(whole(identity, subject=f"As listed at {at}", folders=["Listed"]), at=NOW + at)


def test_a_worker_that_begins_after_a_notification_merges_its_page(
    data: Path, lake: Lake, leases: Leases, committer: Committer
) -> None:
    know(data, GRANT)
    land(data, [sent("m", SIX[0])])
    apply_offline(data)
    # A committer older than the worker knows what was written beside; a worker asks the lake by itself.
    worker = Mailbox(lake, leases, committer, GRANT)
    worker.begin(GRANT)
    worker.store([shown("m", 9)])
    worker.store([shown("m", 10)])

    assert len(tables_by_message(lake)) == 1
    assert list(lake.column("SELECT subject FROM messages")) == ["As listed at 10"]


identities = st.sampled_from(["a", "b", "c"])
moments = st.integers(1, 5).map(lambda seconds: NOW + seconds)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "subject": st.sampled_from(["one", "two", ""]),
    "unread": st.booleans(),
    "body": st.sampled_from(["<p>short</p>", "<p>other</p>", ""]),
    "folders": st.lists(st.sampled_from(["A", "B"]), max_size=2),
    "to": st.lists(st.sampled_from([{"name": "X", "email": "x@y.example"}, {"name": None}]), max_size=2),
    "attachments": st.lists(st.sampled_from([{"id": "1", "size": 1}, {"id": "2"}]), max_size=2),
    "importance": st.sampled_from([1, True, None, {"a": [1]}]),
}
records = st.fixed_dictionaries({}, optional=VALUES)
Fact = tuple[str, str, int, dict[str, Any], str | None]
"""How it was learned (page, get, created, updated, deleted), of which message, when, what, and, for a page
of a folder's own list, in which."""
facts: st.SearchStrategy[Fact] = st.one_of(
    st.tuples(st.just("page"), identities, moments, records, st.sampled_from([None, "A", "B"])),
    st.tuples(st.just("get"), identities, moments, records, st.none()),
    st.tuples(st.sampled_from(["created", "updated"]), identities, moments, records, st.none()),
    st.tuples(st.just("deleted"), identities, moments, st.just({}), st.none()),
)
histories = st.lists(facts, min_size=2, max_size=7)
numbers = itertools.count(1)


@settings(
    max_examples=2,
    # Shrinking would take minutes of commits.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(several=st.lists(histories, min_size=12, max_size=12), chance=st.randoms(use_true_random=False))
@deep
def test_any_order_repetition_and_split_of_what_is_learned_ends_in_equal_tables(
    data: Path, lake: Lake, several: list[list[Fact]], chance: random.Random
) -> None:
    by_grant = {f"grant {next(numbers)}": history for history in several}
    know(data, *by_grant)
    leases = Leases(data)
    committer = Committer(lake, leases)
    try:
        workers = {grant_id: Mailbox(lake, leases, committer, grant_id) for grant_id in by_grant}
        for grant_id, worker in workers.items():
            worker.begin(grant_id)
        learning = {grant_id: in_parts(history, chance) for grant_id, history in by_grant.items()}
        while any(learning.values()):
            now = {grant_id: parts.pop() for grant_id, parts in learning.items() if parts}
            learn(data, lake, committer, workers, now)
        found = {grant_id: worker.contents() for grant_id, worker in workers.items()}
    finally:
        committer.close()
        leases.close()

    for grant_id, history in by_grant.items():
        in_time = sorted(history, key=lambda fact: fact[2])
        assert found[grant_id] == contents_of([observed(fact) for fact in in_time])


AnyFact = TypeVar("AnyFact", bound=tuple[Any, ...])
"""Of any stream: how it was learned comes first."""


def in_parts(history: Sequence[AnyFact], chance: random.Random) -> list[list[AnyFact]]:
    """Return a history in any order, some of it twice, in parts of one kind that are stored in one go."""
    shuffled = [*history, *(fact for fact in history if chance.random() < 0.4)]
    chance.shuffle(shuffled)
    parts: list[list[AnyFact]] = []
    for fact in shuffled:
        if parts and kind_of(parts[-1][0]) == kind_of(fact) and chance.random() < 0.5:
            parts[-1].append(fact)
        else:
            parts.append([fact])
    return parts


def learn(
    data: Path,
    lake: Lake,
    committer: Committer,
    workers: Mapping[str, Mailbox],
    parts: Mapping[str, Sequence[Fact]],
) -> None:
    """Store the next part of each grant's history: pages under its lease, the rest beside it."""
    pages = [(grant_id, part) for grant_id, part in parts.items() if kind_of(part[0]) == "page"]
    waiting = [
        committer.submit(workers[grant_id].write([observed(fact) for fact in part]))
        for grant_id, part in pages
    ]
    told = {grant_id: part for grant_id, part in parts.items() if kind_of(part[0]) == "notification"}
    land(data, [told_of(fact, grant_id) for grant_id, part in told.items() for fact in part])
    assert apply_offline(data).count("applied") == sum(map(len, told.values()))
    get(
        lake,
        {
            grant_id: [observed(fact) for fact in part]
            for grant_id, part in parts.items()
            if kind_of(part[0]) == "get"
        },
    )
    for future in waiting:
        future.result()


def kind_of(fact: tuple[Any, ...]) -> str:
    way: str = fact[0]
    return way if way in {"page", "get"} else "notification"


def told_of(fact: Fact, grant_id: str) -> dict[str, Any]:
    change, identity, at, record, _ = fact
    return envelope(f"message.{change}", at, record, id=identity, grant_id=grant_id)


def observed(fact: Fact) -> Observation:
    how, identity, at, record, folder = fact
    if how == "deleted":
        return Observation(identity, at, gone=True)
    return read_message({**copy.deepcopy(record), "id": identity}, at=at, folder=folder)


def get(lake: Lake, observations: Mapping[str, Sequence[Observation]]) -> None:
    """Store answers of the API to single requests, as who holds no lease does."""
    with lake.transaction() as transaction:
        store = MessageStore(transaction)
        new = store.merge(observations)
        store.flush()
        write_beside(transaction, new, time.time())
