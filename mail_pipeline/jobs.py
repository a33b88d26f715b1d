"""What can be launched by name."""

import dagster as dg

from mail_pipeline.assets.accounts import folders, grants
from mail_pipeline.assets.mail import messages

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
check_tables = dg.define_asset_job(
    "check_tables",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Evaluate all checks on what is stored. Changes nothing.",
)
