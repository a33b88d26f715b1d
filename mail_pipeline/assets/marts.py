"""What analysts ask of mail, ready to be asked: tables that follow the mail, and views over them."""

import os
from collections.abc import Iterator
from time import perf_counter

import dagster as dg

from mail_pipeline.assets.live import message_updates, reconciliations
from mail_pipeline.assets.mail import messages
from mail_pipeline.assets.tables import OWNERS, description, table_metadata
from mail_pipeline.lake.mart_tables import FACTS, MART_VIEWS, MARTS
from mail_pipeline.marts.lineage import STATEMENTS, column_sources, parents
from mail_pipeline.marts.refresh import MartReport, refresh_marts
from mail_pipeline.marts.reporting import Reporting
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.resources import MailPipelineResource, plain_failures

GROUP = "marts"
_KINDS = {"duckdb"}
_MAIL = [messages, message_updates, reconciliations]

FOLLOWS_THE_MAIL = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & dg.AutomationCondition.cron_tick_passed("*/5 * * * *")
    & ~dg.AutomationCondition.in_progress()
).with_label("mail has changed, at most every five minutes")
"""Not `eager`, which waits until no partition of the mail is missing: with one mailbox red that is never."""

_PARENTS = {"messages", "folders", *STATEMENTS}


def _spec(name: str, *sentences: str, follows: bool) -> dg.AssetSpec:
    read = parents(name)
    made = [dg.AssetKey(each) for each in read if each in STATEMENTS]
    return dg.AssetSpec(
        name,
        deps=[*made, *(_MAIL if len(made) < len(read) else ())],
        group_name=GROUP,
        owners=OWNERS,
        kinds=_KINDS,
        description=description(name, *sentences),
        metadata=table_metadata(name),
        automation_condition=FOLLOWS_THE_MAIL if follows else None,
    )


@dg.multi_asset(
    name="marts",
    specs=[
        _spec(table.name, "All marts move together, in one transaction for each account.", follows=True)
        for table in (*FACTS, *MARTS)
    ],
)
def marts(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> Iterator[dg.MaterializeResult[None]]:
    """Bring all marts up to the mail."""
    started = perf_counter()
    with plain_failures():
        report = refresh_marts(mail_pipeline.settings().data, Reporting.from_env(os.environ))
    seconds = perf_counter() - started
    for table in (*FACTS, *MARTS):
        yield dg.MaterializeResult(asset_key=table.name, metadata=_refreshed(report, table.name, seconds))


def _refreshed(report: MartReport, table: str, seconds: float) -> dict[str, dg.MetadataValue]:
    return {
        "dagster/row_count": dg.MetadataValue.int(report.rows[table]),
        "rows_written": dg.MetadataValue.int(report.written.get(table, 0)),
        "messages_changed": dg.MetadataValue.int(report.messages),
        "grants_changed": dg.MetadataValue.int(report.grants),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(_column_lineage(table)),
    }


def _column_lineage(table: str) -> dg.TableColumnLineage:
    """Return where the columns of a mart come from, as far as that is an asset: parts of mail are none."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(dg.AssetKey(asset), source)
                for parent, source in sources
                if (asset := parent.removeprefix("all_")) in _PARENTS
            ]
            for column, sources in column_sources(table).items()
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=_KINDS,
    deps=_MAIL,
    description=description(
        "message_texts", "Only what has changed is converted; a new converter redoes all."
    ),
    metadata=table_metadata("message_texts"),
    automation_condition=FOLLOWS_THE_MAIL,
)
def message_texts(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """Convert the bodies that have no text yet."""
    with plain_failures():
        report = refresh_texts(mail_pipeline.settings().data)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.rows,
            "converted": report.converted,
            "removed": report.removed,
            "converter": report.converter,
        }
    )


views = [
    _spec(view.name, "A view: it is as fresh as the tables it reads.", follows=False) for view in MART_VIEWS
]
