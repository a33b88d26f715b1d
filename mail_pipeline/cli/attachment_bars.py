"""Attachments on their way, as people see them: a bar for each grant on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import TaskID

from mail_pipeline.cli.progress import bars
from mail_pipeline.cli.terminal import sized
from mail_pipeline.sync.attachments import FETCHING, AttachmentProgress

_PLAIN_EVERY = 5.0
"""Seconds between two lines on one grant, where there is no terminal."""


class AttachmentBars:
    """Shows a fetch while it runs; a `with` block around it."""

    def __init__(self, console: Console) -> None:
        """Take the console."""
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._next: dict[str, float] = {}
        self._progress = bars(console)

    def show(self, grant: AttachmentProgress) -> None:
        """Show where a grant stands."""
        if self._console.is_terminal:
            if grant.grant_id not in self._tasks:
                self._tasks[grant.grant_id] = self._progress.add_task(_short(grant), total=None, text="")
            self._progress.update(
                self._tasks[grant.grant_id], total=grant.wanted, completed=grant.done, text=standing(grant)
            )
        elif time.monotonic() >= self._next.setdefault(grant.grant_id, time.monotonic() + _PLAIN_EVERY):
            self._next[grant.grant_id] = time.monotonic() + _PLAIN_EVERY
            self._console.print(f"{_short(grant)}: {standing(grant)}")

    def end(self, grant: AttachmentProgress) -> None:
        """Take a grant's bar away and leave a line, unless there was nothing to do."""
        if (task := self._tasks.pop(grant.grant_id, None)) is not None:
            self._progress.remove_task(task)
        if grant.wanted or grant.reason:
            self._progress.console.print(f"{_short(grant)}: {grant.state}, {standing(grant)}")

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the bars."""
        self._progress.stop()


def standing(grant: AttachmentProgress) -> str:
    """Describe how far a grant's attachments are."""
    parts = [f"{grant.done:,} of {grant.wanted:,}", f"{sized(grant.bytes)} stored"]
    if grant.state == FETCHING and grant.seconds:
        parts.append(f"{sized(grant.bytes / grant.seconds)}/s")
    for name in ("skipped", "gone", "failed"):
        if count := getattr(grant, name):
            parts.append(f"{count:,} {name}")
    return ", ".join(parts)


def _short(grant: AttachmentProgress) -> str:
    return f"{grant.provider} {grant.grant_id[:8]}"
