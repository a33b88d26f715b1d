"""Child processes that leave nothing behind: each has a process group, and the group ends with the block."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

from mail_pipeline.errors import StopRun
from mail_pipeline.lake.disk import disk_errors

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
            self._process = subprocess.Popen(
                arguments,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
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
            while self._signal_group(0) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        finally:
            # Also on a second Ctrl-C, from somebody who does not want to wait.
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


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


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the block as Ctrl-C does: by KeyboardInterrupt."""
    # SIGINT too: a shell starts background commands with it ignored.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
