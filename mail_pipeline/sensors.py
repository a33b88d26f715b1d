"""What runs when something has changed. All are on from the start."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.marts import marts, message_texts
from mail_pipeline.bell import listen
from mail_pipeline.dagster_home import fail_orphaned_runs
from mail_pipeline.errors import MailPipelineError
from mail_pipeline.ledger import Ledger, newcomer_grants, newcomers, read_ledger
from mail_pipeline.partitions import (
    ALL_PARTITIONS,
    GRANT_PARTITIONS,
    MAILBOXES_PER_RUN,
    PARTITIONS,
    PartitionChanges,
    accounts_at_work,
    contiguous_ranges,
    in_chunks,
    listing_at_work,
    partition_changes,
    range_tags,
)
from mail_pipeline.resources import MailPipelineResource

_CHANGED_PER_TICK = 20_000
"""Dagster takes up to 25,000 changes from one tick."""
_STALE_AFTER = timedelta(minutes=30)
"""Twice the schedule's interval: this steps in after a pause, or where that is switched off."""
_ASKED_EVERY = timedelta(minutes=10)
_PartitionsRequest = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest
_LISTENS = 4.0
"""Seconds; a tick that is not over when the next is due would leave that one out."""


@dg.sensor(
    job=jobs.refresh_accounts,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Gives every mailbox of the ledger its partition and takes away those of mailboxes gone. "
    "Asks for refresh_accounts where the accounts were never listed, or not for half an hour.",
)
def partition_keeper(
    context: dg.SensorEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Compare the partitions with the ledger and ask for what is missing."""
    listing = accounts_at_work(context.instance)
    ledger = read_ledger(mail_pipeline.settings().data)
    changes = [
        partition_changes(context.instance, ledger, of=of, at_most=_CHANGED_PER_TICK // len(ALL_PARTITIONS))
        for of in ALL_PARTITIONS
    ]
    if any(changes) and (listing or accounts_at_work(context.instance)):
        # Between its grants and their folders, the mailboxes of a grant would get their partitions far apart.
        return dg.SkipReason("The accounts are being listed; the partitions follow when that has ended.")
    requests, said = _refresh_requests(mail_pipeline, ledger)
    added, deleted = sum(len(each.add) for each in changes), sum(len(each.delete) for each in changes)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[request for each in changes for request in _requests(each)],
        skip_reason=None if requests else f"{said}; {added} partitions added, {deleted} taken away.",
    )


def _requests(changes: PartitionChanges) -> Iterator[_PartitionsRequest]:
    for keys in in_chunks(changes.add):
        yield dg.AddDynamicPartitionsRequest(changes.of, list(keys))
    if changes.delete:
        yield dg.DeleteDynamicPartitionsRequest(changes.of, list(changes.delete))


def _refresh_requests(mail_pipeline: MailPipelineResource, ledger: Ledger) -> tuple[list[dg.RunRequest], str]:
    """Return the run to ask for, if any, and otherwise what to say."""
    now = datetime.now(UTC)
    if ledger.refreshed_at is not None and now - ledger.refreshed_at < _STALE_AFTER:
        return [], f"{len(ledger.active)} mailboxes exist"
    if keyless := mail_pipeline.no_key():
        return [], f"The accounts cannot be listed: {keyless.rstrip('.')}"
    # The key lets one request through per ten minutes, however often a refresh fails.
    return [dg.RunRequest(run_key=f"refresh-{now.timestamp() // _ASKED_EVERY.total_seconds():.0f}")], ""


@dg.sensor(
    job=jobs.check_tables,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for check_tables once a backfill has come to rest.",
)
def table_checker(
    context: dg.SensorEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Have the checks evaluated after the newest materialization or failure, not during a backfill."""
    newest = context.instance.get_latest_materialization_event(messages.key)
    stopped = len(read_ledger(mail_pipeline.settings().data).stopped)
    # A mailbox that fails where nothing else was listed materializes nothing.
    standing = f"{newest.timestamp if newest else 0}-{stopped}"
    if context.cursor == standing or (newest is None and not stopped):
        return dg.SkipReason("Nothing new since the last checks.")
    if listing_at_work(context.instance):
        return dg.SkipReason("A backfill is at work.")
    # Without a key: what stood so before may stand so again, and a key lets but one run through for ever.
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=standing)


@dg.sensor(
    job=jobs.apply_notifications,
    # Ticks come every five seconds at most whatever is asked for; exactly five would leave out every second
    # one that comes a moment too early.
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Rings when something has landed: asks for a run of apply_notifications, never two at once. "
    "A tick listens until the next one is near.",
)
def notification_bell(
    context: dg.SensorEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run as soon as the landing table is ahead of the lake."""
    try:
        heard = listen(mail_pipeline.settings(), context.instance, context.cursor, seconds=_LISTENS)
    except MailPipelineError as error:
        return dg.SkipReason(str(error))
    if heard.ring:
        return dg.SensorResult(run_requests=[dg.RunRequest()])
    if heard.cursor is not None:
        context.update_cursor(heard.cursor)
    return dg.SkipReason(heard.said)


@dg.sensor(
    jobs=[jobs.backfill, jobs.mirror],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Backfills what appears while notifications arrive: accounts connected, folders made.",
)
def newcomer_backfill(
    context: dg.SensorEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for the backfill of mailboxes that nobody has to think of."""
    if keyless := mail_pipeline.no_key():
        return dg.SkipReason(keyless)
    data = mail_pipeline.settings().data
    wanted = {
        (jobs.backfill.name, PARTITIONS): newcomers(data),
        (jobs.mirror.name, GRANT_PARTITIONS): newcomer_grants(data),
    }
    if not any(wanted.values()):
        return dg.SkipReason("No new mailbox.")
    if listing_at_work(context.instance):
        return dg.SkipReason("A backfill is at work.")
    requests = [
        dg.RunRequest(job_name=job, tags=range_tags(keys))
        for (job, of), missing in wanted.items()
        for keys in contiguous_ranges(
            context.instance.get_dynamic_partitions(of), missing, longest=MAILBOXES_PER_RUN
        )
    ]
    return requests or dg.SkipReason("Not registered yet.")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, those of commands too: "
    "schedules would wait for them for ever.",
)
def run_keeper(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look for the processes of all runs at work."""
    return dg.SkipReason(f"{fail_orphaned_runs(context.instance)} runs whose process is gone were ended.")


mart_follower = dg.AutomationConditionSensorDefinition(
    "mart_follower",
    target=dg.AssetSelection.assets(marts, message_texts),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Refreshes the tables made from mail, at most every five minutes, where mail has changed.",
)

SENSORS = [
    partition_keeper,
    table_checker,
    notification_bell,
    newcomer_backfill,
    run_keeper,
    mart_follower,
]
