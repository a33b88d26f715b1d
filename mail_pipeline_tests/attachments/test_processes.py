"""Processes that are killed, run side by side, or find the disk full."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.simulator import Latency
from mail_pipeline_tests.attachments.conftest import Serve
from mail_pipeline_tests.attachments.files import CONTENT_ADDRESS, Filed
from mail_pipeline_tests.deep import deep
from mail_pipeline_tests.disks import fill, small_disk

KILLS = 4
PATIENCE_SECONDS = 60.0


@contextmanager
def fetching(filed: Filed, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a process of its own, which does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline.cli", "attachments", "fetch", "--json"],
        env={**os.environ, **filed.environment(**environment)},
        cwd=filed.data.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def outcome(process: subprocess.Popen[str]) -> dict[str, object]:
    out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, error
    said = json.loads(out)
    assert isinstance(said, dict)
    return said


def wait_for_downloads(filed: Filed, count: int) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while len(filed.downloads()) < count:
        assert time.monotonic() < give_up
        time.sleep(0.001)


def without_row(filed: Filed) -> set[str]:
    """Return the files of whole attachments that no row speaks of."""
    whole = {each for each in filed.files() if CONTENT_ADDRESS.fullmatch(each)}
    return whole - {row["path"] for row in filed.rows().values()}


def half_fetched(filed: Filed) -> set[str]:
    return {each for each in filed.files() if each.startswith("incoming/")}


@pytest.mark.timeout(600)
@deep
def test_kill_9_at_any_moment_costs_no_attachment_that_was_stored(serve: Serve) -> None:
    filed = serve(latency=Latency(base=0.02))
    moments = random.Random(2)
    hits = Counter[str]()
    for _ in range(KILLS):
        stored, asked = set(filed.digests()), len(filed.simulator.requests)
        with fetching(filed, MAIL_PIPELINE_WORKERS="2") as process:
            wait_for_downloads(filed, len(filed.downloads()) + moments.randint(1, 6))
            time.sleep(moments.choice((0, 0.01, 0.03)))
            assert process.poll() is None
        assert stored.isdisjoint(filed.asked(asked))
        # Every row leads to its bytes.
        assert stored <= set(filed.digests())
        hits["half fetched"] += bool(half_fetched(filed))
        hits["between file and row"] += bool(without_row(filed))

    stored, asked = set(filed.digests()), len(filed.simulator.requests)
    with fetching(filed) as process:
        assert outcome(process)["ok"] is True

    assert stored.isdisjoint(filed.asked(asked))
    assert filed.digests() == filed.truth()
    assert hits.total() > 0
    # What was left between file and row has been taken over, and halves are swept up.
    assert without_row(filed) == set()
    FileStore.open(filed.data).remove_leftovers(older_than=0)
    assert half_fetched(filed) == set()
    print(f"{KILLS} kills, {dict(hits)}")


def test_two_processes_ask_for_no_attachment_twice(serve: Serve) -> None:
    filed = serve(latency=Latency(base=0.02))

    with fetching(filed) as one, fetching(filed) as other:
        assert [outcome(one)["ok"], outcome(other)["ok"]] == [True, True]

    assert max(Counter(filed.asked()).values()) == 1
    assert filed.digests() == filed.truth()


def test_a_full_disk_stops_the_fetch_and_it_goes_on_once_there_is_room(serve: Serve, tmp_path: Path) -> None:
    filed = serve()
    with small_disk(tmp_path / "small") as disk:
        filler = fill(disk)
        os.truncate(filler, filler.stat().st_size - 2 * 2**20)
        settings = filed.settings(attachments=str(disk))
        largest = 300_000
        with pytest.raises(StopRun, match=f"The disk that holds {disk} is full"):
            filed.fetch(settings=settings, max_size=largest)
        before = filed.rows()
        assert {row["state"] for row in before.values()} == {"stored", "skipped"}
        assert not list(disk.glob("incoming/*"))
        filler.unlink()
        fits = {key for key, row in before.items() if row["state"] == "stored"}
        filed.fetch(settings=settings, max_size=largest, total_size=10**6)
        after = {key for key, row in filed.rows().items() if row["state"] == "stored"}
        assert fits < after
        for row in filed.rows().values():
            if row["path"]:
                assert (disk / row["path"]).stat().st_size == row["size"]
