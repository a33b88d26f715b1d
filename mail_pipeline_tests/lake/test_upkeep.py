import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import md5
from subprocess import PIPE

import pyarrow as pa
import pytest

from mail_pipeline.errors import RetryLater
from mail_pipeline.lake.connection import catalog_path, connect
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.upkeep import purge, tidy, tidy_after, upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import Checkpoint, checkpoint_rows, newest_checkpoints
from mail_pipeline_tests.lake.letters import STORED, keys, letters

FILES = "SELECT file_count FROM ducklake_table_info('lake') WHERE table_name = ?"
GIVEN_BACK_FROM = "SELECT current_setting('allocator_bulk_deallocation_flush_threshold')"
MESSAGES = """
INSERT INTO all_messages BY NAME
SELECT 'g' AS grant_id, md5(n::VARCHAR) AS id, md5('subject' || n) AS subject,
    to_timestamp(2_000_000_000 - n) AS date, to_timestamp(0) AS observed_at
FROM range($first, $first + $messages) numbers(n)
"""
"""As an API lists them: the newest first."""
SECRET, OTHER = 918_273_645_546_372, 564_738_291_192_837
NUMBERS = [f"{number}" for number in range(12)]


def written_one_by_one(lake: Lake) -> None:
    for number in range(12):
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", number))


def commit(lake: Lake, first: int, messages: int) -> None:
    with lake.transaction() as transaction:
        transaction.change("all_messages", MESSAGES, {"first": first, "messages": messages})


def files(lake: Lake, table: str) -> int:
    return int(next(lake.column(FILES, [table])))


def test_tidying_merges_small_files_and_keeps_what_is_in_them(lake: Lake):
    written_one_by_one(lake)
    assert files(lake, "dead_letters") == 12
    tidy(lake)
    assert files(lake, "dead_letters") == 1
    assert list(lake.column(STORED)) == NUMBERS


def test_what_a_backfill_commits_is_merged_once(lake: Lake):
    for first in range(0, 64_000, 4_000):
        commit(lake, first, 4_000)
        if first in (28_000, 60_000):
            tidy(lake)
    assert files(lake, "all_messages") == 2
    assert list(lake.column("SELECT count(DISTINCT id) FROM messages")) == [64_000]


def test_tidying_leaves_what_is_large_enough_for_upkeep(lake: Lake):
    for first in range(0, 40_000, 20_000):
        commit(lake, first, 20_000)
    for number in range(40_000, 40_012):
        commit(lake, number, 1)
    tidy(lake)
    assert files(lake, "all_messages") == 3
    upkeep(lake)
    assert files(lake, "all_messages") == 1
    assert list(lake.column("SELECT count(DISTINCT id) FROM messages")) == [40_012]


def test_merges_lay_rows_down_in_the_order_that_commits_leave_out(lake: Lake):
    for first in (0, 500):
        commit(lake, first, 500)
    stored = "SELECT date FROM all_messages ORDER BY filename, file_row_number"
    dates = list(lake.column(stored))
    assert dates == sorted(dates, reverse=True)
    upkeep(lake)
    assert list(lake.column(stored)) == sorted(dates)


def test_a_writer_keeps_nothing_in_memory_of_files_it_has_read(lake: Lake):
    for first in (0, 500):
        commit(lake, first, 500)
    tidy(lake)
    assert list(lake.column("SELECT count(DISTINCT subject) FROM messages")) == [1_000]
    assert list(lake.column("SELECT count(*) FROM duckdb_external_file_cache()")) == [0]


@pytest.mark.parametrize("failing", [False, True])
def test_memory_is_given_back_after_merges_and_kept_after_commits(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, failing: bool
):
    during: list[str] = []

    def transaction() -> AbstractContextManager[Transaction]:
        during.append(next(lake.column(GIVEN_BACK_FROM)))
        if failing:
            raise RetryLater("locked")
        return Lake.transaction(lake)

    before = next(lake.column(GIVEN_BACK_FROM))
    written_one_by_one(lake)
    monkeypatch.setattr(lake, "transaction", transaction)
    with pytest.raises(RetryLater) if failing else nullcontext():
        tidy(lake)
    assert during == ["976.5 KiB"]
    assert next(lake.column(GIVEN_BACK_FROM)) == before != "976.5 KiB"


def test_tidying_again_does_nothing(lake: Lake):
    written_one_by_one(lake)
    tidy(lake)
    before = next(lake.column("SELECT max(snapshot_id) FROM lake.snapshots()"))
    tidy(lake)
    assert next(lake.column("SELECT max(snapshot_id) FROM lake.snapshots()")) == before


