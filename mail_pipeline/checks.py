"""Is what is stored whole and clean? Each check reads the lake and changes nothing.

They stand at the ledgers: Dagster would plan a check of `messages` into each of its runs and then call it
failed or skipped, since a run over many partitions has no one output that a check could wait for. Each says
what it found and, where that is bad, the command that mends it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mail_pipeline.assets.directory import stream_ledger
from mail_pipeline.assets.live import message_updates, webhooks
from mail_pipeline.assets.mail import mailboxes
from mail_pipeline.lake import queries, reports
from mail_pipeline.lake.connection import connect
from mail_pipeline.ledger import applied_up_to, newest_landed
from mail_pipeline.resources import MailPipelineResource, plain_failures

_NAMED = 100


@dg.asset_check(asset=mailboxes.key, description="There is one row per message: (grant_id, id) is unique.")
def one_row_per_message(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count messages stored more than once."""
    return _stored_once(mail_pipeline, reports.MESSAGE_COPIES, "messages")


@dg.asset_check(
    asset=stream_ledger.key, description="There is one row per contact, calendar and event: keys are unique."
)
def one_row_per_record(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count contacts, calendars and events stored more than once."""
    return _stored_once(mail_pipeline, reports.RECORD_COPIES, "contacts, calendars and events")


@dg.asset_check(asset=mailboxes.key, description="Every mailbox that exists is backfilled.")
def mailboxes_complete(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Name the mailboxes that are not complete."""
    missing = _rows(mail_pipeline, reports.INCOMPLETE_MAILBOXES)
    return _found(
        f"Mailboxes not complete: {len(missing):,}",
        passed=not missing,
        mend="`mail-pipeline backfill --all`, or the failed and missing partitions of `messages` in the UI.",
        incomplete=len(missing),
        mailboxes=_table(("partition", "state", "reason", "next_step"), missing),
    )


@dg.asset_check(
    asset=stream_ledger.key,
    description="Contacts, calendars and events, once begun, are listed to their end.",
)
def streams_complete(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Name the lists that have not come to their end."""
    missing = _rows(mail_pipeline, reports.INCOMPLETE_STREAMS)
    return _found(
        f"Lists of contacts, calendars or events not complete: {len(missing):,}",
        passed=not missing,
        mend="`mail-pipeline mirror --all`",
        incomplete=len(missing),
        lists=_table(("stream", "grant", "state", "reason", "next_step"), missing),
    )


@dg.asset_check(asset=mailboxes.key, description="Every record the API gave could be read.")
def no_dead_letters(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count the records that lie in `dead_letters`, with their reasons there."""
    [(letters, lost)] = _rows(mail_pipeline, reports.DEAD_LETTER_COUNTS)
    return _found(
        f"{letters:,} records could not be read as they came, {lost:,} of them not even after a repair",
        passed=letters == 0,
        mend='`mail-pipeline sql "SELECT object, reason, count(*) FROM dead_letters GROUP BY ALL"` says why; '
        "`mail-pipeline apply --replay dead` takes those of notifications once more.",
        dead_letters=letters,
        not_stored_as_rows=lost,
    )


@dg.asset_check(
    asset=mailboxes.key,
    description="A webhook was active before each mailbox's first page, or a sweep has closed that gap.",
)
def mailboxes_covered(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Count the mailboxes in which changes may have been missed while they were backfilled."""
    [(begun, uncovered)] = _rows(mail_pipeline, reports.UNCOVERED_MAILBOXES)
    return _found(
        f"In {uncovered:,} of {begun:,} mailboxes changes may have been missed while they were backfilled",
        passed=uncovered == 0,
        mend="Run `mail-pipeline webhook create` and a receiver, then `mail-pipeline reconcile`.",
        mailboxes_begun=begun,
        not_covered=uncovered,
    )


@dg.asset_check(asset=webhooks.key, description="No time is left in which notifications may be missing.")
def no_gaps(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """List the gaps that are not repaired."""
    gaps = _rows(mail_pipeline, queries.OPEN_GAPS)
    shown = [
        (cause, grant_id or "all", _shown(began), _shown(ended) if ended else "lasts")
        for cause, grant_id, began, ended in gaps
    ]
    return _found(
        f"Gaps not repaired: {len(gaps):,}",
        passed=not gaps,
        mend="`mail-pipeline reconcile`, or the job reconcile, once a gap has ended. While one lasts, "
        "`mail-pipeline webhook status` says what is wrong.",
        gaps=len(gaps),
        which=_table(("cause", "grant", "began", "ended"), shown),
    )


@dg.asset_check(asset=message_updates.key, description="What has landed is applied.")
def notifications_applied(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.AssetCheckResult:
    """Compare the landing table with the lake."""
    with plain_failures():
        settings = mail_pipeline.settings()
        newest, applied = newest_landed(settings), applied_up_to(settings.data)
    [(waiting,)] = _rows(mail_pipeline, reports.FETCHES_COUNT)
    return _found(
        f"Applied up to notification {applied:,} of {newest:,}; {waiting:,} requests are still to be made",
        passed=applied >= newest and not waiting,
        mend="`mail-pipeline apply`; it says what keeps it where it does not get through.",
        landed=newest,
        applied_up_to=applied,
        waiting_to_be_fetched=waiting,
    )


def _stored_once(mail_pipeline: MailPipelineResource, query: str, what: str) -> dg.AssetCheckResult:
    [(rows, repeated)] = _rows(mail_pipeline, query)
    return _found(
        f"{repeated:,} of {rows:,} {what} are stored more than once",
        passed=repeated == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        mend="This should be impossible: please report it, with the output of `mail-pipeline doctor --json`.",
        rows=rows,
        repeated=repeated,
    )


def _found(
    said: str,
    *,
    passed: bool,
    mend: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    **metadata: dg.MetadataValue | int | None,
) -> dg.AssetCheckResult:
    """Return the result with its message and, where it is red, the next step."""
    told = {name: value for name, value in metadata.items() if value is not None}
    return dg.AssetCheckResult(
        passed=passed,
        severity=severity,
        description=f"{said}." if passed else f"{said}. Next: {mend}",
        metadata=told if passed else {**told, "next_step": dg.MetadataValue.md(mend)},
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MetadataValue | None:
    records = [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows[:_NAMED]]
    return dg.MetadataValue.table(records) if records else None


def _shown(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _rows(mail_pipeline: MailPipelineResource, query: str) -> list[tuple[Any, ...]]:
    with plain_failures(), connect(mail_pipeline.settings().data) as connection:
        return connection.execute(query).fetchall()


CHECKS = [
    one_row_per_message,
    one_row_per_record,
    mailboxes_complete,
    streams_complete,
    mailboxes_covered,
    no_dead_letters,
    notifications_applied,
    no_gaps,
]
