"""The committer stores pages whole, in order, under the lease, and whatever way they are grouped."""

import copy
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import tables_path
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Cancelled
from mail_pipeline.sync.checkpoints import COMPLETE, LISTING, Checkpoint, newest_checkpoints
from mail_pipeline.sync.committer import WAITING_AT_MOST, Committer, Write
from mail_pipeline.sync.leases import LeaseLost, Leases
from mail_pipeline.sync.merge import Observation, RecordState
from mail_pipeline.sync.records import Body, DeadLetter
from mail_pipeline.sync.rows import PARTS, MessageRows
from mail_pipeline.sync.seen import SeenIds
from mail_pipeline_tests.disks import fill, small_disk
from mail_pipeline_tests.sync.histories import observations
from mail_pipeline_tests.sync.leasing import run_out

MESSAGE_TABLES = ("all_messages", *PARTS)


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


class Mailbox:
    """Makes and submits the writes of one grant, as a listing does."""

    def __init__(self, lake: Lake, leases: Leases, committer: Committer, grant_id: str) -> None:
        self.grant_id = grant_id
        self._lake = lake
        self._committer = committer
        self._seen = SeenIds()
        with lake.locked():
            leases.take(grant_id)

    def begin(self, key: str, **fields: Any) -> None:
        self._committer.begin(Checkpoint(partition_key=key, grant_id=self.grant_id, **fields))

    def write(self, page: Sequence[Observation], key: str | None = None, **fields: Any) -> Write:
        fresh: list[Observation] = []
        repeats: list[Observation] = []
        ids: set[str] = set()
        for observation in copy.deepcopy(page):
            if observation.id not in ids and observation.id in self._seen:
                repeats.append(observation)
            else:
                ids.add(observation.id)
                fresh.append(observation)
        self._seen.add(ids)
        changes = fields.pop("changes", {"state": LISTING})
        return Write(key or self.grant_id, changes, fresh=fresh, repeats=repeats, **fields)

    def store(self, page: Sequence[Observation], key: str | None = None, **fields: Any) -> Checkpoint:
        return self._committer.submit(self.write(page, key, **fields)).result()

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = self._lake.table(
            "SELECT * EXCLUDE grant_id FROM query_table(?) WHERE grant_id = ?", [table, self.grant_id]
        )
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    def contents(self) -> dict[str, list[str]]:
        return {name: comparable(self.rows(name)) for name in MESSAGE_TABLES}


@pytest.fixture
def mailbox(lake: Lake, leases: Leases, committer: Committer) -> Mailbox:
    mailbox = Mailbox(lake, leases, committer, "g")
    mailbox.begin("g")
    return mailbox


def page(at: int, *ids: str, folder: str | None = None, **fields: Any) -> list[Observation]:
    return [Observation(identity, at, dict(fields), folder) for identity in ids]


def test_a_page_and_its_checkpoint_come_together(mailbox: Mailbox, lake: Lake) -> None:
    dead = [DeadLetter("message", "x", "id: expected text", "{}")]
    stored = mailbox.store(
        page(9, "a", "b", subject="s"),
        changes={"state": LISTING, "cursor": "c2"},
        growth={"pages": 1, "requests": 2},
        dead=dead,
        at=9,
    )

    assert newest_checkpoints(lake, ["g"]) == {"g": stored}
    assert (stored.version, stored.fence, stored.state, stored.cursor) == (1, 1, LISTING, "c2")
    assert (stored.pages, stored.messages, stored.requests, stored.dead_letters) == (1, 2, 2, 1)
    assert sorted(lake.column("SELECT id FROM messages")) == ["a", "b"]
    assert list(lake.column("SELECT object_id FROM dead_letters")) == ["x"]


def test_only_messages_not_stored_before_are_counted(mailbox: Mailbox) -> None:
    mailbox.store(page(1, "a", "b"))
    second = mailbox.store(page(2, "b", "c", "c"))

    assert second.messages == 3
    assert second.version == 2


def test_a_flag_change_leaves_the_body_where_it_is(mailbox: Mailbox, data: Path) -> None:
    folder = tables_path(data) / "main" / "message_bodies"
    mailbox.store(page(1, "a", subject="s", body=Body.of("long"), unread=True))
    before = set(folder.iterdir())
    mailbox.store(page(2, "a", subject="s", body=Body.of("long"), unread=False))

    assert set(folder.iterdir()) == before
    assert [row["unread"] for row in mailbox.rows("all_messages")] == [False]

    mailbox.store(page(3, "a", body=Body.of("edited")))
    assert [row["body"] for row in mailbox.rows("message_bodies")] == ["edited"]


