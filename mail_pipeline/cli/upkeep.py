"""`mail-pipeline upkeep`: few files instead of many, and none that nobody needs."""

from dataclasses import asdict
from datetime import timedelta

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.attachments import remove_unneeded_files
from mail_pipeline.sync.retention import retire


@click.command("upkeep", short_help="Keep the lake's files few and large.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="How many days back one can still look at the tables as they were then.",
)
@json_option
@debug_option
def command(keep_days: int, as_json: bool) -> None:
    """Merge the lake's small files, drop what is superseded and sweep up leftovers.

    Notifications applied long ago (MAIL_PIPELINE_KEEP_NOTIFICATIONS_DAYS) leave the landing table. What the
    tables say does not change. Safe to interrupt, and to run beside a backfill and queries.
    """
    settings = find_workplace().for_reading().settings
    data = settings.data
    # Opening a lake for writing would make one where there is none.
    connect(data).close()
    with Lake(data) as lake:
        report = upkeep(lake, keep=timedelta(days=keep_days))
    retired = retire(settings)
    orphans = remove_unneeded_files(settings)
    removed = {"notifications_removed": retired, "attachments_removed": orphans}
    if as_json:
        print_json({"ok": True, "data": data, **asdict(report), **removed})
        return
    results().print(
        f"Checkpoints dropped: {report.checkpoints_dropped:,}. "
        f"Snapshots expired: {report.snapshots_expired:,}. Files removed: {report.files_removed:,}. "
        f"Landed notifications removed: {retired:,}. "
        f"Files of attachments removed that nothing refers to: {orphans:,}.\n"
        f"The lake in {data} now has {sum(report.files.values()):,} files, {report.size_bytes / 1e6:,.1f} MB."
    )
