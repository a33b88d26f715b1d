"""A backfill as people see it: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Collection
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from mail_pipeline.cli.terminal import duration, explained
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, PAUSED
from mail_pipeline.sync.progress import MailboxProgress

FINAL = frozenset({COMPLETE, PAUSED, FAILED})
"""States in which nothing more comes."""

_PLAIN_EVERY = 5.0
"""Seconds between two lines on the whole, where there is no terminal."""


class Display(Protocol):
    """Shows a backfill while it runs; a `with` block around it."""

    def take(self, mailbox: MailboxProgress, *, ended: bool) -> None:
        """Show where a mailbox stands; `ended` may be told of it more than once."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with one line on the whole."""


def display(console: Console, keys: Collection[str]) -> Display:
    """Return the display that suits the console, for a backfill of these partitions."""
    return Bars(console, keys) if console.is_terminal else Lines(console, keys)


def bars(console: Console) -> Progress:
    """Return bars with a name before and a text behind each, that leave nothing on the screen."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
        refresh_per_second=4,
        transient=True,
        disable=not console.is_terminal,
    )


class Totals:
    """What a backfill has done on the whole."""

    def __init__(self, keys: Collection[str]) -> None:
        """Start at nothing, of these partitions."""
        self._mailboxes = len(keys)
        self._begun = time.monotonic()
        self._listed: dict[str, float] = {}
        self._ended: dict[str, bool] = {}

    def take(self, mailbox: MailboxProgress, *, ended: bool) -> bool:
        """Count a mailbox as it stands now; tell whether that it has ended is news."""
        key = mailbox.partition_key
        elapsed = (mailbox.updated_at - mailbox.started_at).total_seconds()
        self._listed[key] = max(mailbox.rate * elapsed, self._listed.get(key, 0.0))
        if not ended or key in self._ended:
            return False
        self._ended[key] = mailbox.succeeded
        return True

    @property
    def ended(self) -> int:
        """Return how many mailboxes have ended."""
        return len(self._ended)

    @property
    def text(self) -> str:
        """Describe it in one line."""
        listed = round(sum(self._listed.values()))
        elapsed = time.monotonic() - self._begun
        failed = sum(not succeeded for succeeded in self._ended.values())
        parts = [
            f"{self.ended:,} of {self._mailboxes:,} mailboxes",
            f"{listed:,} messages listed",
            f"{listed / max(elapsed, 1e-3):,.0f}/s",
            duration(elapsed),
        ]
        return ", ".join(parts + ([f"{failed:,} paused or failed"] if failed else []))


class Bars:
    """A bar for each mailbox at work, and one for the whole."""

    def __init__(self, console: Console, keys: Collection[str]) -> None:
        """Take the terminal and the partitions."""
        self._totals = Totals(keys)
        self._tasks: dict[str, TaskID] = {}
        self._progress = bars(console)
        self._whole = self._progress.add_task("All", total=len(keys), text="")

    def take(self, mailbox: MailboxProgress, *, ended: bool) -> None:
        """Move the mailbox's bar, or take it away and say what went wrong, if anything did."""
        key = mailbox.partition_key
        news = self._totals.take(mailbox, ended=ended)
        if ended:
            if (task := self._tasks.pop(key, None)) is not None:
                self._progress.remove_task(task)
            if news and not mailbox.succeeded:
                self._progress.console.print(f"{label(mailbox)}: {standing(mailbox)}")
        else:
            if key not in self._tasks:
                self._tasks[key] = self._progress.add_task(_short(mailbox), total=None, text="")
            self._progress.update(
                self._tasks[key],
                total=mailbox.reported,
                completed=mailbox.ids_seen,
                text=standing(mailbox),
            )
        self._progress.update(self._whole, completed=self._totals.ended, text=self._totals.text)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the bars and leave one line."""
        self._progress.stop()
        self._progress.console.print(self._totals.text)


class Lines:
    """A line for each mailbox that ends, and now and then one on the whole."""

    def __init__(self, console: Console, keys: Collection[str]) -> None:
        """Take the console and the partitions."""
        self._console = console
        self._totals = Totals(keys)
        self._next = time.monotonic() + _PLAIN_EVERY

    def take(self, mailbox: MailboxProgress, *, ended: bool) -> None:
        """Print the last word on a mailbox; otherwise, every few seconds, the whole."""
        if self._totals.take(mailbox, ended=ended):
            self._console.print(f"{label(mailbox)}: {standing(mailbox)}")
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_EVERY
            self._console.print(self._totals.text)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print the whole."""
        self._console.print(self._totals.text)


def _short(mailbox: MailboxProgress) -> str:
    return f"{mailbox.provider} {mailbox.grant_id[:8]}{mailbox.partition_key[len(mailbox.grant_id) :]}"


def label(mailbox: MailboxProgress) -> str:
    """Return a mailbox's name on a line: its partition key and provider."""
    return f"{mailbox.partition_key} ({mailbox.provider})"


def standing(mailbox: MailboxProgress) -> str:
    """Describe where a mailbox stands: counts, rate, time left, or why it does not go on."""
    counts = f"{mailbox.ids_seen:,}"
    if mailbox.reported is not None:
        counts += f" of {mailbox.reported:,}"
    parts = [mailbox.state, f"{counts} messages"]
    if mailbox.rate:
        parts.append(f"{mailbox.rate:,.0f}/s")
    if mailbox.eta_seconds is not None:
        parts.append(f"{duration(mailbox.eta_seconds)} left")
    if mailbox.held_until is not None:
        wait = (mailbox.held_until - mailbox.updated_at).total_seconds()
        parts.append(f"waiting {duration(wait)} for the provider's quota")
    if mailbox.reason:
        return f"{', '.join(parts)}: {explained(mailbox.reason, mailbox.next_step)}"
    return ", ".join(parts)
