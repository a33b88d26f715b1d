"""`mail-pipeline status`: where every mailbox stands, as the ledger in the lake says."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import duckdb
from rich.console import Console

from mail_pipeline.cli.accounts import Unread, unread_accounts
from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import counted, duration, explained, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake import reports
from mail_pipeline.lake.connection import connect, records
from mail_pipeline.subset import Subsets, read_subsets
from mail_pipeline.sync.partition_keys import NO_KEY, is_partition_key

_WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Status:
    data: Path
    mailboxes: list[dict[str, Any]]
    messages: int
    dead_letters: int
    last_fetch: datetime | None
    accounts_listed: datetime | None
    notifications: int
    notifications_applied: datetime | None
    open_gaps: int
    streams: list[dict[str, Any]]
    excluded: tuple[int, int]
    """Messages stored that are not wanted, and others of which more is stored than is wanted."""
    unread: Unread

    @property
    def failed(self) -> bool:
        return any(row["state"] == "failed" for row in (*self.mailboxes, *self.streams))


@click.command("status", short_help="Show where every mailbox stands.")
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@json_option
@debug_option
def command(watch: bool, as_json: bool) -> None:
    """Show every mailbox: its state, how far it has come, and what to do where it failed.

    Exit code 1 when a mailbox has failed. With --watch and --json, one object a line.
    """
    place = find_workplace().for_reading()
    subsets = read_subsets(place.settings)
    console = results()
    status: _Status | None = None
    with interruptible():
        try:
            for status in _readings(place.data, subsets, watch=watch):
                if as_json:
                    print_json({"ok": not status.failed, **asdict(status)})
                else:
                    if watch and console.is_terminal:
                        console.clear()
                    _show(console, status)
        except KeyboardInterrupt:
            if not watch:
                raise
    sys.exit(1 if status is not None and status.failed else 0)


def _readings(data: Path, subsets: Subsets, *, watch: bool) -> Iterator[_Status]:
    with connect(data) as connection:
        while True:
            mailboxes = [_keyless(row) for row in records(connection.execute(reports.STATUS_MAILBOXES))]
            [(messages, listed, dead, applied, applied_at, gaps)] = connection.execute(
                reports.STATUS_COUNTS
            ).fetchall()
            fetched = [row["last_fetch"] for row in mailboxes if row["last_fetch"] is not None]
            yield _Status(
                data,
                mailboxes,
                messages,
                dead,
                max(fetched, default=None),
                listed,
                applied,
                applied_at,
                gaps,
                records(connection.execute(reports.STATUS_STREAMS)),
                _excluded(connection, subsets),
                unread_accounts(connection),
            )
            if not watch:
                return
            time.sleep(_WATCH_SECONDS)


def _keyless(row: dict[str, Any]) -> dict[str, Any]:
    """Give the reason of a mailbox that can never be backfilled."""
    return row if is_partition_key(row["partition_key"], row["grant_id"]) else {**row, "reason": NO_KEY}


def _excluded(connection: duckdb.DuckDBPyConnection, subsets: Subsets) -> tuple[int, int]:
    if subsets.everything:
        return 0, 0
    # Where nothing is left out, nothing of the engine has to be imported.
    from mail_pipeline.sync.removal import stored_excluded

    return stored_excluded(connection, subsets)


def _show(console: Console, status: _Status) -> None:
    print_table(
        console,
        "",
        ["partition", "provider", "state", "listed", "of", "oldest", "left", "dead letters"],
        [
            (
                row["partition_key"],
                row["provider"],
                row["state"] if row["running"] or row["state"] != "listing" else "listing, stopped",
                row["ids_seen"],
                row["reported"],
                row["oldest"] and f"{row['oldest']:%Y-%m-%d}",
                None if row["eta_seconds"] is None else duration(row["eta_seconds"]),
                row["dead_letters"] or None,
            )
            for row in status.mailboxes
        ],
    )
    for row in status.mailboxes:
        if row["reason"]:
            until = f", tried again after {row['until']:%Y-%m-%d %H:%M:%S} UTC" if row["until"] else ""
            said = explained(row["reason"], row["next_step"])
            console.print(f"{row['partition_key']} is {row['state']}{until}: {said}")
    counts = counted(row["state"] for row in status.mailboxes)
    console.print(f"Mailboxes: {counts}. Messages stored: {status.messages:,}.")
    for row in status.streams:
        said = f": {explained(row['reason'], row['next_step'])}" if row["reason"] else ""
        console.print(
            f"{row['stream']}: {row['grants']:,} grants {row['state']}, {row['records']:,} records{said}"
        )
    if any(status.excluded):
        whole, parts = status.excluded
        console.print(
            f"Stored although mail_pipeline.toml leaves it out: {whole:,} messages, and parts of {parts:,} "
            "others. They stay until `mail-pipeline upkeep --remove-excluded`."
        )
    if status.unread:
        console.print(explained(str(status.unread), status.unread.next_step))
    if status.notifications:
        gaps = f"{status.open_gaps:,} gaps are not repaired" if status.open_gaps else "no gaps"
        last = _ago(status.notifications_applied)
        console.print(f"Notifications: {status.notifications:,} applied, the last {last}; {gaps}.")
    console.print(
        f"Newest page {_ago(status.last_fetch)}, accounts listed {_ago(status.accounts_listed)}. "
        f"Data folder: {status.data}"
    )


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    return f"{duration((datetime.now(UTC) - moment).total_seconds())} ago"
