"""Notebooks read while mailboxes fill."""

import itertools
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

import mail_pipeline
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.processes import Backfill

COPIES = "SELECT count(*), count(DISTINCT message_id) FROM message_folders"


def test_no_statement_sees_half_of_a_commit_that_replaces_rows(tmp_path: Path) -> None:
    answers: list[object] = []
    with Lake(tmp_path) as lake:
        with lake.transaction() as transaction:
            transaction.append("message_folders", folder_rows(range(1000)))
        stop = threading.Event()
        writer = threading.Thread(target=replace_rows, args=(lake, stop))
        writer.start()
        try:
            with mail_pipeline.connect(tmp_path) as connection:
                while len(answers) < 150 or newest(lake) <= 10:
                    answers.append(connection.execute(COPIES).fetchone())
        finally:
            stop.set()
            writer.join()
    assert set(answers) == {(1000, 1000)}


def newest(lake: Lake) -> int:
    """Return how many commits the lake has had."""
    (found,) = lake.column("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')")
    return int(found)


def test_a_notebook_that_keeps_asking_sees_whole_commits_only_and_none_of_them_undone(serve: Serve) -> None:
    specs = [
        MailboxSpec(each, messages=messages, body_mean=1000, user_folders=1)
        for each, messages in (("google", 400), ("microsoft", 400), ("ews", 400), ("imap", 200))
    ]
    world = serve(Simulator(Fleet.generate(9, specs), limits=Limits.off(), latency=Latency(base=0.25)))
    keys = world.register()
    with subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline_tests.backfill.notebook", str(world.data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as notebook:
        with Backfill(world, keys, page_size=20) as process:
            assert set(process.states().values()) == {"complete"}
        out, errors = notebook.communicate(timeout=60)
    assert (notebook.returncode, errors) == (0, "")
    answers: dict[str, list[dict[str, int]]] = {"new": [], "kept": []}
    for answer in map(json.loads, out.splitlines()):
        answers[answer.pop("connection")].append(answer)
    for each in answers.values():
        assert_consistent(each, total=len(world.served()))


def assert_consistent(answers: list[dict[str, int]], total: int) -> None:
    half_way = [each for each in answers if 0 < each["messages"] < total]
    assert len(half_way) >= 4
    for each in answers:
        assert each["ids"] == each["messages"]
        assert each["bodies"] == each["with_body"]
        assert each["folder_rows"] == each["folders"]
        assert each["grants_that_disagree"] == 0
    for earlier, later in itertools.pairwise(answers):
        assert all(earlier[name] <= later[name] for name in ("messages", "bodies", "folders", "pages"))


def replace_rows(lake: Lake, stop: threading.Event) -> None:
    """Do what merging does, over and over: delete some rows and insert them again in one transaction."""
    chosen = random.Random(1)
    while not stop.is_set():
        rows = folder_rows(chosen.sample(range(1000), 10))
        with lake.transaction() as transaction:
            transaction.delete("message_folders", rows.select(["grant_id", "message_id"]))
            transaction.append("message_folders", rows)


def folder_rows(numbers: Iterable[int]) -> pa.Table:
    return arrow_table("message_folders", [("grant", str(number), "INBOX") for number in numbers])
