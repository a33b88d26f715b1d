"""Backfills in processes of their own, to be killed, stopped and waited for."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from mail_pipeline_tests.backfill.world import World

_PATIENCE_SECONDS = 120.0


class Backfill:
    """A process that backfills mailboxes of a world, or mirrors streams of its grants.

    It does not outlive the `with` block.
    """

    def __init__(self, world: World, keys: Iterable[str], **options: Any) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mail_pipeline_tests.backfill.runner"],
            env={**os.environ, **world.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            json.dump({"keys": list(keys), **options}, stdin)
        # Else `communicate` would flush it again.
        self._process.stdin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it as `kill -9` does, and wait until it is gone."""
        self._process.kill()
        self._process.communicate()

    def pause(self) -> None:
        """Take the processor away from it, as a laptop's lid or a frozen container does."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def states(self) -> dict[str, str]:
        """Wait until it ends by itself and return each mailbox's last state; fails unless it exits with 0."""
        out, error = self._process.communicate(timeout=_PATIENCE_SECONDS)
        assert self._process.returncode == 0, error
        return {word["partition_key"]: word["state"] for word in map(json.loads, out.splitlines())}
