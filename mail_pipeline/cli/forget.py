"""`mail-pipeline forget`: nothing of a grant is kept."""

from dataclasses import asdict

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import print_json, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.erasure import forget_grant
from mail_pipeline.lake.connection import require_lake
from mail_pipeline.sync.forgetting import ensure_gone


@click.command("forget", short_help="Erase all that is stored of a grant.")
@click.argument("grant", metavar="GRANT")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@json_option
@debug_option
def command(grant: str, yes: bool, as_json: bool) -> None:
    """Remove everything that was ever stored of a grant that is gone at Nylas, for good.

    Its rows leave all tables and all earlier states of them, what landed of it, the search index and the
    attachments' files; notifications stay counted without saying whose they were. Queries under way may fail.
    Safe to interrupt and to repeat. A grant that is still connected is refused: it would be mirrored again.
    """
    if as_json and not yes:
        raise click.UsageError("--json does not ask: add --yes.")
    settings = find_workplace().for_reading().settings
    require_lake(settings.data)
    if not yes:
        ensure_gone(settings, grant)
        click.confirm(f"Erase all that {settings.data} holds of grant {grant}?", abort=True, err=True)
    with interruptible():
        report = forget_grant(settings, grant)
    if as_json:
        print_json({"ok": True, "data": settings.data, "grant_id": grant, **asdict(report)})
        return
    if not report.known:
        results().print(f"Nothing is stored of grant {grant}.")
        return
    results().print(
        f"Erased of grant {grant}: {report.messages:,} messages with all that belongs to them, "
        f"{report.files:,} files of attachments, {report.notifications:,} landed notifications."
    )
