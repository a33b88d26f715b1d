"""Is what is stored whole and clean? Each check reads the lake and changes nothing.

They stand at the ledger: Dagster would plan a check of `messages` into each of its runs and then call it
failed or skipped, since a run over many partitions has no one output that a check could wait for.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mail_pipeline.assets.live import message_updates, webhooks
from mail_pipeline.assets.mail import mailboxes
from mail_pipeline.lake import queries
from mail_pipeline.lake.connection import connect
from mail_pipeline.ledger import applied_up_to, newest_landed
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


@dg.asset_check(
    asset=mailboxes.key,
    description="A webhook was active before each mailbox's first page, or a sweep has closed that gap.",
)
def mailboxes_covered(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count the mailboxes in which changes may have been missed while they were backfilled."""
    [(begun, uncovered)] = _rows(mail_pipeline, queries.UNCOVERED_MAILBOXES)
    return dg.AssetCheckResult(
        passed=uncovered == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "mailboxes_begun": begun,
            "not_covered": uncovered,
            "next_step": "Run `mail-pipeline webhook create` and a receiver, then `mail-pipeline reconcile`.",
        },
    )


@dg.asset_check(asset=webhooks.key, description="No time is left in which notifications may be missing.")
def no_gaps(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """List the gaps that are not repaired."""
    gaps = _rows(mail_pipeline, queries.OPEN_GAPS)
    records = [
        dg.TableRecord(
            {
                "cause": cause,
                "grant": grant_id or "all",
                "began": _shown(began),
                "ended": _shown(ended) if ended else "lasts",
            }
        )
        for cause, grant_id, began, ended in gaps[:_NAMED]
    ]
    told = {
        "gaps": dg.MetadataValue.int(len(gaps)),
        "next_step": dg.MetadataValue.text("Run the job reconcile, once a gap has ended."),
    }
    return dg.AssetCheckResult(
        passed=not gaps,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=told | ({"which": dg.MetadataValue.table(records)} if records else {}),
    )


@dg.asset_check(asset=message_updates.key, description="What has landed is applied.")
def notifications_applied(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Compare the landing table with the lake."""
    settings = mail_pipeline.settings()
    with plain_failures():
        newest, applied = newest_landed(settings), applied_up_to(settings.data)
    [(waiting,)] = _rows(mail_pipeline, queries.FETCHES_COUNT)
    return dg.AssetCheckResult(
        passed=applied >= newest and not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"landed": newest, "applied_up_to": applied, "waiting_to_be_fetched": waiting},
    )


def _shown(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _rows(mail_pipeline: MailPipelineResource, query: str) -> list[tuple[Any, ...]]:
    with plain_failures(), connect(mail_pipeline.settings().data) as connection:
        return connection.execute(query).fetchall()


CHECKS = [
    one_row_per_message,
    mailboxes_complete,
    mailboxes_covered,
    no_dead_letters,
    notifications_applied,
    no_gaps,
]
