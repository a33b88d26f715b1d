"""Who is connected, and what folders they have."""

import dagster as dg

from mail_pipeline.assets.tables import KINDS, OWNERS, description, table_metadata
from mail_pipeline.resources import MailPipelineResource, plain_failures
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants

GROUP = "accounts"


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    description=description("grants", "One that is gone at the provider keeps its row in `all_grants`."),
    metadata=table_metadata("grants"),
)
def grants(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """List all grants of the application and store them."""
    with plain_failures():
        report = refresh_grants(mail_pipeline.settings())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.total,
            "valid": report.valid,
            "new": report.new,
            "vanished": report.vanished,
            "returned": report.returned,
            "unreadable": report.unreadable,
            "by_provider": report.by_provider,
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[grants],
    description=description("folders", "One that is gone at the provider keeps its row in `all_folders`."),
    metadata=table_metadata("folders"),
)
def folders(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """List the folders of every valid grant and store them."""
    with plain_failures():
        report = refresh_folders(mail_pipeline.settings())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.folders,
            "grants": report.grants,
            "new": report.new,
            "vanished": report.vanished,
            "returned": report.returned,
            "unreadable": report.unreadable,
            "grants_failed": len(report.failed),
            "reasons": report.failed,
        }
    )
