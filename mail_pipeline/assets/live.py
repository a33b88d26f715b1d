"""What keeps mail current after its backfill: notifications, the webhooks that bring them, and sweeps."""

from collections import Counter

import dagster as dg

from mail_pipeline.assets.accounts import grants
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.tables import KINDS, OWNERS, description, table_metadata
from mail_pipeline.config import ApplyConfig, ReconcileConfig
from mail_pipeline.partitions import PARTITIONS
from mail_pipeline.resources import MailPipelineResource, plain_failures
from mail_pipeline.sync.apply import ApplyReport
from mail_pipeline.sync.reconcile import ReconcileReport

GROUP = "live"

_REPORTED = 200
"""Mailboxes observed in one run; an event costs 5 ms."""


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[grants],
    description=description(
        "notifications",
        "One run applies everything that has landed: messages that came, changed or went, folders, grants. "
        "The sensor `notification_bell` asks for it within five seconds of a landing.",
    ),
    metadata=table_metadata("notifications"),
)
def message_updates(
    context: dg.AssetExecutionContext,
    config: ApplyConfig,
    mail_pipeline: dg.ResourceParam[MailPipelineResource],
) -> dg.MaterializeResult[None]:
    """Apply what has landed and report it on the mailboxes it touched."""
    with plain_failures():
        report = mail_pipeline.apply(config.choice())
    _observe_mailboxes(context, report.messages)
    return dg.MaterializeResult(metadata=_applied(report))


def _observe_mailboxes(context: dg.AssetExecutionContext, touched: Counter[str]) -> None:
    known = set(context.instance.get_dynamic_partitions(PARTITIONS))
    for grant_id, count in touched.most_common(_REPORTED):
        told = {"notifications_applied": count}
        for key in known.intersection((grant_id, f"{grant_id}/@recent")):
            context.log_event(dg.AssetObservation(messages.key, partition=key, metadata=told))


def _applied(report: ApplyReport) -> dict[str, dg.MetadataValue]:
    rows = [
        dg.TableRecord({"trigger": trigger, "outcome": outcome, "notifications": count})
        for (outcome, trigger), count in sorted(report.outcomes.items())
    ]
    counts = {
        "applied_up_to": report.applied_up_to,
        "notifications": report.outcomes.total(),
        "dead": report.count("dead"),
        "mailboxes": len(report.messages),
        "fetched": report.fetched,
        "waiting_to_be_fetched": report.waiting,
    }
    told: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.int(count) for name, count in counts.items()}
    return told | ({"by_trigger": dg.MetadataValue.table(rows)} if rows else {})


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    description=description(
        "webhooks", "Each look also writes down the times in which notifications may be missing, in `gaps`."
    ),
    metadata=table_metadata("webhooks"),
)
def webhooks(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """Look whether notifications arrive, and find gaps."""
    with plain_failures():
        coverage = mail_pipeline.watch()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(coverage.webhooks),
            "active": dg.MetadataValue.bool(coverage.active),
            "receiving": dg.MetadataValue.bool(coverage.receiving),
            "new_gaps": coverage.new_gaps,
            "open_gaps": coverage.open_gaps,
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[messages, webhooks],
    description=description(
        "reconciliations",
        "Lists ids, flags and folders at the provider, fetches what is unknown or gone, and closes gaps.",
    ),
    metadata=table_metadata("reconciliations"),
)
def reconciliations(
    config: ReconcileConfig, mail_pipeline: dg.ResourceParam[MailPipelineResource]
) -> dg.MaterializeResult[None]:
    """Set what is stored against what the provider lists."""
    with plain_failures():
        report = mail_pipeline.reconcile(config)
    _raise_failures(report)
    return dg.MaterializeResult(metadata=_reconciled(report))


def _reconciled(report: ReconcileReport) -> dict[str, dg.MetadataValue]:
    found = [each.findings for each in report.grants if each.findings is not None]
    counts = {
        "grants": len(report.grants),
        "listed": sum(each.listed for each in found),
        "unknown": sum(each.unknown for each in found),
        "changed": sum(each.changed for each in found),
        "missing": sum(each.missing for each in found),
        "relisted_beside_mail": sum(word.ids_seen for _, word in report.relisted),
        "fetched": report.fetched,
        "waiting_to_be_fetched": report.waiting,
        "open_gaps": report.open_gaps,
    }
    return {name: dg.MetadataValue.int(count) for name, count in counts.items()}


def _raise_failures(report: ReconcileReport) -> None:
    failed = [(each.grant_id, str(each.error)) for each in report.grants if each.error is not None]
    failed += [(word.grant_id, f"{stream}: {word.reason}") for stream, word in report.unlisted]
    if failed:
        count = len({grant_id for grant_id, _ in failed})
        text = "\n".join(f"{grant_id}: {why}" for grant_id, why in failed[:5])
        raise dg.Failure(
            f"{count} of {len(report.grants)} grants were not reconciled. {text}",
            metadata=_reconciled(report),
            allow_retries=False,
        )
