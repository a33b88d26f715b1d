"""How long landed notifications are kept once they are applied."""

import time

from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings

_DAY = 86_400


def retire(settings: Settings) -> int:
    """Remove landed notifications that were applied long enough ago; return how many.

    What is dead or kept for later stays, since it can still be replayed.
    """
    with Lake(settings.data) as lake, Landing.open(settings) as landing:
        before = time.time() - settings.keep_notifications_days * _DAY
        (up_to,) = lake.column(queries.APPLIED_BEFORE, [before])
        keep = set(lake.column(queries.NOTIFICATIONS_TO_REPLAY, {"type": None}))
        return landing.remove(up_to=up_to, received_before=before, keep=keep)
