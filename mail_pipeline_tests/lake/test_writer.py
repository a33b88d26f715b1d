import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import connect, tables_path
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import STORED, keys, letters

SPAWN = multiprocessing.get_context("spawn")


def stored(lake: Lake) -> list[str]:
    return list(lake.column(STORED))


def test_a_transaction_knows_whether_anything_was_committed_since_another(lake: Lake, data: Path):
    with lake.transaction() as first:
        first.append("dead_letters", letters("g", 1))
    with lake.transaction() as idle:
        assert idle.follows(first)
    with lake.transaction() as second:
        assert second.follows(idle)
        second.append("dead_letters", letters("g", 2))

    with Lake(data) as other, other.transaction() as between:
        between.append("dead_letters", letters("g", 3))
    with lake.transaction() as third:
        assert not third.follows(second)


def test_a_transaction_follows_none_that_failed(lake: Lake):
    transactions = []
    with contextlib.suppress(ZeroDivisionError), lake.transaction() as failed:
        transactions.append(failed)
        raise ZeroDivisionError
    with lake.transaction() as following:
        assert not following.follows(*transactions)


def test_what_a_transaction_writes_is_there_when_it_ends(lake: Lake):
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1, 2))
    assert stored(lake) == ["1", "2"]


def test_an_exception_in_a_transaction_leaves_nothing_of_it(lake: Lake):
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1))

    def fail() -> None:
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 2))
            transaction.delete("dead_letters", keys("g", 1))
            raise KeyError("told to")

    with pytest.raises(KeyError, match="told to"):
        fail()
    assert stored(lake) == ["1"]


def test_the_next_transaction_works_after_one_that_failed(lake: Lake):
    with pytest.raises(Exception, match="no_such_column"), lake.transaction() as transaction:
        transaction.rows("SELECT no_such_column FROM dead_letters")
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 3))
    assert stored(lake) == ["3"]


def test_only_the_rows_whose_whole_key_matches_are_deleted(lake: Lake):
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1, 2))
        transaction.append("dead_letters", letters("h", 1))
    with lake.transaction() as transaction:
        transaction.delete("dead_letters", keys("g", 1))
    rows = lake.table("SELECT grant_id, object_id FROM dead_letters ORDER BY ALL").to_pylist()
    assert rows == [{"grant_id": "g", "object_id": "2"}, {"grant_id": "h", "object_id": "1"}]


def test_rows_are_found_by_their_whole_key(lake: Lake):
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1, 2))
        transaction.append("dead_letters", letters("h", 1))
        found = transaction.matching("dead_letters", keys("g", 1, 7))
    assert found.select(["grant_id", "object_id"]).to_pylist() == [{"grant_id": "g", "object_id": "1"}]


def test_a_query_may_name_arrow_tables(lake: Lake):
    wanted = pa.table({"object_id": ["2"]})
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1, 2))
    found = lake.table("SELECT object_id FROM dead_letters SEMI JOIN wanted USING (object_id)", wanted=wanted)
    assert found.to_pylist() == [{"object_id": "2"}]


def append_numbers(data: Path, grant_id: str, first: int) -> None:
    with Lake(data) as lake:
        for number in range(first, first + 10):
            with lake.transaction() as transaction:
                transaction.append("dead_letters", letters(grant_id, number))


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path):
    writers = [SPAWN.Process(target=append_numbers, args=(tmp_path, "g", first)) for first in (0, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Lake(tmp_path) as lake:
        assert stored(lake) == [f"{number}" for number in range(20)]


def write_and_hang(data: Path, written: Event) -> None:
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 2))
        written.set()
        signal.pause()


def test_a_writer_killed_before_its_commit_leaves_the_lake_as_it_was_and_free(tmp_path: Path):
    with Lake(tmp_path) as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1))
    written = SPAWN.Event()
    writer = SPAWN.Process(target=write_and_hang, args=(tmp_path, written))
    writer.start()
    assert written.wait(60)
    with connect(tmp_path) as reader:
        assert reader.execute(STORED).fetchall() == [("1",)]
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    with Lake(tmp_path) as lake:
        assert stored(lake) == ["1"]
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 3))
        assert stored(lake) == ["1", "3"]


def test_every_file_is_synced_before_the_commit_that_names_it(tmp_path: Path):
    program = f"""
import json, os, sys
from pathlib import Path
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import letters
synced, real = [], os.fsync
def fsync(descriptor):
    synced.append(os.readlink(f"/proc/self/fd/{{descriptor}}"))
    real(descriptor)
with Lake(Path({str(tmp_path)!r})) as lake:
    os.fsync = fsync
    before = set(Path({str(tmp_path)!r}).rglob("*.parquet"))
    with lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1))
    new = sorted(str(path) for path in set(Path({str(tmp_path)!r}).rglob("*.parquet")) - before)
json.dump({{"new": new, "synced": synced}}, sys.stdout)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert len(told["new"]) == 1
    folder = str(tables_path(tmp_path).resolve() / "main" / "dead_letters")
    assert told["synced"][:1] == told["new"]
    assert folder in told["synced"]


def test_a_file_in_the_way_of_the_data_folder_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StopRun, match=r"data cannot be made: a file stands in its way.*MAIL_PIPELINE_DATA"):
        Lake(tmp_path / "data")


def full_disk(mount: Path) -> bool:
    if os.geteuid() != 0:
        return False
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], capture_output=True, check=False
    )
    return made.returncode == 0


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_stops_the_run_and_what_is_stored_stays(tmp_path: Path):
    mount = tmp_path / "small"
    mount.mkdir()
    if not full_disk(mount):
        pytest.skip("mounting a small disk needs root")
    try:
        with Lake(mount) as lake:
            with lake.transaction() as transaction:
                transaction.append("dead_letters", letters("g", 1))
            filler = mount / "filler"
            with pytest.raises(OSError, match="No space left"):
                fill(filler)
            full = "is full; everything committed is safe.*Free some space"
            with pytest.raises(StopRun, match=full), lake.transaction() as transaction:
                transaction.append("dead_letters", letters("g", *range(2, 5000)))
            filler.unlink()
            assert stored(lake) == ["1"]
            with lake.transaction() as transaction:
                transaction.append("dead_letters", letters("g", 2))
            assert stored(lake) == ["1", "2"]
    finally:
        subprocess.run(["umount", mount], check=True)
