"""Notebooks read while mailboxes fill."""

import itertools
import json
import subprocess
import sys

from mail_pipeline.simulator import Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.processes import Backfill


def test_a_notebook_that_keeps_asking_sees_whole_commits_only_and_none_of_them_undone(serve: Serve) -> None:
    specs = [
        MailboxSpec(each, messages=500, body_mean=2000) for each in ("google", "microsoft", "ews", "yahoo")
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
