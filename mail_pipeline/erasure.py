"""Removing for good: from the tables, from all that is made of them, and from what they were before."""

import os

from mail_pipeline.lake import subset_queries
from mail_pipeline.lake.upkeep import purge
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.reporting import Reporting
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.search.refresh import erase
from mail_pipeline.settings import Settings
from mail_pipeline.sync.forgetting import ForgetReport, forget
from mail_pipeline.sync.removal import RemovalReport, remove_excluded


def erase_excluded(settings: Settings) -> RemovalReport:
    """Remove what is stored and the configuration file leaves out, wherever it lies in the data folder.

    That is the tables, the marts and texts made of them, all their earlier states, the landing table and the
    search index, which is made anew when it is next refreshed. A query that is under way, and a notebook that
    looks at an earlier state, lose their files. Safe to interrupt and to repeat. Raises RetryLater where a
    grant is being listed or the catalog read, StopRun for a wrong file.
    """
    report = remove_excluded(settings)
    with Lake(settings.data) as lake:
        (has_marts,) = lake.column(subset_queries.HAS_MARTS)
    if has_marts:
        refresh_marts(settings.data, Reporting.from_env(os.environ))
        refresh_texts(settings.data)
    _erase_traces(settings)
    return report


def forget_grant(settings: Settings, grant_id: str) -> ForgetReport:
    """Remove all that is stored of a grant that is gone, wherever it lies in the data folder.

    As `erase_excluded` does, and with the account itself; nothing is done where nothing ever told of it.
    Raises StopRun for one that is still connected, RetryLater while something is at work on it.
    """
    report = forget(settings, grant_id)
    if report.known:
        _erase_traces(settings)
    return report


def _erase_traces(settings: Settings) -> None:
    """Remove the search index, and earlier states of the tables."""
    erase(settings.data)
    with Lake(settings.data) as lake:
        purge(lake)
