"""`mail-pipeline upkeep`: few files instead of many, none that nobody needs."""

from dataclasses import asdict
from datetime import timedelta

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake, require_lake


@click.command("upkeep")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="How many days back one can still look at the tables as they were.",
)
@json_option
@debug_option
def command(keep_days: int, as_json: bool) -> None:
    """Merge the lake's small files, drop what is superseded and sweep up leftovers.

    Contents do not change. Safe to interrupt, and to run beside a backfill and queries.
    """
    data = find_workplace().for_reading().settings.data
