import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mail_pipeline.cli.children import Child, Children
from mail_pipeline.errors import StopRun

WAITS = "import threading; print('ready', flush=True); threading.Event().wait()"
# Its own child ignores SIGTERM and outlives it.
STUBBORN = """
import subprocess, sys
code = ("import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready', flush=True); threading.Event().wait()")
subprocess.Popen([sys.executable, "-c", code]).wait()
"""


@pytest.fixture
def child(tmp_path: Path) -> Callable[[str], Child]:
    def start(code: str) -> Child:
        return Child(
            "Sleeper", [sys.executable, "-c", code], cwd=tmp_path, log=tmp_path / "log", capture=True
        )

    return start


def members(child: Child) -> list[psutil.Process]:
    process = psutil.Process(child.pid)
    return [process, *process.children(recursive=True)]


def test_stopping_ends_the_child(child: Callable[[str], Child]):
    started = child(WAITS)
    assert started.line() == "ready"
    processes = members(started)

    started.stop()

    assert not any(process.is_running() for process in processes)


def test_stopping_ends_also_those_who_ignore_it(child: Callable[[str], Child]):
    started = child(STUBBORN)
    assert started.line() == "ready"
    processes = members(started)
    assert len(processes) == 2

    started.stop()

    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_child_that_lives_is_no_error(child: Callable[[str], Child]):
    started = child(WAITS)
    started.check()
    started.stop()


def test_a_child_that_was_killed_is_reported_with_the_end_of_its_log(child: Callable[[str], Child]):
    started = child(
        "import os, sys; print('last words', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    )
    assert started.line() == ""
    os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(StopRun) as raised:
        started.check()

    assert "Sleeper has ended by itself (killed by SIGKILL)\n  last words" in raised.value.message
    assert str(started.log) in raised.value.next_step
    started.stop()


def test_leaving_the_block_stops_all_children(tmp_path: Path):
    (tmp_path / "waits.py").write_text(WAITS)

    with Children() as children:
        started = [children.start(f"Number {n}", ["waits"], cwd=tmp_path, data=tmp_path) for n in range(2)]
        processes = [psutil.Process(each.pid) for each in started]
        children.check()

    assert not any(process.is_running() for process in processes)


def test_a_log_that_cannot_be_written_stops_the_command(tmp_path: Path):
    (tmp_path / "logs").touch()

    with Children() as children, pytest.raises(StopRun, match="a file stands in its way"):
        children.start("Sleeper", ["waits"], cwd=tmp_path, data=tmp_path)


def test_waiting_ends_when_a_child_does(tmp_path: Path):
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)")

    with Children() as children:
        children.start("Leaver", ["leaves"], cwd=tmp_path, data=tmp_path)
        alarm = threading.Timer(60, signal.raise_signal, [signal.SIGINT])
        alarm.start()
        with pytest.raises(StopRun, match=r"Leaver has ended by itself \(exit code 3\)"):
            children.wait()
        alarm.cancel()
