"""The bytes of attachments: fetched when somebody asks, by no schedule and no sensor."""

from collections.abc import Sequence

import dagster as dg

from mail_pipeline.assets.mail import GROUP, messages
from mail_pipeline.assets.tables import KINDS, OWNERS, description, table_metadata
from mail_pipeline.config import AttachmentsConfig
from mail_pipeline.resources import MailPipelineResource, plain_failures
from mail_pipeline.sync.attachments import AttachmentProgress


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[messages],
    description=description(
        "attachment_files",
        "A run fetches what is not there yet, newest first, and stops at nothing that a single attachment "
        "does. Nothing runs it by itself.",
    ),
    metadata=table_metadata("attachment_files"),
)
def attachment_files(
    context: dg.AssetExecutionContext,
    config: AttachmentsConfig,
    mail_pipeline: dg.ResourceParam[MailPipelineResource],
) -> dg.MaterializeResult[None]:
    """Fetch the bytes of attachments and tell what became of them."""
    ended = []
    with plain_failures():
        for grant in mail_pipeline.attachments(config.options()):
            context.log.info("%s: %s of %s done", grant.grant_id, grant.done, grant.wanted)
            ended.append(grant)
    _raise_failures(ended)
    return dg.MaterializeResult(metadata=_counts(ended))


def _counts(grants: Sequence[AttachmentProgress]) -> dict[str, dg.MetadataValue]:
    names = ("wanted", "stored", "skipped", "gone", "failed", "left_out", "bytes")
    counts = {name: sum(getattr(each, name) for each in grants) for name in names}
    return {name: dg.MetadataValue.int(count) for name, count in ({"grants": len(grants)} | counts).items()}


def _raise_failures(grants: Sequence[AttachmentProgress]) -> None:
    stopped = [each for each in grants if not each.succeeded]
    if stopped:
        text = "\n".join(
            f"{each.grant_id}: {each.reason or 'some failed'}. {each.next_step or ''}" for each in stopped[:5]
        )
        raise dg.Failure(
            f"Of {len(stopped)} of {len(grants)} grants not all attachments were fetched. {text}",
            metadata=_counts(grants),
            allow_retries=False,
        )
