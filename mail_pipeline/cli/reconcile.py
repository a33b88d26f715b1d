"""`mail-pipeline reconcile`: what is stored, set against what the provider lists."""

import sys
from datetime import datetime

import click

from mail_pipeline.cli.options import DATE, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import explained, notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake.connection import require_lake
from mail_pipeline.sync.reconcile import ReconcileReport, Reconciliation, reconcile


@click.command("reconcile", short_help="Find and mend what notifications missed.")
@click.option("--grant", "grants", multiple=True, metavar="G", help="Only this grant; may be repeated.")
@click.option(
    "--since",
    type=DATE,
    help="Look back to this date (UTC). Without it the whole mailbox is looked at.",
)
@json_option
@debug_option
def command(grants: tuple[str, ...], since: datetime | None, as_json: bool) -> None:
    """List ids, flags and folders at the provider, and mend what differs: new, changed and deleted mail.

    Gaps in which notifications may be missing are closed by it. Interrupted, it deletes nothing.
    """
    with interruptible():
        settings = find_workplace().settings
        require_lake(settings.data)
        report = reconcile(settings, grants=set(grants) or None, since=since, on_grant=_tell_grant)
    if as_json:
        print_json({"ok": report.succeeded, **_as_dict(report)})
    else:
        rows = [_row(each) for each in report.grants]
        columns = ("grant", "provider", "listed", "unknown", "changed", "missing", "problem")
        print_table(results(), "", columns, rows)
        for stream, word in report.unlisted:
            said = explained(word.reason, word.next_step)
            results().print(f"{stream} of {word.grant_id} is {word.state}: {said}")
        results().print(
            f"Fetched: {report.fetched:,}; still to be fetched: {report.waiting:,}. "
            f"Gaps not repaired: {report.open_gaps:,}."
        )
    sys.exit(0 if report.succeeded else 1)


def _tell_grant(each: Reconciliation) -> None:
    notes().print(f"{each.grant_id}: {'done' if each.error is None else each.error}")


def _row(each: Reconciliation) -> tuple[object, ...]:
    found = each.findings
    counts = (None,) * 4 if found is None else (found.listed, found.unknown, found.changed, found.missing)
    return (each.grant_id, each.provider, *counts, None if each.error is None else str(each.error))


def _as_dict(report: ReconcileReport) -> dict[str, object]:
    names = ("grant_id", "provider", "listed", "unknown", "changed", "missing", "error")
    return {
        "grants": [dict(zip(names, _row(each), strict=True)) for each in report.grants],
        "beside_mail": [
            {
                "stream": stream,
                "grant_id": word.grant_id,
                "state": word.state,
                "error": explained(word.reason, word.next_step),
            }
            for stream, word in report.unlisted
        ],
        "fetched": report.fetched,
        "waiting": report.waiting,
        "open_gaps": report.open_gaps,
    }
