"""What the Dagster UI is told of each mailbox: events on its partition, and who failed."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import dagster as dg

from mail_pipeline.sync.backfill import MailboxProgress
from mail_pipeline.sync.checkpoints import COMPLETE, SKIPPED

_OBSERVED_EVERY = timedelta(seconds=10)
"""An event costs 5 ms and 4 KB, and stays: one per mailbox per ten seconds is enough to watch."""
_NAMED_IN_TEXT = 5
_NAMED_IN_TABLE = 100


class MailboxEvents:
    """Reports the mailboxes of one run on their partitions.

    A mailbox that is complete is materialized, one still being listed is observed. One that is paused or
    failed is observed with its reason, and once all have ended `raise_failures` fails the run: then exactly
    the partitions without a materialization of this run show as failed.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        describe: Callable[[MailboxProgress], Mapping[str, dg.MetadataValue]] | None = None,
        *,
        noun: str = "mailboxes",
    ) -> None:
        """Take the context of the run to report in, what to tell of each partition, and what they are."""
        self._context = context
        self._describe = describe or mailbox_metadata
        self._noun = noun
        self._observed: dict[str, datetime] = {}
        self._ended = 0
        self._failed: list[MailboxProgress] = []

    def running(self, mailbox: MailboxProgress) -> None:
        """Report a mailbox at work, at most once in ten seconds."""
        last = self._observed.get(mailbox.partition_key, mailbox.started_at)
        if mailbox.updated_at - last >= _OBSERVED_EVERY:
            self._observed[mailbox.partition_key] = mailbox.updated_at
            self._observe(mailbox)

    def ended(self, mailbox: MailboxProgress) -> None:
        """Report the last word on a mailbox."""
        self._ended += 1
        if not mailbox.succeeded:
            self._failed.append(mailbox)
        if mailbox.state in {COMPLETE, SKIPPED}:
            self._context.log_event(
                dg.AssetMaterialization(
                    self._context.asset_key,
                    partition=mailbox.partition_key,
                    metadata=self._describe(mailbox),
                )
            )
        else:
            self._observe(mailbox)

    def raise_failures(self) -> None:
        """Raise a Failure that names the mailboxes that did not get through, why, and what to do."""
        if not self._failed:
            return
        named = [
            f"{each.partition_key} ({each.state}): {_why(each)}" for each in self._failed[:_NAMED_IN_TEXT]
        ]
        if len(self._failed) > _NAMED_IN_TEXT:
            named.append("The others are in this event's metadata and in the table `mailboxes`.")
        raise dg.Failure(
            f"{len(self._failed)} of {self._ended} {self._noun} did not get through. " + "\n".join(named),
            metadata={self._noun: _failures_table(self._failed[:_NAMED_IN_TABLE])},
            allow_retries=False,
        )

    def _observe(self, mailbox: MailboxProgress) -> None:
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                partition=mailbox.partition_key,
                metadata=self._describe(mailbox),
            )
        )


def mailbox_metadata(mailbox: MailboxProgress) -> dict[str, dg.MetadataValue]:
    """Return what people see of a mailbox on its partition. Counts are of its ledger row.

    `messages` are those it stored first, `listed` all it saw: IMAP mail in several folders counts once.

    `cursor`, `oldest` and `eta_seconds` are always there, null where there is none; what else is not known is
    left out.
    """
    told: dict[str, dg.MetadataValue | None] = {
        "state": dg.MetadataValue.text(mailbox.state),
        "provider": dg.MetadataValue.text(mailbox.provider),
        "folder": _text(mailbox.folder_name),
        "messages": dg.MetadataValue.int(mailbox.messages),
        "listed": dg.MetadataValue.int(mailbox.ids_seen),
        "reported_by_provider": _int(mailbox.reported),
        "oldest": _moment(mailbox.oldest) or dg.MetadataValue.null(),
        "newest": _moment(mailbox.newest),
        "pages": dg.MetadataValue.int(mailbox.pages),
        "cursor": _text(mailbox.cursor) or dg.MetadataValue.null(),
        "eta_seconds": dg.MetadataValue.null()
        if mailbox.eta_seconds is None
        else _float(mailbox.eta_seconds, 0),
        "messages_per_second": _float(mailbox.rate, 1),
        "held_by_quota_until": _moment(mailbox.held_until),
        "requests": dg.MetadataValue.int(mailbox.requests),
        "megabytes": _float(mailbox.body_bytes / 1e6, 1),
        "quota_units": dg.MetadataValue.int(mailbox.quota_units),
        "dead_letters": dg.MetadataValue.int(mailbox.dead_letters),
        "webhook_before_first_page": dg.MetadataValue.bool(mailbox.subscribed),
        **_planned(mailbox),
        "folder_id": _text(mailbox.folder_id),
        "reason": _text(mailbox.reason),
        "next_step": _text(mailbox.next_step),
        "dagster/partition_row_count": dg.MetadataValue.int(mailbox.messages),
    }
    return {name: value for name, value in told.items() if value is not None}


def _planned(mailbox: MailboxProgress) -> dict[str, dg.MetadataValue | None]:
    """Return what the pass was expected to take, beside which stands what it took."""
    planned = mailbox.planned
    if planned is None:
        return {}
    return {
        "planned_messages": dg.MetadataValue.int(planned.messages),
        "planned_pages": dg.MetadataValue.int(planned.pages),
        "planned_quota_units": dg.MetadataValue.int(planned.quota_units),
        "planned_seconds": dg.MetadataValue.int(planned.seconds),
    }


def stream_metadata(grant: MailboxProgress) -> dict[str, dg.MetadataValue]:
    """Return what people see of a grant's contacts, calendars or events. Counts are of its ledger rows."""
    told: dict[str, dg.MetadataValue | None] = {
        "state": dg.MetadataValue.text(grant.state),
        "provider": dg.MetadataValue.text(grant.provider),
        "records": dg.MetadataValue.int(grant.messages),
        "listed": dg.MetadataValue.int(grant.ids_seen),
        "pages": dg.MetadataValue.int(grant.pages),
        "requests": dg.MetadataValue.int(grant.requests),
        "quota_units": dg.MetadataValue.int(grant.quota_units),
        "dead_letters": dg.MetadataValue.int(grant.dead_letters),
        "webhook_before_first_page": dg.MetadataValue.bool(grant.subscribed),
        "reason": _text(grant.reason),
        "next_step": _text(grant.next_step),
        "dagster/partition_row_count": dg.MetadataValue.int(grant.messages),
    }
    return {name: value for name, value in told.items() if value is not None}


def _failures_table(failed: list[MailboxProgress]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "partition": each.partition_key,
                    "state": each.state,
                    "reason": each.reason or "",
                    "next_step": each.next_step or "",
                }
            )
            for each in failed
        ]
    )


def _why(mailbox: MailboxProgress) -> str:
    return ". ".join(part.rstrip(".") for part in (mailbox.reason, mailbox.next_step) if part)


def _text(value: str | None) -> dg.MetadataValue | None:
    return None if value is None else dg.MetadataValue.text(value)


def _int(value: int | None) -> dg.MetadataValue | None:
    return None if value is None else dg.MetadataValue.int(value)


def _float(value: float, digits: int) -> dg.MetadataValue:
    # Dagster refuses an int here, and a rate of 0 may be one.
    return dg.MetadataValue.float(float(round(value, digits)))


def _moment(value: datetime | None) -> dg.MetadataValue | None:
    return None if value is None else dg.MetadataValue.timestamp(value)