def test_a_body_that_comes_later_is_added(mailbox: Mailbox) -> None:
    mailbox.store(page(1, "a", subject="s"))
    mailbox.store(page(1, "a", subject="s", body=Body.of("")))

    assert [row["body"] for row in mailbox.rows("message_bodies")] == [""]
    assert [row["body_bytes"] for row in mailbox.rows("all_messages")] == [0]


def test_pages_that_wait_are_stored_in_one_go(
    mailbox: Mailbox, lake: Lake, leases: Leases, committer: Committer
) -> None:
    other = Mailbox(lake, leases, committer, "h")
    other.begin("h")
    with lake.locked():
        first = committer.submit(mailbox.write(page(1, "a")))
        waiting = [
            committer.submit(each.write(page(1, name)))
            for each, name in ((mailbox, "b"), (other, "a"), (mailbox, "c"))
        ]
    done = [each.result() for each in (first, *waiting)]

    assert [each.messages for each in done] == [1, 2, 1, 3]
    assert newest_checkpoints(lake, ["g", "h"]) == {"g": done[3], "h": done[2]}
    # Of a mailbox's pages in one commit only the last leaves a checkpoint; the first may have gone alone.
    assert sorted(lake.column("SELECT version FROM checkpoints WHERE partition_key = 'g'")) in ([1, 3], [3])


def test_a_repeat_of_what_waits_is_stored_after_it(
    mailbox: Mailbox, lake: Lake, committer: Committer
) -> None:
    with lake.locked():
        futures = [committer.submit(mailbox.write(page(at, "a", "b", subject=str(at)))) for at in (1, 3, 2)]
    assert [each.result().messages for each in futures] == [2, 2, 2]
    assert [row["subject"] for row in mailbox.rows("all_messages")] == ["3", "3"]


