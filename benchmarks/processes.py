"""Processes: the server beside the cases, and each case measured from outside.

Imports nothing heavy: Linux starts a child's peak memory at its parent's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took from start to end, imports included."""

    wall: float
    """Seconds."""
    cpu: float
    """User and system seconds, all threads."""
    peak_memory: float
    """Largest resident set in MB (10^6 bytes)."""
    answer: Any
    """What the process printed, as JSON; None where it printed nothing."""


@contextmanager
def serving(*, mailboxes: int, messages: int) -> Iterator[str]:
    """Run the server with `messages` in all, dealt out to the mailboxes, and yield its address."""
    command = _python("benchmarks.server", "--mailboxes", str(mailboxes), "--messages", str(messages))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError("the benchmark's server did not start")
            yield address
        finally:
            process.terminate()


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a module of the benchmarks to its end. Raises CalledProcessError where it fails."""
    return measured(_python(module, *arguments), environment=environment)


def measured(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end. Raises CalledProcessError where it fails."""
    started = perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Linux counts the peak in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak / 1e6, json.loads(output) if output else None)


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
