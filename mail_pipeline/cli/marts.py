"""`mail-pipeline marts`: the tables for analysts, brought up to the mail where no daemon does it."""

import os

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.lake.connection import require_lake
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.reporting import Reporting
from mail_pipeline.marts.texts import refresh_texts


@click.command("marts", short_help="Bring the tables for analysts up to the mail.")
@json_option
@debug_option
def command(as_json: bool) -> None:
    """Bring the tables made from mail (who wrote to whom, response times, texts of bodies) up to it.

    Costs what has changed. Where `mail-pipeline up` runs, its sensor `mart_follower` does the same within
    minutes. Safe to interrupt, and to run beside a backfill and queries.
    """
    data = find_workplace().for_reading().settings.data
    require_lake(data)
    report = refresh_marts(data, Reporting.from_env(os.environ))
    texts = refresh_texts(data)
    if as_json:
        rows = {**report.rows, "message_texts": texts.rows}
        print_json({"ok": True, "data": data, "messages_changed": report.messages, "rows": rows})
        return
    results().print(
        f"Messages looked at: {report.messages:,}, in {report.grants:,} accounts. "
        f"Bodies converted: {texts.converted:,}.\n"
        f"{data} now has the facts of {report.rows['message_facts']:,} messages and "
        f"{texts.rows:,} texts."
    )
