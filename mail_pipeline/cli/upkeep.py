"""`mail-pipeline upkeep`: few files instead of many, and none that nobody needs."""

from dataclasses import asdict
from datetime import timedelta

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.erasure import erase_excluded
from mail_pipeline.lake.connection import require_lake
from mail_pipeline.upkeep import MOST_DAYS, keep_up


@click.command("upkeep", short_help="Keep the lake's files few and large.")
@click.option(
    "--keep-days",
    type=click.IntRange(1, MOST_DAYS),
    default=7,
    show_default=True,
    help="How many days back one can still look at the tables as they were then.",
)
@click.option(
    "--remove-excluded",
    is_flag=True,
    help="Remove for good what is stored and the configuration file leaves out.",
)
@json_option
@debug_option
def command(keep_days: int, remove_excluded: bool, as_json: bool) -> None:
    """Merge the lake's small files, drop what is superseded and sweep up leftovers.

    Notifications applied long ago (MAIL_PIPELINE_KEEP_NOTIFICATIONS_DAYS) leave the landing table. What the
    tables say does not change. Safe to interrupt, and to run beside a backfill and queries.

    With --remove-excluded, what mail_pipeline.toml no longer asks for leaves the tables, all earlier states
    of them, the landing table, the search index and the attachments' files. Queries under way may fail then.
    """
    settings = find_workplace().for_reading().settings
    data = settings.data
    require_lake(data)
    excluded = None
    if remove_excluded:
        excluded = erase_excluded(settings)
    done = keep_up(settings, keep=timedelta(days=keep_days))
    report, retired, orphans = done.lake, done.notifications_removed, done.attachments_removed
    removed = {"notifications_removed": retired, "attachments_removed": orphans}
    if as_json:
        said = {"ok": True, "data": data, **asdict(report), **removed}
        print_json(said if excluded is None else {**said, "excluded": asdict(excluded)})
        return
    if excluded is not None:
        results().print(
            f"Removed: {excluded.messages:,} messages, parts of {excluded.narrowed:,} others, "
            f"{excluded.records:,} other records, parts of {excluded.letters:,} dead letters and of "
            f"{excluded.notifications:,} landed notifications."
        )
    results().print(
        f"Checkpoints dropped: {report.checkpoints_dropped:,}. "
        f"Snapshots expired: {report.snapshots_expired:,}. Files removed: {report.files_removed:,}. "
        f"Landed notifications removed: {retired:,}. "
        f"Files of attachments removed that nothing refers to: {orphans:,}.\n"
        f"The lake in {data} now has {sum(report.files.values()):,} files, {report.size_bytes / 1e6:,.1f} MB."
    )
