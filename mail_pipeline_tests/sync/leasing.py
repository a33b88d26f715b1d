"""Workers in processes of their own, and time passing for their leases without waiting for it.

`python -m mail_pipeline_tests.sync.leasing DATA` does what the lines of its standard input say and answers
each with a line: `take GRANT` with the fencing number or `held`, `store GRANT ID` with `stored` or the name
of the error.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation


def run_out(data: Path, grant_id: str) -> None:
    """Do to a lease what a minute without renewal does."""
    with closing(sqlite3.connect(data / "state.sqlite", timeout=30)) as connection, connection:
        changed = connection.execute("UPDATE leases SET expires_at = 1 WHERE grant_id = ?", [grant_id])
        assert changed.rowcount == 1


class Worker:
    """A process with a lake, leases and a committer of its own; it does not outlive the `with` block."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def tell(self, *words: str) -> None:
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin)

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, *words: str) -> str:
        self.tell(*words)
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def main(data: Path) -> None:
    with Lake(data) as lake:
        leases = Leases(data)
        committer = Committer(lake, leases)
        for line in sys.stdin:
            action, grant_id, *ids = line.split()
            if action == "take":
                with lake.locked():
                    fence = leases.take(grant_id)
                committer.begin(Checkpoint(partition_key=grant_id, grant_id=grant_id))
                print("held" if fence is None else fence, flush=True)
            else:
                fresh = [Observation(identity, 1) for identity in ids]
                error = committer.submit(Write(grant_id, {}, fresh=fresh)).exception()
                print("stored" if error is None else type(error).__name__, flush=True)
        committer.close()
        leases.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
