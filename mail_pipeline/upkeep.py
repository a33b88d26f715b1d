"""All upkeep there is: of the lake, of what has landed, of attachments' files."""

from dataclasses import dataclass
from datetime import timedelta

from mail_pipeline.lake import upkeep as of_lake
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.attachments import remove_unneeded_files
from mail_pipeline.sync.retention import retire

WEEK = timedelta(days=7)
MOST_DAYS = 36_500
"""A hundred years: further back, dates are no longer what a database or the API can compare."""


@dataclass(frozen=True, slots=True)
class KeptUp:
    """What an upkeep did."""

    lake: of_lake.UpkeepReport
    notifications_removed: int
    """Landed ones, applied long enough ago."""
    attachments_removed: int
    """Files that nothing refers to."""


def keep_up(settings: Settings, *, keep: timedelta = WEEK) -> KeptUp:
    """Merge small files and drop what nobody needs; one can look back at the tables for as long as `keep`.

    Contents do not change. Safe to interrupt, and to run beside writers and readers.
    """
    with Lake(settings.data) as lake:
        report = of_lake.upkeep(lake, keep=keep)
    return KeptUp(report, retire(settings), remove_unneeded_files(settings))
