"""How much a backfill will be, before it begins: messages, pages, quota units and time.

Messages come from what folders report, the rest follows from the pacing. Google's labels overlap, so its
count is an estimate; nobody tells how much the list of an IMAP account's recent mail has.
"""

import math
from dataclasses import dataclass

from mail_pipeline.nylas import Limits
from mail_pipeline.nylas.quota import LIST_UNITS, MESSAGE_UNITS, MESSAGE_UNITS_AT_MOST, UnitBudget

_SECONDS_PER_PAGE = 1.0
"""An answer's own time, where no mailbox of the provider has shown it yet."""
_OLD_PROJECT_UNITS = 101.0
"""Google gives projects made since May 2026 100 units a second, at 20 a message; older ones 250, at 5."""


_THREADS_PER_PAGE = 20
_THREAD_UNITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What listing a mailbox to its end is expected to take; `seconds` at the pace it is allowed."""

    messages: int
    pages: int
    quota_units: int
    seconds: int


def thread_cost(provider: str, threads: int) -> tuple[int, int]:
    """Return the requests and the quota units that the provider's own list of so many threads costs.

    Nylas gives 20 threads a page, and Gmail charges 40 units for each (reference: nylas-api 5.1).
    """
    return math.ceil(threads / _THREADS_PER_PAGE), threads * _THREAD_UNITS if provider == "google" else 0


def plan(
    provider: str,
    messages: int | None,
    *,
    limits: Limits,
    page_size: int | None = None,
    seconds_per_page: float | None = None,
) -> Plan | None:
    """Return the plan for a mailbox of so many messages; None where nobody says how many.

    `seconds_per_page` is how long a page of this provider has taken so far.
    """
    if messages is None:
        return None
    size = min(page_size or limits.page_size, limits.largest_page(provider))
    if provider != "google":
        pages = max(1, math.ceil(messages / size))
        pace = max(limits.page_interval, seconds_per_page or _SECONDS_PER_PAGE)
        return Plan(messages=messages, pages=pages, quota_units=0, seconds=math.ceil(pages * pace))
    budget = limits.google_units_per_second
    each = MESSAGE_UNITS if budget >= _OLD_PROJECT_UNITS else MESSAGE_UNITS_AT_MOST
    pages = max(1, math.ceil(messages / UnitBudget(budget).page_size(size)))
    units = LIST_UNITS * pages + each * messages
    # The first minute's budget may be spent at once, but each page waits for the units of the one before.
    return Plan(messages=messages, pages=pages, quota_units=units, seconds=math.ceil(units / budget))
