"""The whole at a glance: how much there is, how complete and how fresh, with small plots."""

from collections.abc import Sequence

import dagster as dg

from mail_pipeline.assets.directory import stream_ledger
from mail_pipeline.assets.live import message_updates
from mail_pipeline.assets.mail import mailboxes
from mail_pipeline.assets.tables import KINDS, OWNERS
from mail_pipeline.lake import reports
from mail_pipeline.lake.connection import connect, records
from mail_pipeline.plots import bars
from mail_pipeline.resources import MailPipelineResource, plain_failures

GROUP = "upkeep"


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds=KINDS,
    deps=[mailboxes, stream_ledger, message_updates],
    description="How much is stored, how complete and how fresh, with plots. Made anew every hour, and its "
    "numbers make curves on its page. Counts only: nothing of anybody's mail.",
)
def overview(mail_pipeline: dg.ResourceParam[MailPipelineResource]) -> dg.MaterializeResult[None]:
    """Count what there is and plot it."""
    with plain_failures(), connect(mail_pipeline.settings().data) as lake:
        [counts] = records(lake.execute(reports.OVERVIEW))
        months = lake.execute(reports.MESSAGES_PER_MONTH).fetchall()
        providers = lake.execute(reports.MESSAGES_PER_PROVIDER).fetchall()
        states = lake.execute(reports.MAILBOXES_PER_STATE).fetchall()
    numbers = {name: value for name, value in counts.items() if value is not None}
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.int(value) for name, value in numbers.items()},
            "messages_per_month": _plot("Messages per month", months),
            "messages_per_provider": _plot("Messages per provider", providers),
            "mailboxes_per_state": _plot("Mailboxes per state", states),
        }
    )


def _plot(title: str, values: Sequence[tuple[str, int]]) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"![{title}]({bars(title, values)})")