numbers = count()
page_lists = st.lists(
    st.tuples(st.integers(1, 4), st.none() | st.sampled_from(["A", "B"])).flatmap(
        lambda head: st.lists(
            st.sampled_from(["a", "b", "c"]).flatmap(lambda name: observations(name, st.just(head[0]))),
            min_size=1,
            max_size=3,
        )
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=6,
    # Shrinking would take minutes of commits.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(pages=page_lists, chance=st.randoms(use_true_random=False))
def test_any_order_and_grouping_of_pages_ends_in_equal_tables(
    lake: Lake, leases: Leases, committer: Committer, pages: list[list[Observation]], chance: random.Random
) -> None:
    one_by_one, grouped = (Mailbox(lake, leases, committer, f"grant {next(numbers)}") for _ in range(2))
    for each in (one_by_one, grouped):
        each.begin(each.grant_id)
    for content in pages:
        one_by_one.store(content)
    writes = [(grouped, content) for content in pages + [each for each in pages if chance.random() < 0.3]]
    # Pages of another grant, that groups can be made with.
    writes += [(one_by_one, content) for content in pages[:2]]
    chance.shuffle(writes)
    while writes:
        submitted: list[Future[Checkpoint]] = []
        with lake.locked():
            for each, content in writes[: chance.randint(1, 8)]:
                submitted.append(committer.submit(each.write(content)))
        del writes[: len(submitted)]
        for future in submitted:
            future.result()

    assert grouped.contents() == one_by_one.contents()
    assert one_by_one.contents() == contents_of([each for content in pages for each in content])


def contents_of(history: Sequence[Observation]) -> dict[str, list[str]]:
    states: dict[str, RecordState] = {}
    for each in copy.deepcopy(history):
        states.setdefault(each.id, RecordState(each.id)).observe(each)
    rows = MessageRows()
    for state in states.values():
        rows.add("any", state)
    tables = rows.tables().items()
    return {name: comparable(table.drop_columns(["grant_id"]).to_pylist()) for name, table in tables}


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows sorted as text, times as seconds, since their zone has several names."""
    return sorted(
        repr({k: v.timestamp() if isinstance(v, datetime) else v for k, v in row.items()}) for row in rows
    )


def complete_pass(mailbox: Mailbox, began: int, *seen: str, **fields: Any) -> None:
    """List folder F to its end in one page."""
    changes = {"state": COMPLETE, "scope": "F", "pass_started": began, **fields.pop("changes", {})}
    mailbox.store(page(began, *seen, folder="F"), "g/F", changes=changes, ends_pass=True, at=began, **fields)


def folders_of(mailbox: Mailbox) -> dict[str, list[str]]:
    return {row["id"]: row["folders"] for row in mailbox.rows("all_messages")}


def test_a_completed_pass_takes_its_folder_from_what_it_did_not_see(mailbox: Mailbox) -> None:
    mailbox.begin("g/F")
    complete_pass(mailbox, 10, "a", "b")
    mailbox.store(page(11, "b", folder="G"))
    mailbox.store(page(12, "c", folders=["F"]))
    complete_pass(mailbox, 20, "a")

    assert folders_of(mailbox) == {"a": ["F"], "b": ["G"], "c": []}
    assert sorted(tuple(row.values()) for row in mailbox.rows("message_folders")) == [("a", "F"), ("b", "G")]


def test_a_newer_word_than_the_passs_start_is_kept(mailbox: Mailbox) -> None:
    mailbox.begin("g/F")
    mailbox.store(page(20, "same second", folder="F"))
    mailbox.store(page(21, "newer", folders=["F"]))
    mailbox.store(page(19, "older", folder="F"))
    complete_pass(mailbox, 20)

    assert folders_of(mailbox) == {"same second": ["F"], "newer": ["F"], "older": []}


def test_a_pass_speaks_of_its_own_window_and_grant_only(
    mailbox: Mailbox, lake: Lake, leases: Leases, committer: Committer
) -> None:
    other = Mailbox(lake, leases, committer, "h")
    other.begin("h")
    other.store(page(1, "a", folders=["F"]))
    mailbox.begin("g/F")
    mailbox.store(page(1, "old", folder="F", date=500))
    mailbox.store(page(1, "dateless", folder="F"))
    mailbox.store(page(1, "young", folder="F", date=1500))
    complete_pass(mailbox, 10, changes={"since": 1000})

    assert folders_of(mailbox) == {"old": ["F"], "dateless": ["F"], "young": []}
    assert folders_of(other) == {"a": ["F"]}


def test_what_could_not_be_read_on_a_pass_is_not_missed_by_it(mailbox: Mailbox) -> None:
    mailbox.begin("g/F")
    complete_pass(mailbox, 10, "spoilt", "gone")
    complete_pass(mailbox, 20, dead=[DeadLetter("message", "spoilt", "date: expected unix seconds", "{}")])
    assert folders_of(mailbox) == {"spoilt": ["F"], "gone": []}

    complete_pass(mailbox, 30)
    assert folders_of(mailbox) == {"spoilt": [], "gone": []}


def test_a_nameless_dead_letter_may_be_any_message(mailbox: Mailbox) -> None:
    mailbox.begin("g/F")
    complete_pass(mailbox, 10, "a")
    complete_pass(mailbox, 20, dead=[DeadLetter("message", None, "id: expected text, got nothing", "{}")])

    assert folders_of(mailbox) == {"a": ["F"]}


def test_a_pass_without_a_start_takes_nothing_away(mailbox: Mailbox) -> None:
    mailbox.begin("g/F")
    complete_pass(mailbox, 10, "a")
    complete_pass(mailbox, 20, changes={"pass_started": None})

    assert folders_of(mailbox) == {"a": ["F"]}


def test_a_worker_that_lost_its_lease_stores_nothing(mailbox: Mailbox, lake: Lake, data: Path) -> None:
    mailbox.store(page(1, "a"))
    run_out(data, "g")
    taker = Leases(data)
    with lake.locked():
        assert taker.take("g") == 2

    with pytest.raises(LeaseLost):
        mailbox.store(page(2, "a", "b", subject="late"))
    taker.close()
    assert [row["id"] for row in mailbox.rows("all_messages")] == ["a"]
    assert [row["subject"] for row in mailbox.rows("all_messages")] == [None]
    assert newest_checkpoints(lake, ["g"])["g"].version == 1


def test_a_lost_lease_costs_no_other_grant_its_page(
    mailbox: Mailbox, lake: Lake, leases: Leases, committer: Committer, data: Path
) -> None:
    other = Mailbox(lake, leases, committer, "h")
    other.begin("h")
    run_out(data, "g")
    taker = Leases(data)
    with lake.locked():
        taker.take("g")
        # The first is what the committer is busy with while the others come to wait together.
        futures = [committer.submit(each.write(page(1, "a"))) for each in (other, mailbox, other)]
    taker.close()

    assert [type(future.exception()) for future in futures] == [type(None), LeaseLost, type(None)]
    assert [row["id"] for row in other.rows("all_messages")] == ["a"]
    assert mailbox.rows("all_messages") == []


def test_after_a_page_that_failed_nothing_of_its_mailbox_is_stored_until_it_begins_again(
    mailbox: Mailbox, lake: Lake, leases: Leases, committer: Committer
) -> None:
    other = Mailbox(lake, leases, committer, "h")
    other.begin("h")
    unstorable = {"cursor": 7}
    with lake.locked():
        before = committer.submit(other.write(page(1, "x")))
        failing = committer.submit(mailbox.write(page(1, "a"), changes=unstorable))
        beside = committer.submit(other.write(page(1, "y")))
        behind = committer.submit(mailbox.write(page(1, "b")))

    with pytest.raises(pa.ArrowTypeError):
        failing.result()
    assert behind.exception() is failing.exception()
    assert (before.result().messages, beside.result().messages) == (1, 2)
    assert mailbox.rows("all_messages") == []

    mailbox.begin("g")
    mailbox.store(page(1, "a", "b"))
    assert sorted(folders_of(mailbox)) == ["a", "b"]


def test_closing_stores_what_was_submitted(lake: Lake, leases: Leases) -> None:
    committer = Committer(lake, leases)
    mailbox = Mailbox(lake, leases, committer, "g")
    mailbox.begin("g")
    with lake.locked():
        futures = [committer.submit(mailbox.write(page(1, name))) for name in "abc"]
        closer = threading.Thread(target=committer.close)
        closer.start()
    closer.join()

    assert [future.done() for future in futures] == [True] * 3
    assert sorted(folders_of(mailbox)) == ["a", "b", "c"]


def test_what_is_submitted_after_closing_is_refused_and_not_waited_for(lake: Lake, leases: Leases) -> None:
    committer = Committer(lake, leases)
    mailbox = Mailbox(lake, leases, committer, "g")
    mailbox.begin("g")
    committer.close()
    # More than may wait, too.
    refused = [committer.submit(mailbox.write(page(1, str(number)))) for number in range(WAITING_AT_MOST + 1)]

    assert all(isinstance(each.exception(timeout=0), Cancelled) for each in refused)
    assert folders_of(mailbox) == {}


def test_submitting_waits_while_too_much_waits(mailbox: Mailbox, lake: Lake, committer: Committer) -> None:
    futures: list[Future[Checkpoint]] = []
    full = threading.Event()

    def submit() -> None:
        for number in range(WAITING_AT_MOST + 1):
            futures.append(committer.submit(mailbox.write(page(1, str(number)))))
            if len(futures) == WAITING_AT_MOST:
                full.set()

    submitter = threading.Thread(target=submit)
    with lake.locked():
        submitter.start()
        assert full.wait(30)
        submitter.join(0.2)
        assert len(futures) == WAITING_AT_MOST
    submitter.join()

    assert futures[-1].result().messages == WAITING_AT_MOST + 1


def test_a_full_disk_stops_the_run_and_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, Lake(disk) as lake:
        leases = Leases(disk)
        committer = Committer(lake, leases)
        mailbox = Mailbox(lake, leases, committer, "g")
        mailbox.begin("g")
        last = mailbox.store(page(1, "a"))
        filler = fill(disk)
        with pytest.raises(StopRun, match="is full; everything committed is safe"):
            mailbox.store(page(2, *(f"late {number}" for number in range(2_000)), subject="s"))
        with pytest.raises(StopRun, match="is full"):
            mailbox.store(page(3, "behind"))
        filler.unlink()

        assert [row["id"] for row in mailbox.rows("all_messages")] == ["a"]
        assert newest_checkpoints(lake, ["g"]) == {"g": last}
        mailbox.begin("g", version=last.version, messages=last.messages)
        assert mailbox.store(page(2, "again")).messages == 2
        committer.close()
        leases.close()
