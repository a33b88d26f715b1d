"""`mail-pipeline mirror`: contacts, calendars and events, through the same Dagster assets and history."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console

from mail_pipeline.cli.accounts import Unread, accounts_listed, unread_accounts
from mail_pipeline.cli.options import DATE_WITH_OFFSET, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import duration, explained, print_json, print_table, results
from mail_pipeline.cli.workplace import Workplace, find_workplace
from mail_pipeline.lake import queries
from mail_pipeline.lake.connection import connect
from mail_pipeline.ledger import thread_costs
from mail_pipeline.sync.partition_keys import NO_KEY, is_partition_key
from mail_pipeline.sync.position import BackfillOptions
from mail_pipeline.sync.progress import MailboxProgress

if TYPE_CHECKING:
    from mail_pipeline.launch import MirrorOutcome

STREAMS = ("contacts", "calendars", "events")
ON_REQUEST = ("provider_threads",)
_LINE_EVERY = 5.0


@click.command("mirror", short_help="Fetch contacts, calendars and events.")
@click.option("--all", "everything", is_flag=True, help="Of every grant there is.")
@click.option("--grant", "grants", multiple=True, help="Of this grant; may be repeated.")
@click.option(
    "--stream",
    "streams",
    multiple=True,
    type=click.Choice([*STREAMS, *ON_REQUEST]),
    help="Only this; may be repeated. provider_threads is fetched only where it is named: on Gmail each "
    "thread costs 40 quota units.",
)
@click.option(
    "--since",
    type=DATE_WITH_OFFSET,
    help="Events that end no earlier than this, UTC where no offset is given. Default: all. It holds for "
    "this run; the weekly schedule lists all.",
)
@click.option("--full-resync", is_flag=True, help="List again what is complete, and find what is gone.")
@click.option("--skip-refresh", is_flag=True, help="Do not list accounts and folders first.")
@json_option
@debug_option
def command(
    everything: bool,
    grants: tuple[str, ...],
    streams: tuple[str, ...],
    since: datetime | None,
    full_resync: bool,
    skip_refresh: bool,
    as_json: bool,
) -> None:
    """Fetch what accounts have beside their mail: contacts, calendars and events.

    Goes on where the last run stopped, and leaves alone what is complete. Notifications keep it current.
    """
    if everything == bool(grants):
        raise click.UsageError("Say whose: --all, or else --grant GRANT.")
    place = find_workplace()
    place.settings.require_key()
    options = BackfillOptions(since=since, full_resync=full_resync)
    with interruptible():
        place.enter()
        outcome = mirror(place, grants, streams or STREAMS, options, refresh=not skip_refresh)
    with connect(place.data) as lake:
        unread = unread_accounts(lake, grants or None)
    succeeded = outcome.succeeded and not unread
    if as_json:
        print_json(
            {
                "ok": succeeded,
                "interrupted": outcome.cancelled,
                "unknown": outcome.unknown,
                "unread": asdict(unread),
                "grants": [
                    {
                        "stream": stream,
                        "grant": word.grant_id,
                        "state": word.state,
                        "listed": word.ids_seen,
                        "records": word.messages,
                        "reason": word.reason,
                        "next_step": word.next_step,
                    }
                    for stream, word in outcome.grants
                ],
            }
        )
    else:
        _tell(results(), outcome, unread)
    sys.exit(0 if succeeded else 1)


def mirror(
    place: Workplace,
    grants: Sequence[str],
    streams: Sequence[str],
    options: BackfillOptions | None = None,
    *,
    refresh: bool = True,
) -> "MirrorOutcome":
    """List streams of these grants, of all where none is named, with lines on standard error.

    The caller has entered `place`. Raises StopRun for what stops everything.
    """
    # Dagster takes 2 CPU seconds to import, and most commands do without it.
    from mail_pipeline import launch

    with accounts_listed(place, refresh=refresh) as (console, instance):
        if not grants:
            with connect(place.data) as lake:
                grants = [grant for (grant,) in lake.execute(queries.ACTIVE_GRANTS).fetchall()]
        if set(streams).intersection(ON_REQUEST):
            console.print(f"{thread_costs(place.data, grants)}.")
        shown = _Lines(console)
        return launch.run_mirror(grants, streams, options, instance=instance, on_progress=shown.take)


class _Lines:
    """A line every few seconds on what is at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + _LINE_EVERY
        self._begun = time.monotonic()
        self._listed: dict[tuple[str, str], int] = {}

    def take(self, stream: str, word: MailboxProgress) -> None:
        self._listed[stream, word.grant_id] = word.ids_seen
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LINE_EVERY
        counts: Counter[str] = Counter()
        for (name, _), listed in self._listed.items():
            counts[name] += listed
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        self._console.print(f"{told} listed, {duration(time.monotonic() - self._begun)}")


def _tell(console: Console, outcome: "MirrorOutcome", unread: Unread) -> None:
    print_table(
        console,
        "",
        ["stream", "grant", "provider", "state", "listed", "stored first"],
        [
            # What notifications brought before is listed, and was not stored first by a list.
            (stream, word.grant_id, word.provider, word.state, word.ids_seen, word.messages)
            for stream, word in outcome.grants
        ],
    )
    for stream, word in outcome.grants:
        if not word.succeeded:
            said = explained(word.reason, word.next_step)
            console.print(f"{stream} of {word.grant_id} is {word.state}: {said}")
    for name in outcome.unknown:
        if is_partition_key(name, name):
            console.print(f"There is no grant {name}: the table `grants` lists them.")
        else:
            console.print(f"{name} is not mirrored: {NO_KEY}.")
    if unread:
        console.print(explained(str(unread), unread.next_step))
    if outcome.cancelled:
        console.print("Interrupted; the next run goes on from the last stored page.")
