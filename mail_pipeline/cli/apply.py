"""`mail-pipeline apply`: what has landed, into the tables."""

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.sync.apply import ApplyReport, Replay, apply


def _replay(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> Replay | None:
    try:
        return Replay.read(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("apply", short_help="Apply the notifications that have landed.")
@click.option(
    "--replay",
    metavar="WHAT",
    callback=_replay,
    help="Apply some once more: `dead` for dead letters and kept ones, a type such as message.updated for "
    "those of it, a NUMBER for one, `everything` for the whole landing table.",
)
@json_option
@debug_option
def command(replay: Replay | None, as_json: bool) -> None:
    """Apply every notification that has landed and was not applied yet, then ask the API what they left open.

    The sensor notification_bell has Dagster do the same within seconds of a landing. Safe to interrupt and to
    repeat: each takes effect once.
    """
    settings = find_workplace().for_reading().settings
    with interruptible():
        report = apply(settings, replay=replay, on_batch=_tell_batch)
    if as_json:
        print_json({"ok": True, "data": settings.data, **_as_dict(report)})
        return
    rows = [(trigger, outcome, count) for (outcome, trigger), count in sorted(report.outcomes.items())]
    if rows:
        print_table(results(), "", ("trigger", "outcome", "notifications"), rows)
    results().print(
        f"Applied up to notification {report.applied_up_to:,}. Fetched from the API: {report.fetched:,}; "
        f"still to be fetched: {report.waiting:,}."
    )


def _tell_batch(report: ApplyReport) -> None:
    notes().print(f"{report.outcomes.total():,} notifications, up to number {report.applied_up_to:,}")


def _as_dict(report: ApplyReport) -> dict[str, object]:
    return {
        "applied_up_to": report.applied_up_to,
        "outcomes": [
            {"trigger": trigger, "outcome": outcome, "count": count}
            for (outcome, trigger), count in sorted(report.outcomes.items())
        ],
        "mailboxes": len(report.messages),
        "fetched": report.fetched,
        "waiting": report.waiting,
    }
