"""Heartbeats show when storing worked, and /healthz whether it does."""

import asyncio
import sqlite3
from pathlib import Path

from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.group_commit import Commit
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.inbox.pulse import Pulse
from mail_pipeline.settings import Settings


def stretches(data: Path) -> list[tuple[float, float]]:
    connection = sqlite3.connect(data / "inbox.sqlite")
    found = connection.execute("SELECT started_at, last_seen FROM receivers ORDER BY started_at").fetchall()
    connection.close()
    return found


def test_a_receiver_that_runs_and_stops_is_one_stretch(tmp_path: Path):
    async def run() -> None:
        pulse = Pulse(landing, "a")
        pulse.start()
        assert await pulse.problem() is None
        await pulse.stop()

    with Landing.open(Settings(data=tmp_path)) as landing:
        asyncio.run(run())

    [(start, end)] = stretches(tmp_path)
    assert start < end


def test_a_commit_that_failed_is_a_problem_until_one_succeeds(tmp_path: Path):
    async def run() -> None:
        pulse = Pulse(landing, "a")
        assert await pulse.problem() is None
        pulse.committed(Commit(1, 0.1, StopRun("The disk is full", next_step="Free some space.")))
        assert await pulse.problem() == "The disk is full. Free some space."
        # No heartbeat says that all was well meanwhile.
        await pulse.stop()
        assert len(stretches(tmp_path)) == 1
        pulse = Pulse(landing, "b")
        pulse.committed(Commit(1, 0.1, ValueError("private words")))
        assert await pulse.problem() == "Unexpected ValueError"
        pulse.committed(Commit(1, 0.1, None))
        assert await pulse.problem() is None
        await pulse.stop()

    with Landing.open(Settings(data=tmp_path)) as landing:
        asyncio.run(run())

    assert len(stretches(tmp_path)) == 2


def test_after_a_failure_a_new_stretch_begins(tmp_path: Path):
    async def run() -> None:
        pulse = Pulse(landing, "a")
        pulse.start()
        await pulse.problem()
        pulse.committed(Commit(1, 0.1, StopRun("The disk is full")))
        pulse.committed(Commit(1, 0.1, None))
        await pulse.stop()

    with Landing.open(Settings(data=tmp_path)) as landing:
        asyncio.run(run())

    (_, failed), (again, _) = stretches(tmp_path)
    assert failed < again


def test_many_who_ask_at_once_cost_one_heartbeat(tmp_path: Path):
    async def run() -> list[str | None]:
        pulse = Pulse(landing, "a")
        answers = await asyncio.gather(*(pulse.problem() for _ in range(200)))
        await pulse.stop()
        return answers

    with Landing.open(Settings(data=tmp_path)) as landing:
        assert asyncio.run(run()) == [None] * 200
    assert len(stretches(tmp_path)) == 1
