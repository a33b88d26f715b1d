"""Child processes that leave nothing behind: each has a process group, and the group ends with the block."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from mail_pipeline.disk import disk_errors
from mail_pipeline.errors import StopRun

_LEADER_SECONDS = 20.0
_GROUP_SECONDS = 5.0
_POLL_SECONDS = 0.1
_WATCH_SECONDS = 0.5
_SHOWN_LINES = 8


class Child:
    """One child, at the head of a process group of its own."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, cwd: Path, log: Path, capture: bool = False
    ) -> None:
        """Start it. What it says goes to the file `log`; with `capture`, its standard output to `line`."""
        self.name = name
        self.log = log
        with log.open("wb") as file:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the child in order.
            # Its standard input ends when this process does, however that happens.
            self._process = subprocess.Popen(
                arguments,
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if capture else file,
                stderr=file,
                start_new_session=True,
                text=True,
            )

    @property
    def pid(self) -> int:
        """Return its process id, which is its group's too."""
        return self._process.pid

    def line(self) -> str:
        """Return the next line of its captured output; empty when it has ended."""
        return self._process.stdout.readline().strip() if self._process.stdout else ""

    def check(self) -> None:
        """Raise StopRun, with the last lines of its log, where it has ended."""
        code = self._process.poll()
        if code is None:
            return
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        raise StopRun(
            "\n  ".join([f"{self.name} has ended by itself ({how})", *said]),
            next_step=f"Its log is {self.log}. Start the command again: nothing stored is lost.",
        )

    def stop(self) -> None:
        """End the whole group: in order while that works, by force after."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_LEADER_SECONDS)
            deadline = time.monotonic() + _GROUP_SECONDS
            while _signal_group(self.pid, 0) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        finally:
            # Also on a second Ctrl-C, from somebody who does not want to wait.
            _signal_group(self.pid, signal.SIGKILL)
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream:
                    stream.close()


def end_orphans(note: Path) -> None:
    """End the group of the child described in a file by `note_child`, where its parent was killed."""
    with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
        pid, created = json.loads(note.read_text())
        # Process ids are given anew.
        if psutil.Process(pid).create_time() == created:
            _signal_group(pid, signal.SIGKILL)
    note.unlink(missing_ok=True)


def note_child(child: Child, note: Path) -> None:
    """Describe a child in a file, for `end_orphans` of a later command."""
    note.write_text(json.dumps([child.pid, psutil.Process(child.pid).create_time()]))


class Children:
    """The children of one command; leaving the block stops them, the last one started first."""

    def __init__(self) -> None:
        """Start without children."""
        self._children: list[Child] = []

    def start(
        self, name: str, arguments: Sequence[str], *, cwd: Path, data: Path, capture: bool = False
    ) -> Child:
        """Start a Python module, named by the first of `arguments`, in this very environment.

        Its log lies in `<data>/logs`. Raises StopRun where that cannot be written.
        """
        with disk_errors(data):
            log = data / "logs" / f"{name.split()[-1].lower()}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            child = Child(name, [sys.executable, "-m", *arguments], cwd=cwd, log=log, capture=capture)
        self._children.append(child)
        return child

    def stop(self, child: Child) -> None:
        """Stop one child."""
        self._children.remove(child)
        child.stop()

    def check(self) -> None:
        """Raise StopRun where a child has ended."""
        for child in self._children:
            child.check()

    def wait(self) -> None:
        """Wait until a child ends, which raises StopRun, or Ctrl-C does."""
        while True:
            self.check()
            time.sleep(_WATCH_SECONDS)

    def __enter__(self) -> "Children":
        """Return itself; leaving stops all."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all children."""
        try:
            if self._children:
                self._children.pop().stop()
        finally:
            # The others too, whatever happens to the first.
            if self._children:
                self.__exit__(kind, error, trace)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
