"""Is what is stored whole and clean? Each check reads the lake and changes nothing.

They stand at the ledger: Dagster would plan a check of `messages` into each of its runs and then call it
failed or skipped, since a run over many partitions has no one output that a check could wait for.
"""

from typing import Any

import dagster as dg

from mail_pipeline.assets.mail import mailboxes
from mail_pipeline.lake import queries
from mail_pipeline.lake.connection import connect
from mail_pipeline.resources import MailPipelineResource, plain_failures

_NAMED = 100


@dg.asset_check(asset=mailboxes.key, description="There is one row per message: (grant_id, id) is unique.")
def one_row_per_message(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count messages stored more than once."""
    [(rows, repeated)] = _rows(
        mail_pipeline,
        queries.MESSAGE_COPIES,
    )
    return dg.AssetCheckResult(passed=repeated == 0, metadata={"rows": rows, "repeated": repeated})


@dg.asset_check(asset=mailboxes.key, description="Every mailbox that exists is backfilled.")
def mailboxes_complete(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Name the mailboxes that are not complete."""
    missing = _rows(
        mail_pipeline,
        queries.INCOMPLETE_MAILBOXES,
    )
    records = [
        dg.TableRecord({"partition": key, "state": state, "reason": reason, "next_step": step})
        for key, state, reason, step in missing[:_NAMED]
    ]
    return dg.AssetCheckResult(
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"incomplete": len(missing)}
        | ({"mailboxes": dg.MetadataValue.table(records)} if records else {}),
    )


@dg.asset_check(asset=mailboxes.key, description="Every record the API gave could be read.")
def no_dead_letters(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count the records that lie in `dead_letters`, with their reasons there."""
    [(letters, lost)] = _rows(mail_pipeline, queries.DEAD_LETTER_COUNTS)
    return dg.AssetCheckResult(
        passed=letters == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"dead_letters": letters, "not_stored_as_rows": lost},
    )


def _rows(mail_pipeline: MailPipelineResource, query: str) -> list[tuple[Any, ...]]:
    with plain_failures(), connect(mail_pipeline.settings().data) as connection:
        return connection.execute(query).fetchall()


CHECKS = [one_row_per_message, mailboxes_complete, no_dead_letters]
