"""What can be launched by name."""

from typing import Any

import dagster as dg

from mail_pipeline.assets.accounts import folders, grants
from mail_pipeline.assets.attachments import attachment_files
from mail_pipeline.assets.directory import calendars, contacts, events, provider_threads
from mail_pipeline.assets.live import message_updates, reconciliations, webhooks
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.overview import overview
from mail_pipeline.assets.search import search_index
from mail_pipeline.resources import MailPipelineResource, plain_failures

refresh_accounts = dg.define_asset_job(
    "refresh_accounts",
    selection=dg.AssetSelection.assets(grants, folders),
    description="List grants and folders. New mailboxes then get their partitions from `partition_keeper`.",
    tags={"mail_pipeline/accounts": "refresh"},
)
backfill = dg.define_asset_job(
    "backfill",
    selection=dg.AssetSelection.assets(messages),
    description="Fetch the mail of mailboxes, back to the first message. Launch it from the page of "
    "`messages`, where partitions are chosen.",
    tags={"mail_pipeline/backfill": "mailboxes"},
)
fetch_attachments = dg.define_asset_job(
    "fetch_attachments",
    selection=dg.AssetSelection.assets(attachment_files),
    description="Fetch the bytes of attachments that are not there yet. Which, the run's configuration says.",
    tags={"mail_pipeline/attachments": "fetch"},
)
mirror = dg.define_asset_job(
    "mirror",
    selection=dg.AssetSelection.assets(contacts, calendars, events),
    description="List the contacts, calendars and events of grants.",
    tags={"mail_pipeline/backfill": "directory"},
)
LISTS = {
    stream.key.to_user_string(): dg.define_asset_job(
        f"list_{stream.key.to_user_string()}",
        selection=dg.AssetSelection.assets(stream),
        description=f"List the {what} of grants.",
        tags={"mail_pipeline/backfill": "directory"},
    )
    for stream, what in (
        (contacts, "contacts"),
        (calendars, "calendars"),
        (events, "events"),
        (provider_threads, "threads, as the provider has them (dear: Gmail charges 40 units for each),"),
    )
}
"""Jobs that list one stream, by its name."""
apply_notifications = dg.define_asset_job(
    "apply_notifications",
    selection=dg.AssetSelection.assets(message_updates),
    description="Apply everything that has landed. With `replay` set, dead letters or all of it once more.",
    tags={"mail_pipeline/apply": "notifications"},
)
watch_webhooks = dg.define_asset_job(
    "watch_webhooks",
    selection=dg.AssetSelection.assets(webhooks),
    description="Look whether notifications arrive, and write down the times in which some may be missing.",
)
reconcile = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.assets(reconciliations),
    description="Set what is stored against what the provider lists, and mend what differs.",
    tags={"mail_pipeline/reconcile": "grants"},
)
refresh_search = dg.define_asset_job(
    "refresh_search",
    selection=dg.AssetSelection.assets(search_index),
    description="Bring the search index up to the messages: new, edited and deleted ones.",
    tags={"mail_pipeline/search": "index"},
)
refresh_overview = dg.define_asset_job(
    "refresh_overview",
    selection=dg.AssetSelection.assets(overview),
    description="Count what there is, how complete and how fresh it is.",
)
check_tables = dg.define_asset_job(
    "check_tables",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Evaluate all checks on what is stored. Changes nothing.",
)


@dg.op(description="Merge small files, drop what is superseded, and landed notifications applied long ago.")
def tidy_up(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> None:
    """Do the upkeep of the lake and of the landing table."""
    with plain_failures():
        mail_pipeline.upkeep()


@dg.job(description="Keep the lake's files few and the landing table short. Contents do not change.")
def upkeep() -> None:
    """Run the upkeep as one step."""
    tidy_up()


JOBS: list[Any] = [
    refresh_accounts,
    backfill,
    fetch_attachments,
    mirror,
    *LISTS.values(),
    apply_notifications,
    watch_webhooks,
    reconcile,
    refresh_search,
    refresh_overview,
    check_tables,
    upkeep,
]
