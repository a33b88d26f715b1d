"""What runs by the clock. All on from the start, and to be seen and switched off under Automation."""

from collections.abc import Callable, Collection
from pathlib import Path

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.config import MirrorConfig, ReconcileConfig
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline.ledger import grants_with_open_gaps, read_ledger, unlisted_grants
from mail_pipeline.partitions import (
    GRANT_PARTITIONS,
    MAILBOXES_PER_RUN,
    PARTITIONS,
    contiguous_ranges,
    job_at_work,
    listing_at_work,
    range_tags,
)
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.search.refresh import is_behind
from mail_pipeline.sync.reconcile import LISTED_BY_FOLDER

_RUNS_PER_NIGHT = 100
_RECENT_DAYS = 7

# On by default: a pipeline that is connected and quietly fetches nothing would be the worse surprise.
_ON = dg.DefaultScheduleStatus.RUNNING


def _asks_the_api(
    name: str,
    job: str,
    cron: str,
    description: str,
    *,
    of: ReconcileConfig | None = None,
) -> dg.ScheduleDefinition:
    """Return a schedule of a job that can do nothing without a key."""

    @dg.schedule(job_name=job, name=name, cron_schedule=cron, description=description, default_status=_ON)
    def evaluate(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.RunRequest | dg.SkipReason:
        if keyless := mail_pipeline.no_key():
            return dg.SkipReason(keyless)
        return dg.RunRequest() if of is None else _reconcile_run(of)

    return evaluate


refresh_accounts_schedule = _asks_the_api(
    "refresh_accounts_every_15_minutes",
    jobs.refresh_accounts.name,
    "*/15 * * * *",
    "Lists grants and folders, so that new mailboxes appear and those gone disappear.",
)


@dg.schedule(
    job=jobs.backfill,
    cron_schedule="0 2 * * *",
    description="Backfills every mailbox that is not complete: new, stopped half-way, paused or failed.",
    default_status=_ON,
)
def nightly_backfill(
    context: dg.ScheduleEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for as few runs as cover the incomplete mailboxes."""
    if keyless := mail_pipeline.no_key():
        return dg.SkipReason(keyless)
    if listing_at_work(context.instance):
        return dg.SkipReason("A backfill is at work; the next night takes what it leaves.")
    ledger = read_ledger(mail_pipeline.settings().data)
    registered = context.instance.get_dynamic_partitions(PARTITIONS)
    ranges = list(
        contiguous_ranges(registered, ledger.incomplete, bridge=ledger.whole, longest=MAILBOXES_PER_RUN)
    )
    if not ranges:
        return dg.SkipReason("Every mailbox is complete.")
    return [dg.RunRequest(tags=range_tags(keys)) for keys in ranges[:_RUNS_PER_NIGHT]]


def _mirror_schedule(
    name: str, cron: str, description: str, whose: Callable[[Path], Collection[str]], config: MirrorConfig
) -> dg.ScheduleDefinition:
    """Return a schedule that lists contacts, calendars and events in as few runs as cover those grants."""

    @dg.schedule(
        job=jobs.mirror,
        name=name,
        cron_schedule=cron,
        description=description,
        default_status=_ON,
    )
    def evaluate(
        context: dg.ScheduleEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        if keyless := mail_pipeline.no_key():
            return dg.SkipReason(keyless)
        if listing_at_work(context.instance):
            return dg.SkipReason("A backfill is at work; the next time takes what it leaves.")
        wanted = whose(mail_pipeline.settings().data)
        registered = context.instance.get_dynamic_partitions(GRANT_PARTITIONS)
        ranges = list(contiguous_ranges(registered, wanted, longest=MAILBOXES_PER_RUN))
        if not ranges:
            return dg.SkipReason("Every account is listed.")
        run_config = dg.RunConfig(ops=dict.fromkeys(("contacts", "calendars", "events"), config))
        return [
            dg.RunRequest(tags=range_tags(keys), run_config=run_config) for keys in ranges[:_RUNS_PER_NIGHT]
        ]

    return evaluate


nightly_mirror = _mirror_schedule(
    "nightly_mirror",
    "30 1 * * *",
    "Lists contacts, calendars and events of grants where that was never done to its end.",
    whose=unlisted_grants,
    config=MirrorConfig(),
)
weekly_mirror = _mirror_schedule(
    "weekly_mirror",
    "30 1 * * 6",
    "Lists all contacts, calendars and events again: what no notification told of is found.",
    whose=lambda data: read_ledger(data).grants,
    config=MirrorConfig(full_resync=True),
)
watch_webhooks_schedule = _asks_the_api(
    "watch_webhooks_every_5_minutes",
    jobs.watch_webhooks.name,
    "*/5 * * * *",
    "Looks whether notifications arrive; an outage is written down as a gap.",
)
catch_up_schedule = dg.ScheduleDefinition(
    name="apply_notifications_every_15_minutes",
    job=jobs.apply_notifications,
    cron_schedule="7-59/15 * * * *",
    description="Asks the API again for what was out of reach when notifications called for it.",
    default_status=_ON,
)
overview_schedule = dg.ScheduleDefinition(
    name="overview_every_hour",
    job=jobs.refresh_overview,
    cron_schedule="20 * * * *",
    description="Counts what there is, so that its growth makes curves.",
    default_status=_ON,
)
upkeep_schedule = dg.ScheduleDefinition(
    name="nightly_upkeep",
    job=jobs.upkeep,
    cron_schedule="0 5 * * *",
    description="Merges small files, and removes notifications that were applied long ago.",
    default_status=_ON,
)


@dg.schedule(
    job=jobs.reconcile,
    cron_schedule="40 * * * *",
    description="Sweeps the grants in which notifications may be missing.",
    default_status=_ON,
)
def hourly_gap_repair(
    context: dg.ScheduleEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a sweep where a gap has ended and is not repaired."""
    if keyless := mail_pipeline.no_key():
        return dg.SkipReason(keyless)
    if not grants_with_open_gaps(mail_pipeline.settings().data):
        return dg.SkipReason("No gap waits for its repair.")
    if job_at_work(context.instance, jobs.reconcile.name):
        return dg.SkipReason("A sweep is at work.")
    return _reconcile_run(ReconcileConfig(gaps_only=True))


nightly_reconcile = _asks_the_api(
    "nightly_reconcile",
    jobs.reconcile.name,
    "0 3 * * *",
    f"Sets the mail of the last {_RECENT_DAYS} days against the provider's lists.",
    of=ReconcileConfig(days=_RECENT_DAYS),
)
weekly_imap_sweep = _asks_the_api(
    "weekly_imap_sweep",
    jobs.reconcile.name,
    "0 4 * * 0",
    "Sweeps all mail of IMAP, Yahoo and iCloud: no webhook tells of what is older than 90 days.",
    of=ReconcileConfig(providers=list(LISTED_BY_FOLDER)),
)


@dg.schedule(
    job=jobs.refresh_search,
    cron_schedule="3-59/10 * * * *",
    description="Brings the search index up to the messages, where anything was committed since.",
    default_status=_ON,
)
def refresh_search_every_10_minutes(
    context: dg.ScheduleEvaluationContext, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a refresh where the lake has moved on."""
    data = mail_pipeline.settings().data
    if not catalog_path(data).exists() or not is_behind(data):
        return dg.SkipReason("The search index holds what the tables hold.")
    if job_at_work(context.instance, jobs.refresh_search.name):
        return dg.SkipReason("A refresh is at work.")
    return dg.RunRequest()


def _reconcile_run(config: ReconcileConfig) -> dg.RunRequest:
    return dg.RunRequest(run_config=dg.RunConfig(ops={"reconciliations": config}))


SCHEDULES = [
    refresh_accounts_schedule,
    nightly_backfill,
    nightly_mirror,
    weekly_mirror,
    watch_webhooks_schedule,
    catch_up_schedule,
    hourly_gap_repair,
    nightly_reconcile,
    weekly_imap_sweep,
    refresh_search_every_10_minutes,
    overview_schedule,
    upkeep_schedule,
]
