"""What accounts have beside their mail: contacts, calendars, events, and the provider's own threads."""

from collections.abc import Iterator, Sequence

import dagster as dg

from mail_pipeline.assets.accounts import grants
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.tables import KINDS, OWNERS, description, table_metadata
from mail_pipeline.config import MirrorConfig
from mail_pipeline.events import MailboxEvents, stream_metadata
from mail_pipeline.ledger import thread_costs
from mail_pipeline.partitions import MAILBOXES_PER_RUN, grant_partitions
from mail_pipeline.resources import MailPipelineResource, plain_failures
from mail_pipeline.sync.streams import PROVIDER_THREADS

GROUP = "directory"


def _stream_asset(
    stream: str, *sentences: str, deps: Sequence[dg.AssetsDefinition], group: str = GROUP
) -> dg.AssetsDefinition:
    @dg.asset(
        name=stream,
        group_name=group,
        owners=OWNERS,
        kinds=KINDS,
        deps=deps,
        partitions_def=grant_partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(MAILBOXES_PER_RUN),
        output_required=False,
        description=description(
            stream,
            *sentences,
            "One partition is one grant. What is complete is left alone unless `full_resync` is set; what "
            "such a pass does not show is asked for by itself, and is gone only if it is not found.",
        ),
        metadata=table_metadata(stream),
    )
    def listed(
        context: dg.AssetExecutionContext,
        config: MirrorConfig,
        mail_pipeline: dg.ResourceParam[MailPipelineResource],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """List this run's grants and report each on its partition."""
        events = MailboxEvents(context, stream_metadata, noun="grants")
        with plain_failures():
            if stream == PROVIDER_THREADS.name:
                context.log.info(thread_costs(mail_pipeline.settings().data, context.partition_keys))
            for grant in mail_pipeline.mirror(
                stream, context.partition_keys, config.options(), events.running
            ):
                events.ended(grant)
        events.raise_failures()
        # A generator without an output, as for `messages`.
        yield from ()

    return listed


contacts = _stream_asset(
    "contacts", "Every source: address book, people written with, the company.", deps=[grants]
)
calendars = _stream_asset("calendars", deps=[grants])
events = _stream_asset(
    "events",
    "Recurring ones with their occurrences, cancelled ones too, from five years ahead back to 1970. "
    "Calendars are listed before, and one that shows no events is skipped.",
    # Not `calendars`: it reports by events, and what depends on a step without output is left out of the run.
    deps=[grants],
)
provider_threads = _stream_asset(
    "provider_threads",
    "Only on request: Gmail charges 40 quota units for each. `threads` says nearly the same at no cost.",
    deps=[grants],
    group="mail",
)

stream_ledger = dg.AssetSpec(
    "stream_ledger",
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[contacts, calendars, events],
    description=description("stream_ledger", "Kept up by every page that is stored; here for its checks."),
    metadata=table_metadata("stream_ledger"),
)

threads = dg.AssetSpec(
    "threads",
    group_name="mail",
    owners=OWNERS,
    kinds=KINDS,
    deps=[messages],
    description=description("threads", "A view: as new as the messages are."),
    metadata=table_metadata("threads"),
)
