"""The mail of every mailbox."""

import warnings
from collections.abc import Iterator

import dagster as dg

from mail_pipeline.assets.accounts import folders
from mail_pipeline.assets.tables import KINDS, OWNERS, description, table_metadata
from mail_pipeline.config import BackfillConfig
from mail_pipeline.events import MailboxEvents
from mail_pipeline.partitions import MAILBOXES_PER_RUN, mailbox_partitions
from mail_pipeline.resources import MailPipelineResource, plain_failures

GROUP = "mail"

# The one beta argument in use; Dagster would repeat its warning in every process.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[folders],
    partitions_def=mailbox_partitions,
    backfill_policy=dg.BackfillPolicy.multi_run(MAILBOXES_PER_RUN),
    output_required=False,
    description=description(
        "messages",
        "With them come their bodies, participants, folders and attachments. One partition is one mailbox: "
        "`GRANT`, or `GRANT/FOLDER` and `GRANT/@recent` for IMAP, Yahoo and iCloud. A run goes on where the "
        "last one stopped; a mailbox that is complete is left alone unless `full_resync` is set.",
    ),
    metadata=table_metadata("messages"),
)
def messages(
    context: dg.AssetExecutionContext,
    config: BackfillConfig,
    mail_pipeline: dg.ResourceParam[MailPipelineResource],
) -> Iterator[dg.MaterializeResult[None]]:
    """Backfill this run's mailboxes and report each on its partition."""
    events = MailboxEvents(context)
    with plain_failures():
        for mailbox in mail_pipeline.backfill(context.partition_keys, config.options(), events.running):
            events.ended(mailbox)
    events.raise_failures()
    # A generator without an output: one would materialize every partition of the run once more, as empty.
    yield from ()


mailboxes = dg.AssetSpec(
    "mailboxes",
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[messages],
    description=description("mailboxes", "Kept up by every page that is stored; here for its checks."),
    metadata=table_metadata("mailboxes"),
)
