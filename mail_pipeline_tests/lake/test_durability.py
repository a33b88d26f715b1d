"""What is committed stays: files reach the disk before the catalog names them, and a kill changes nothing."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import attach, catalog_path, connect, open_duckdb, tables_path
from mail_pipeline.lake.upkeep import tidy, upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.leases import Leases
from mail_pipeline_tests.disks import small_disk
from mail_pipeline_tests.lake.letters import STORED, letters
from mail_pipeline_tests.lake.pairs import COUNTS, write_pairs

WRITER = (sys.executable, "-m", "mail_pipeline_tests.lake.pairs")
_CALL = re.compile(r"^\d+ +(?P<call>\w+)\((?P<fd>[^,)]*?<(?P<path>[^>]*)>|[^,]*).*?\) += (?P<result>-?\d+)")
_OPENED = re.compile(r'"(?P<path>[^"]+)", [A-Z_|]*O_CREAT')


def traced(data: Path, statements: str, trace: Path) -> list[tuple[str, str]]:
    """Return the calls, by name and path, by which a process that runs these statements changed files."""
    program = f"""
from pathlib import Path
from mail_pipeline.lake.upkeep import tidy, upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.pairs import write_pairs
with Lake(Path({str(data)!r})) as lake:
{statements}
"""
    calls = "trace=write,pwrite64,writev,pwritev,fsync,fdatasync"
    subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", trace, sys.executable, "-c", program], check=True
    )
    found = (_CALL.match(line) for line in trace.read_text(errors="replace").splitlines())
    return [
        ("sync" if "sync" in call["call"] else "write", call["path"])
        for call in found
        if call is not None and call["path"] and call["path"].startswith(str(data))
    ]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(
    "statements",
    [
        "    write_pairs(lake, 3)",
        "    write_pairs(lake, 3, instead=True)",
        "    tidy(lake)",
        "    upkeep(lake)",
    ],
)
def test_every_file_and_its_name_reach_the_disk_before_the_catalog_names_it(
    data: Path, tmp_path: Path, statements: str
) -> None:
    with Lake(data) as lake:
        write_pairs(lake, 4)
    before = set(tables_path(data).rglob("*.parquet"))
    calls = traced(data, statements, tmp_path / "trace")
    new = set(tables_path(data).rglob("*.parquet")) - before
    log = f"{catalog_path(data)}-wal"

    assert new
    for path in map(str, new):
        first = calls.index(("write", path))
        synced = calls.index(("sync", path), first)
        folder = calls.index(("sync", str(Path(path).parent)), synced)
        # The log is what a commit of the catalog is written to.
        assert ("write", log) not in calls[first:folder]
        assert ("write", path) not in calls[synced:]
        assert calls[folder:].count(("sync", log)) >= 1


def read_until(data: Path, more: int) -> tuple[int, int]:
    """Read until so many pairs have come, and return how many there are now."""
    with connect(data) as reader:
        start = None
        while True:
            counts = reader.execute(COUNTS).fetchone()
            assert counts is not None
            assert counts[0] == counts[1]
            start = counts[0] if start is None else start
            if counts[0] >= start + more:
                return counts


def test_a_writer_killed_at_any_moment_leaves_whole_transactions(data: Path) -> None:
    chance = random.Random(5)
    for _ in range(3):
        with subprocess.Popen([*WRITER, str(data), "100000"]) as writer:
            seen = read_until(data, chance.randint(1, 4))
            writer.kill()
        with connect(data) as reader:
            left = reader.execute(COUNTS).fetchone()
        assert left is not None
        assert left[0] == left[1] >= seen[0]
        with Lake(data) as lake:
            tidy(lake)
            write_pairs(lake, 1)
            assert list(lake.table(COUNTS).to_pylist()[0].values()) == [left[0] + 1] * 2


def test_readers_see_whole_transactions_beside_a_writer_and_upkeep(data: Path) -> None:
    with Lake(data) as lake:
        write_pairs(lake, 1)
        with subprocess.Popen([*WRITER, str(data), "25", "instead"]) as writer, connect(data) as reader:
            while writer.poll() is None:
                counts = reader.execute(COUNTS).fetchone()
                assert counts is not None
                assert counts[0] == counts[1]
                tidy(lake)
        assert writer.returncode == 0
        upkeep(lake)
        assert list(lake.column("SELECT object_id FROM dead_letters")) == ["24"]


def test_a_disk_that_has_become_read_only_stops_the_run(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, Lake(disk) as lake:
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 1))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StopRun, match="cannot be"), lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 2))
        with pytest.raises(StopRun, match="cannot be"):
            list(lake.column(STORED))
        for opened in (Lake, connect, Leases):
            with pytest.raises(StopRun, match="cannot be"):
                opened(disk)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 3))
        assert list(lake.column(STORED)) == ["1", "3"]


def begin(data: Path, *, catalog: bool) -> None:
    """Come as far with a new lake as a writer that was killed early."""
    tables_path(data).mkdir(parents=True)
    catalog_path(data).touch()
    if catalog:
        with open_duckdb() as connection:
            attach(connection, data, read_only=False)


@pytest.mark.parametrize("catalog", [False, True])
def test_a_lake_whose_first_writer_was_killed_early_is_none_yet_and_is_made_by_the_next(
    tmp_path: Path, catalog: bool
) -> None:
    begin(tmp_path, catalog=catalog)
    with pytest.raises(StopRun, match="There is no lake"):
        connect(tmp_path)

    with Lake(tmp_path) as lake:
        write_pairs(lake, 1)
        options: dict[str, str] = dict(
            lake.table("SELECT option_name, value FROM lake.options()").to_pandas().itertuples(index=False)
        )
        assert list(lake.column("SELECT count(*) FROM messages")) == [0]
    assert options["parquet_compression"] == "zstd"
    assert options["data_inlining_row_limit"] == "0"
    assert options["parquet_row_group_size"] == "2048"
