"""What runs by the clock. All on from the start, and to be seen and switched off under Automation."""

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.ledger import read_ledger
from mail_pipeline.partitions import (
    MAILBOXES_PER_RUN,
    PARTITIONS,
    contiguous_ranges,
    messages_at_work,
    range_tags,
)
from mail_pipeline.resources import MailPipelineResource

_RUNS_PER_NIGHT = 100

# On by default: a pipeline that is connected and quietly fetches nothing would be the worse surprise.
refresh_accounts_schedule = dg.ScheduleDefinition(
    name="refresh_accounts_every_15_minutes",
    job=jobs.refresh_accounts,
    cron_schedule="*/15 * * * *",
    description="Lists grants and folders, so that new mailboxes appear and those gone disappear.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


@dg.schedule(
    job=jobs.backfill,
    cron_schedule="0 2 * * *",
    description="Backfills every mailbox that is not complete: new, stopped half-way, paused or failed.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_backfill(
    context: dg.ScheduleEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for as few runs as cover the incomplete mailboxes."""
    if messages_at_work(context.instance):
        return dg.SkipReason("A backfill is at work; the next night takes what it leaves.")
    ledger = read_ledger(mail_pipeline.settings().data)
    registered = context.instance.get_dynamic_partitions(PARTITIONS)
    ranges = list(
        contiguous_ranges(registered, ledger.incomplete, bridge=ledger.whole, longest=MAILBOXES_PER_RUN)
    )
    if not ranges:
        return dg.SkipReason("Every mailbox is complete.")
    return [dg.RunRequest(tags=range_tags(keys)) for keys in ranges[:_RUNS_PER_NIGHT]]


SCHEDULES = [refresh_accounts_schedule, nightly_backfill]
