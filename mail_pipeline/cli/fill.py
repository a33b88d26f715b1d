"""A backfill through Dagster, as `backfill` and `demo` run it and tell of it."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
from rich.console import Console

from mail_pipeline.cli.accounts import Unread, accounts_listed, unread_accounts
from mail_pipeline.cli.progress import FINAL, display
from mail_pipeline.cli.terminal import counted, duration, explained
from mail_pipeline.cli.workplace import Workplace
from mail_pipeline.lake import reports
from mail_pipeline.lake.connection import connect
from mail_pipeline.sync.partition_keys import NO_KEY, is_partition_key
from mail_pipeline.sync.position import BackfillOptions
from mail_pipeline.sync.progress import MailboxProgress

_NAMED = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """The partitions to backfill, and what was asked for and does not exist."""

    keys: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    grants: frozenset[str] | None = None
    """The grants that were asked for whole; None: all."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How a backfill ended."""

    mailboxes: tuple[MailboxProgress, ...]
    unknown: tuple[str, ...]
    unusable: tuple[str, ...]
    """Mailboxes that can have no partition."""
    unread: Unread
    unreached: int
    """Mailboxes that did not get their turn."""
    cancelled: bool
    seconds: float
    requests: int
    messages: int
    """Stored in the whole lake now."""

    @property
    def succeeded(self) -> bool:
        """Tell whether everything that was asked for is done."""
        left_out = self.cancelled or self.unknown or self.unusable or self.unread or self.unreached
        return not left_out and all(each.succeeded for each in self.mailboxes)

    @property
    def nothing_to_do(self) -> bool:
        """Tell whether all mailboxes were complete before."""
        return self.requests == 0 and self.succeeded

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "ok": self.succeeded,
            "interrupted": self.cancelled,
            "seconds": round(self.seconds, 1),
            "mailboxes": Counter(each.state for each in self.mailboxes),
            "requests": self.requests,
            "messages_stored": self.messages,
            "failures": [
                {
                    "partition": each.partition_key,
                    "state": each.state,
                    "reason": each.reason,
                    "next_step": each.next_step,
                }
                for each in self.mailboxes
                if not each.succeeded
            ],
            "unknown": list(self.unknown),
            "unusable": list(self.unusable),
            "unread": asdict(self.unread),
            "unreached": self.unreached,
        }

    def tell(self, console: Console) -> None:
        """Print it for people."""
        failures = [each for each in self.mailboxes if not each.succeeded]
        for each in failures[:_NAMED]:
            console.print(f"{each.partition_key} is {each.state}: {explained(each.reason, each.next_step)}")
        if failures[_NAMED:]:
            console.print(f"And {len(failures) - _NAMED} others: `mail-pipeline status` names them.")
        for name in self.unknown:
            console.print(f"There is no mailbox {name}: `mail-pipeline status` lists those there are.")
        for name in self.unusable[:_NAMED]:
            console.print(f"{name} is not backfilled: {NO_KEY}.")
        if self.unread:
            console.print(explained(str(self.unread), self.unread.next_step))
        if self.cancelled:
            console.print("Interrupted; the next run goes on from the last stored page.")
        elif self.unreached:
            console.print(f"{self.unreached:,} mailboxes did not get their turn: start it again.")
        counts = counted(each.state for each in self.mailboxes)
        if self.nothing_to_do:
            console.print(f"Nothing to do. Mailboxes: {counts}. Messages stored: {self.messages:,}.")
        else:
            console.print(
                f"Mailboxes: {counts}. Messages stored: {self.messages:,}. Took {duration(self.seconds)}."
            )


def fill(
    place: Workplace,
    choose: Callable[[Mapping[str, str]], Choice],
    options: BackfillOptions | None = None,
    *,
    refresh: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Filled:
    """Backfill the mailboxes that `choose` takes of those that exist, with progress on standard error.

    It is given their grants by partition key.
    `refresh` lists the accounts before. `check` is called now and then and may raise. The caller has entered
    `place`. Raises StopRun for what stops everything.
    """
    # Dagster takes 2 CPU seconds to import, and most commands do without it.
    from mail_pipeline import launch

    begun = time.monotonic()
    with accounts_listed(place, refresh=refresh) as (console, instance), connect(place.data) as lake:
        check()
        active = dict(lake.execute(reports.ACTIVE_PARTITION_KEYS).fetchall())
        choice = choose(active)
        keys = [key for key in choice.keys if is_partition_key(key, active[key])]
        unusable = tuple(key for key in choice.keys if not is_partition_key(key, active[key]))
        unread = unread_accounts(lake, choice.grants)
        requests_before, _ = _counts(lake)
        with display(console, keys) as shown:

            def on_progress(mailbox: MailboxProgress) -> None:
                shown.take(mailbox, ended=mailbox.state in FINAL and not (options and options.full_resync))
                check()

            outcome = launch.run_backfill(keys, options, instance=instance, on_progress=on_progress)
            for mailbox in outcome.mailboxes:
                shown.take(mailbox, ended=True)
        requests, messages = _counts(lake)
    return Filled(
        mailboxes=outcome.mailboxes,
        unknown=(*choice.unknown, *outcome.unknown),
        unusable=unusable,
        unread=unread,
        unreached=len(keys) - len(outcome.mailboxes) - len(outcome.unknown),
        cancelled=outcome.cancelled,
        seconds=time.monotonic() - begun,
        requests=requests - requests_before,
        messages=messages,
    )


def _counts(lake: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    [(requests, messages)] = lake.execute(reports.REQUESTS_AND_MESSAGES).fetchall()
    return requests, messages
