"""`mail-pipeline plan`: what a backfill will take, and how true that was of those that are done."""

from typing import Any

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import duration, notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun
from mail_pipeline.lake import reports
from mail_pipeline.lake.connection import connect, records
from mail_pipeline.settings import Settings
from mail_pipeline.sync.client import limits_of
from mail_pipeline.sync.plan import Plan, plan


@click.command("plan", short_help="Show what a backfill will take.")
@click.option("--grant", help="Only the mailboxes of this grant.")
@json_option
@debug_option
def command(grant: str | None, as_json: bool) -> None:
    """Show for each mailbox how many messages, pages, quota units and how much time it is expected to take.

    Reads only what the last listing of folders told; no request is sent. Beside mailboxes that are complete
    stands what they really took.
    """
    place = find_workplace().for_reading()
    with connect(place.data) as connection:
        rows = records(connection.execute(reports.PLANNED_MAILBOXES, {"grant": grant}))
    if grant is not None and not rows:
        raise StopRun(
            f"There is no mailbox of a grant {grant}",
            next_step='`mail-pipeline sql "SELECT id, provider FROM grants"` lists the grants.',
        )
    mailboxes = [_mailbox(row, place.settings) for row in rows]
    if as_json:
        print_json({"ok": True, "mailboxes": mailboxes, "left": _left(mailboxes)})
        return
    print_table(
        results(),
        "",
        ["partition", "provider", "state", "messages", "pages", "units", "time", "took", "true to"],
        [_shown(each) for each in mailboxes],
    )
    left = _left(mailboxes)
    results().print(
        f"Left: {left['mailboxes']:,} mailboxes, {left['messages']:,} messages, {left['pages']:,} pages, "
        f"{left['quota_units']:,} quota units; the longest mailbox {duration(left['longest_seconds'])}."
    )
    if left["unknown"]:
        notes().print(f"Of {left['unknown']:,} mailboxes nobody says how much they hold.")


def _mailbox(row: dict[str, Any], settings: Settings) -> dict[str, Any]:
    done = row["state"] == "complete"
    expected = _planned(row) if done else None
    expected = expected or plan(
        row["provider"],
        row["expected"],
        limits=limits_of(settings),
        seconds_per_page=row["seconds_per_page"],
    )
    told = {
        "partition": row["partition_key"],
        "provider": row["provider"],
        "state": row["state"],
        "messages": expected and expected.messages,
        "pages": expected and expected.pages,
        "quota_units": expected and expected.quota_units,
        "seconds": expected and expected.seconds,
    }
    took = {
        "messages": row["ids_seen"],
        "pages": row["pages"],
        "quota_units": row["quota_units"],
        "seconds": row["seconds"],
    }
    return told | {"took": took if done else None}


def _planned(row: dict[str, Any]) -> Plan | None:
    if row["planned_messages"] is None:
        return None
    return Plan(
        messages=row["planned_messages"],
        pages=row["planned_pages"],
        quota_units=row["planned_units"],
        seconds=row["planned_seconds"],
    )


def _shown(mailbox: dict[str, Any]) -> tuple[Any, ...]:
    took = mailbox["took"]
    seconds = mailbox["seconds"]
    return (
        mailbox["partition"],
        mailbox["provider"],
        mailbox["state"],
        mailbox["messages"],
        mailbox["pages"],
        mailbox["quota_units"] or None,
        None if seconds is None else duration(seconds),
        None if took is None else f"{took['messages']:,} in {duration(took['seconds'])}",
        None if took is None or not mailbox["messages"] else f"{took['messages'] / mailbox['messages']:.0%}",
    )


def _left(mailboxes: list[dict[str, Any]]) -> dict[str, int]:
    waiting = [each for each in mailboxes if each["state"] != "complete"]
    known = [each for each in waiting if each["messages"] is not None]
    sums = {name: sum(each[name] for each in known) for name in ("messages", "pages", "quota_units")}
    return {
        "mailboxes": len(waiting),
        "unknown": len(waiting) - len(known),
        **sums,
        "longest_seconds": max((each["seconds"] for each in known), default=0),
    }
