"""How long after a notification has landed can its message be queried, with Dagster in between?

    python -m benchmarks.freshness [--trials 100] [--seed 0] [--json]

`mail-pipeline up` runs as it is shipped, on a simulated mailbox. Each trial waits for a random moment, posts
one signed notification to the receiver, and asks a connection of a notebook's kind until the message is
there. The clock starts when the receiver has answered 200. Where the time goes: until the bell has asked for
a run (bell), until the queue lets it go (queue), until its process has imported everything and begins
(start), until the rows are there (apply).
"""

import argparse
import hashlib
import hmac
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import dagster as dg
import duckdb
import requests

import mail_pipeline
from benchmarks.processes import ROOT
from mail_pipeline.errors import StopRun

SECRET = "secret-of-the-benchmark"
PARTS = ("bell", "queue", "start", "apply", "total")
_LONGEST_PAUSE = 10.0
"""Seconds between two trials: two ticks of the bell, so that it is met at work as well as listening."""
_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 180.0
_OWN = ("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")


@dataclass(frozen=True, slots=True)
class Trial:
    """Where the seconds of one notification went."""

    bell: float
    queue: float
    start: float
    apply: float
    total: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One part over all trials, in seconds."""

    part: str
    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True)
class Installation:
    """A pipeline that runs."""

    data: Path
    webhook: str
    grant_id: str


def measure(trials: int, seed: int = 0) -> list[Trial]:
    """Run so many trials, one after the other. Raises TimeoutError where a message never comes."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, _installed(Path(folder)) as installation:
        home = str(installation.data / "dagster")
        with (
            mail_pipeline.connect(installation.data) as lake,
            dg.DagsterInstance.from_config(home) as instance,
        ):
            # The first one finds everything cold: it is no trial.
            _trial(installation, lake, instance, "warm-up")
            return [
                _trial(installation, lake, instance, f"trial-{number}", moments.uniform(0, _LONGEST_PAUSE))
                for number in range(trials)
            ]


def figures(trials: Sequence[Trial]) -> list[Figures]:
    """Sum up trials, part by part."""
    return [_figures(part, [getattr(trial, part) for trial in trials]) for part in PARTS]


def table(found: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| landed to queryable | p50 s | p95 s | max s |", "|---|---|---|---|"]
    lines += [f"| {each.part} | {each.p50:.2f} | {each.p95:.2f} | {each.max:.2f} |" for each in found]
    return "\n".join(lines)


def _figures(part: str, seconds: Sequence[float]) -> Figures:
    # With one trial there is nothing between the ranks.
    ranks = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else [seconds[0]]
    return Figures(part, median(seconds), ranks[-1], max(seconds))


def _trial(
    installation: Installation,
    lake: duckdb.DuckDBPyConnection,
    instance: dg.DagsterInstance,
    message_id: str,
    pause: float = 0.0,
) -> Trial:
    time.sleep(pause)
    _post(installation, message_id)
    landed = time.time()
    _until(lambda: _holds(lake, message_id), f"the message of {message_id}")
    queryable = time.time()
    asked, let_go, begun = _run_that_applied(instance, queryable)
    # One that lands while a run is at work is taken by it: the parts before are none of its time.
    moments = [landed, *(max(landed, moment) for moment in (asked, let_go, begun)), queryable]
    bell, queue, start, applied = (later - earlier for earlier, later in pairwise(moments))
    return Trial(bell, queue, start, applied, total=queryable - landed)


def _run_that_applied(instance: dg.DagsterInstance, queryable: float) -> tuple[float, float, float]:
    """Return when the last run that began by then was asked for, let go by the queue, and begun."""
    for record in instance.get_run_records(dg.RunsFilter(job_name="apply_notifications"), limit=5):
        stats = instance.get_run_stats(record.dagster_run.run_id)
        began, launched = getattr(stats, "start_time", None), getattr(stats, "launch_time", None)
        if began is not None and began <= queryable:
            return record.create_timestamp.timestamp(), launched or began, began
    raise RuntimeError("no run has applied it")


def _post(installation: Installation, message_id: str) -> None:
    now = int(time.time())
    message = {
        "object": "message",
        "id": message_id,
        "grant_id": installation.grant_id,
        "thread_id": message_id,
        "subject": "Fresh",
        "from": [{"name": "", "email": "sender@example.com"}],
        "to": [{"name": "", "email": "reader@example.com"}],
        "date": now,
        "unread": True,
        "starred": False,
        "folders": [],
        "snippet": "Fresh",
        "body": "<p>Fresh</p>",
    }
    body = json.dumps(
        {
            "specversion": "1.0",
            "type": "message.created",
            "source": "/benchmark",
            "id": message_id,
            "time": now,
            "webhook_delivery_attempt": 1,
            "data": {"application_id": "benchmark", "object": message},
        }
    ).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    requests.post(
        installation.webhook, data=body, headers={"X-Nylas-Signature": signature}, timeout=30
    ).raise_for_status()


def _holds(lake: duckdb.DuckDBPyConnection, message_id: str) -> bool:
    return bool(lake.execute("SELECT 1 FROM messages WHERE id = ?", [message_id]).fetchall())


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _installed(folder: Path) -> Iterator[Installation]:
    """Run simulator, receiver, Dagster's daemon and webserver, until the block ends."""
    with ExitStack() as stack:
        said = stack.enter_context(_command(folder, {}, "simulate", "--port=0", "--mailbox=google=50"))
        api = dict(next(said).removeprefix("export ").split("=", 1) for _ in range(2))
        data = folder / "data"
        environment = {**api, "MAIL_PIPELINE_DATA": str(data), "NYLAS_WEBHOOK_SECRET": SECRET}
        said = stack.enter_context(_command(folder, environment, "up", "--port=0", "--receiver-port=0"))
        webhook = _told(said, "Notifications are received on ")
        _told(said, "The Dagster UI is up: ")
        # The bell's neighbour has the accounts listed.
        _until(lambda: bool(_grants(data)), "the grant")
        yield Installation(data, webhook, _grants(data)[0])


def _grants(data: Path) -> list[str]:
    try:
        with mail_pipeline.connect(data) as lake:
            return [grant_id for (grant_id,) in lake.execute("SELECT id FROM grants").fetchall()]
    except StopRun:
        # There is no lake yet.
        return []


def _told(lines: Iterator[str], beginning: str) -> str:
    return next(line.partition(beginning)[2].strip() for line in lines if beginning in line)


@contextmanager
def _command(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[Iterator[str]]:
    """Run a command of `mail-pipeline` until the block ends; gives the lines it prints."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    with subprocess.Popen(
        [sys.executable, "-m", "mail_pipeline.cli", *arguments],
        cwd=folder,
        env={**outside, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100, help="notifications, one after the other")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true", help="print JSON, with every trial")
    wanted = parser.parse_args()
    trials = measure(wanted.trials, wanted.seed)
    found = figures(trials)
    told: dict[str, Any] = {
        "figures": [asdict(each) for each in found],
        "trials": [asdict(trial) for trial in trials],
    }
    print(json.dumps(told, indent=2) if wanted.json else table(found))


if __name__ == "__main__":
    main()