def test_upkeep_keeps_every_row_that_was_not_deleted(lake: Lake):
    written_one_by_one(lake)
    with lake.transaction() as transaction:
        transaction.delete("dead_letters", keys("g", *range(0, 12, 2)))
    report = upkeep(lake)
    assert list(lake.column(STORED)) == NUMBERS[1::2]
    assert report.files["dead_letters"] == 1


def test_upkeep_keeps_of_each_mailbox_the_newest_checkpoint(lake: Lake):
    first = Checkpoint(partition_key="g", grant_id="g")
    for version in range(1, 6):
        with lake.transaction() as transaction:
            both = [
                replace(first, version=version, pages=version),
                replace(first, partition_key="h", version=1),
            ]
            transaction.append("checkpoints", checkpoint_rows(both[: 2 if version == 1 else 1]))
    before = newest_checkpoints(lake, ["g", "h"])
    report = upkeep(lake)
    assert report.checkpoints_dropped == 4
    assert newest_checkpoints(lake, ["g", "h"]) == before
    assert next(lake.column("SELECT count(*) FROM checkpoints")) == 2


def test_a_reader_in_its_transaction_is_not_disturbed_by_upkeep(lake: Lake):
    written_one_by_one(lake)
    with connect(lake.data) as connection:
        connection.execute("BEGIN")
        assert [number for (number,) in connection.execute(STORED).fetchall()] == NUMBERS
        with lake.transaction() as transaction:
            transaction.delete("dead_letters", keys("g", *range(12)))
        upkeep(lake)
        assert [number for (number,) in connection.execute(STORED).fetchall()] == NUMBERS


READER = """
import sys
from mail_pipeline.lake.connection import connect
with connect(sys.argv[1]) as lake:
    lake.execute("BEGIN")
    print(lake.execute("SELECT count(*) FROM dead_letters").fetchone(), flush=True)
    sys.stdin.read()
"""


def test_what_is_purged_is_in_none_of_the_catalogs_files_or_is_not_called_purged(lake: Lake):
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", SECRET))
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", OTHER))
        transaction.delete("dead_letters", keys("g", SECRET))

    # In a process of its own: two SQLites of one process do not see each other's locks.
    with subprocess.Popen(
        [sys.executable, "-c", READER, lake.data], stdin=PIPE, stdout=PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "(1,)\n"
        with pytest.raises(RetryLater, match="is being read"):
            purge(lake)
        reader.communicate()
    assert holds(lake, SECRET)

    purge(lake)
    assert not holds(lake, SECRET)
    assert holds(lake, OTHER)


def holds(lake: Lake, number: int) -> bool:
    return any(
        str(number).encode() in file.read_bytes()
        for file in catalog_path(lake.data).parent.glob("catalog.sqlite*")
    )


def test_a_snapshot_of_before_the_upkeep_can_still_be_read(lake: Lake):
    written_one_by_one(lake)
    snapshot = next(lake.column("SELECT max(snapshot_id) FROM lake.snapshots()"))
    with lake.transaction() as transaction:
        transaction.delete("dead_letters", keys("g", *range(12)))
    upkeep(lake)
    past = f"SELECT count(*) FROM dead_letters AT (VERSION => {int(snapshot)})"
    assert next(lake.column(past)) == 12


def test_upkeep_of_an_empty_lake_does_no_harm(lake: Lake):
    report = upkeep(lake)
    assert report.checkpoints_dropped == 0
    assert lake.table("SELECT * FROM mailboxes").equals(
        pa.Table.from_pylist([], lake.table("SELECT * FROM mailboxes").schema)
    )


def test_small_files_are_merged_once_there_are_many_of_them(lake: Lake):
    merged = []
    for number in range(12):
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", number))
        merged.append(tidy_after(lake, "dead_letters", 5))

    assert [number for number, done in enumerate(merged, 1) if done] == [5, 9]
    assert files(lake, "dead_letters") == 4
    assert list(lake.column(STORED)) == NUMBERS


def test_files_too_large_or_too_much_changed_for_a_merge_call_for_none(lake: Lake):
    for first in range(0, 80_000, 20_000):
        commit(lake, first, 20_000)
    assert not tidy_after(lake, "all_messages", 2)
    for first in (80_000, 80_100):
        commit(lake, first, 100)
    changed = pa.table({"grant_id": ["g"], "id": [md5(b"80000").hexdigest()]})
    with lake.transaction() as transaction:
        transaction.delete("all_messages", changed)
    assert not tidy_after(lake, "all_messages", 2)
    commit(lake, 80_200, 100)
    assert tidy_after(lake, "all_messages", 2)
    assert files(lake, "all_messages") == 6
