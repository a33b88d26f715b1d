"""A backfill as people see it: bars on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from mail_pipeline.cli.terminal import duration
from mail_pipeline.sync.progress import MailboxProgress

_PLAIN_EVERY = 5.0
"""Seconds between two lines on the whole, where there is no terminal."""


class Display(Protocol):
    """Shows a backfill while it runs; a `with` block around it."""

    def running(self, mailbox: MailboxProgress) -> None:
        """Show a mailbox at work."""

    def ended(self, mailbox: MailboxProgress) -> None:
        """Show the last word on a mailbox."""

    def __enter__(self) -> "Display":
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


def display(console: Console, mailboxes: int) -> Display:
    """Return the display that suits the console, for a backfill of so many mailboxes."""
    return Bars(console, mailboxes) if console.is_terminal else Lines(console, mailboxes)


class Totals:
    """What a backfill has done on the whole."""

    def __init__(self, mailboxes: int) -> None:
        """Start at nothing, of so many mailboxes."""
        self._mailboxes = mailboxes
        self._begun = time.monotonic()
        self._seen: dict[str, MailboxProgress] = {}
        self._fetched: dict[str, float] = {}
        self.ended = 0
        self._states = Counter[str]()

    def take(self, mailbox: MailboxProgress, *, ended: bool) -> None:
        """Count a mailbox as it stands now."""
        self._seen[mailbox.partition_key] = mailbox
        elapsed = (mailbox.updated_at - mailbox.started_at).total_seconds()
        self._fetched[mailbox.partition_key] = mailbox.rate * elapsed
        if ended:
            self.ended += 1
            self._states[mailbox.state] += 1

    @property
    def text(self) -> str:
        """Describe it in one line."""
        fetched = round(sum(self._fetched.values()))
        elapsed = time.monotonic() - self._begun
        failed = sum(self._states[state] for state in ("paused", "failed"))
        parts = [
            f"{self.ended:,} of {self._mailboxes:,} mailboxes",
            f"{fetched:,} messages listed",
            f"{fetched / max(elapsed, 1e-3):,.0f}/s",
            duration(elapsed),
        ]
        return ", ".join(parts + ([f"{failed} paused or failed"] if failed else []))


class Bars:
    """A bar for each mailbox at work, and one for the whole."""

    def __init__(self, console: Console, mailboxes: int) -> None:
        """Take the terminal and how many mailboxes there are."""
        self._totals = Totals(mailboxes)
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
        )
        self._whole = self._progress.add_task("all", total=mailboxes, text="")

    def running(self, mailbox: MailboxProgress) -> None:
        """Move the mailbox's bar."""
        key = mailbox.partition_key
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(label(mailbox), total=None, text="")
        self._progress.update(
            self._tasks[key], total=mailbox.reported, completed=mailbox.ids_seen, text=state_text(mailbox)
        )
        self._totals.take(mailbox, ended=False)
        self._show_whole()

    def ended(self, mailbox: MailboxProgress) -> None:
        """Take the bar away; say what went wrong, if anything did."""
        task = self._tasks.pop(mailbox.partition_key, None)
        if task is not None:
            self._progress.remove_task(task)
        if not mailbox.succeeded:
            self._progress.console.print(f"{label(mailbox)}: {state_text(mailbox)}")
        self._totals.take(mailbox, ended=True)
        self._show_whole()

    def _show_whole(self) -> None:
        self._progress.update(self._whole, completed=self._totals.ended, text=self._totals.text)

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the bars and leave one line on the whole."""
        self._progress.stop()
        self._console.print(self._totals.text)


class Lines:
    """A line for each mailbox that ends, and now and then one on the whole."""

    def __init__(self, console: Console, mailboxes: int) -> None:
        """Take the console and how many mailboxes there are."""
        self._console = console
        self._totals = Totals(mailboxes)
        self._next = time.monotonic() + _PLAIN_EVERY

    def running(self, mailbox: MailboxProgress) -> None:
        """Count the mailbox; every few seconds print the whole."""
        self._totals.take(mailbox, ended=False)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PLAIN_EVERY
            self._console.print(self._totals.text)

    def ended(self, mailbox: MailboxProgress) -> None:
        """Print the mailbox's last word."""
        self._totals.take(mailbox, ended=True)
        self._console.print(f"{label(mailbox)}: {state_text(mailbox)}")

    def __enter__(self) -> "Lines":
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print the whole."""
        self._console.print(self._totals.text)


def label(mailbox: MailboxProgress) -> str:
    """Return a mailbox's name on a line: its partition key and provider."""
    return f"{mailbox.partition_key} ({mailbox.provider})"


def state_text(mailbox: MailboxProgress) -> str:
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
        parts.append(". ".join(part.rstrip(".") for part in (mailbox.reason, mailbox.next_step) if part))
    return ", ".join(parts)
