"""The search index over subjects and bodies."""

import dagster as dg

from mail_pipeline.assets.live import message_updates, reconciliations
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.tables import OWNERS
from mail_pipeline.resources import MailPipelineResource, plain_failures

GROUP = "marts"


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sqlite", "duckdb"},
    deps=[messages, message_updates, reconciliations],
    description="Words in subjects and bodies, for `SELECT … FROM search('quarterly report')` and "
    "`mail-pipeline search`. A run indexes messages that are new or were edited, and takes out those "
    "that are gone; the schedule `refresh_search_every_10_minutes` asks for it where anything was committed.",
    metadata={"dagster/table_name": "search"},
)
def search_index(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """Bring the search index up to the messages."""
    with plain_failures():
        report = mail_pipeline.refresh_search()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.documents,
            "indexed": report.indexed,
            "removed": report.removed,
            "size_bytes": report.size_bytes,
        }
    )
