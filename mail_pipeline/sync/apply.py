"""Applying what has landed: every notification takes effect once, whatever the order they came in.

A batch is one commit: the rows it changes, what is still to be asked of the API, what became of each of its
notifications, and with them how far the landing table is applied. No lease of a grant is needed: an
observation is merged into what is stored under the write lock, whoever stored it.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.inbox.landing import Landed, Landing
from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.upkeep import tidy_after
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.subset import Subsets, read_subsets
from mail_pipeline.sync.beside import store_beside
from mail_pipeline.sync.fetches import MESSAGE, PARTIAL, Fetch, fetch_rows
from mail_pipeline.sync.fetching import Fetcher
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.narrowing import note_less
from mail_pipeline.sync.planning import NO_TABLE, UNKNOWN_GRANT, plan_batch
from mail_pipeline.sync.scopes import Scopes, departures

LEASE = "@notifications"
"""Whoever applies holds this lease, in the place of a grant's."""

_TYPE = re.compile(r"[a-z_]+(\.[a-z_]+)+")
_BATCH = 2_000
_BATCH_BYTES = 32 * 2**20
_TIDY_FILES = 64
"""Every batch adds a file to most tables; with so many of them queries begin to feel it."""
_SAME_MOMENT = 0.000_005
"""Seconds: the lake holds microseconds, cut off by earlier versions, rounded by this one."""


class AnotherApplies(RetryLater):
    """Another process applies notifications at this moment."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(
            "Another process applies notifications at this moment",
            next_step="Nothing to do: it takes everything that has landed.",
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """Which notifications to apply once more: those of `numbers`, or dead and kept ones, or all."""

    numbers: tuple[int, ...] = ()
    type: str | None = None
    """Dead and kept ones of this type or trigger; with `everything` it is not looked at."""
    everything: bool = False
    """The whole landing table from its first row."""

    @classmethod
    def read(cls, text: str) -> "Replay":
        """Read what somebody typed: `dead`, `everything`, the number of one, or a type or trigger.

        Raises ValueError for anything else.
        """
        if text == "everything":
            return cls(everything=True)
        if text.isdecimal():
            return cls(numbers=(int(text),))
        if text != "dead" and not _TYPE.fullmatch(text):
            raise ValueError(
                f"replay is {text!r}: expected dead, everything, a number, or a type such as message.updated"
            )
        return cls(type=None if text == "dead" else text)


@dataclass(slots=True)
class ApplyReport:
    """What an `apply` did. Outcomes are counted by trigger."""

    applied_up_to: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many notifications by (outcome, trigger)."""
    touched: dict[str, Counter[str]] = field(default_factory=dict)
    """How many objects were touched, by what one of them is called and by grant."""
    fetched: int = 0
    waiting: int = 0
    """Requests that are still to be made, since their grant or the API is out of reach."""

    @property
    def messages(self) -> Counter[str]:
        """Return how many messages were touched, by grant."""
        return self.touched.get("message", Counter())

    def count(self, outcome: str) -> int:
        """Return how many notifications had this outcome."""
        return sum(number for (found, _), number in self.outcomes.items() if found == outcome)


def apply(
    settings: Settings,
    *,
    replay: Replay | None = None,
    on_batch: Callable[[ApplyReport], None] | None = None,
) -> ApplyReport:
    """Apply everything that has landed and not been applied, then ask the API for what that left open.

    `replay` applies some once more before that. `on_batch` is told after each commit. Safe to interrupt at
    any moment and to repeat. Raises AnotherApplies, StopRun for what stops everything, and RetryLater where
    the landing table cannot be reached. An API out of reach is no error: what waits for it stays.
    """
    with ExitStack() as stack:
        landing = stack.enter_context(Landing.open(settings))
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        with lake.locked():
            if leases.take(LEASE) is None:
                raise AnotherApplies
        stack.callback(leases.give_back, LEASE)
        subsets = read_subsets(settings)
        note_less(lake, leases, subsets)
        applier = _Applier(landing, lake, leases, subsets, on_batch or (lambda _: None))
        if replay is not None:
            applier.replay(replay)
        fetcher = stack.enter_context(Fetcher(settings, lake))
        while True:
            applier.catch_up()
            done, waiting = fetcher.work()
            applier.report.fetched += done
            applier.report.waiting = waiting
            if not done and not applier.retry() and not applier.behind:
                tidy_after(lake, "notifications", _TIDY_FILES)
                return applier.report


class _Applier:
    """Takes landed notifications into the lake, batch by batch."""

    def __init__(
        self,
        landing: Landing,
        lake: Lake,
        leases: Leases,
        subsets: Subsets,
        on_batch: Callable[[ApplyReport], None],
    ) -> None:
        self._subsets = subsets
        self._landing = landing
        self._lake = lake
        self._leases = leases
        self._on_batch = on_batch
        (self.applied_up_to,) = lake.column(queries.APPLIED_UP_TO)
        self.report = ApplyReport(applied_up_to=self.applied_up_to)
        if landing.last_given() < self.applied_up_to or self._is_another_table():
            raise StopRun(
                "The landing table is older than the lake: notifications the lake has applied never landed "
                "in it",
                next_step="Put back the inbox.sqlite (or the database) that belongs to this data folder.",
            )

    @property
    def behind(self) -> bool:
        """Tell whether something has landed that is not applied."""
        # The newest number would not tell: Postgres may have given it to a row that was never stored.
        return bool(self._landing.after(self.applied_up_to, limit=1, max_bytes=0))

    def _is_another_table(self) -> bool:
        """Tell whether the last number applied was given anew, to a notification that was not applied."""
        known = list(self._lake.column(queries.LANDED_AT, [self.applied_up_to]))
        found = [row.received_at for row in self._landing.get([self.applied_up_to])]
        return bool(found) and not (known and math.isclose(*known, *found, rel_tol=0, abs_tol=_SAME_MOMENT))

    def catch_up(self) -> None:
        """Apply all that landed after what is applied."""
        while batch := self._landing.after(self.applied_up_to, limit=_BATCH, max_bytes=_BATCH_BYTES):
            self._apply(batch)

    def replay(self, replay: Replay) -> None:
        """Apply some of what is applied once more."""
        if not replay.everything:
            numbers = replay.numbers or tuple(
                self._lake.column(queries.NOTIFICATIONS_TO_REPLAY, {"type": replay.type})
            )
            self._again(numbers)
            return
        reached = 0
        while batch := self._landing.after(reached, limit=_BATCH, max_bytes=_BATCH_BYTES):
            reached = batch[-1].number
            self._apply([each for each in batch if each.number <= self.applied_up_to], again=True)

    def retry(self) -> bool:
        """Apply what could not be before and can now; tell whether there was any.

        That is what was dead for an unknown grant that is known by now, and what an older version kept for
        want of a table.
        """
        numbers = list(self._lake.column(queries.OF_UNKNOWN_GRANTS, [UNKNOWN_GRANT]))
        numbers += self._lake.column(queries.KEPT_FOR_A_TABLE, [NO_TABLE])
        return bool(numbers) and self._again(numbers)

    def _again(self, numbers: Sequence[int]) -> bool:
        found = self._landing.get(number for number in numbers if number <= self.applied_up_to)
        for start in range(0, len(found), _BATCH):
            self._apply(found[start : start + _BATCH], again=True)
        return bool(found)

    def _apply(self, batch: Sequence[Landed], *, again: bool = False) -> None:
        if not batch:
            return
        grants = {row["id"]: row for row in self._lake.table(queries.KNOWN_GRANTS).to_pylist()}
        scopes = Scopes(self._lake, self._subsets)
        plan = plan_batch(batch, grants, scopes)
        with self._lake.transaction() as transaction:
            self._leases.check(LEASE)
            if again:
                _forget(transaction, batch)
            fetches = list(plan.fetches)
            for grant_id, left in plan.left.items():
                shown = plan.observations.setdefault(MESSAGE, {}).setdefault(grant_id, [])
                # What came and left within this batch, the lake does not hold yet.
                arrived = {each.id for each in shown} & left.keys()
                shown += [Observation(identity, left[identity], gone=True) for identity in arrived]
                shown += departures(transaction, scopes.of(grant_id, grants[grant_id]["provider"]), left)
            for kind, observations in plan.observations.items():
                fresh = store_beside(transaction, kind, observations, time.time())
                # Else nothing would ever tell what their notification left out.
                fetches += [_whole(kind, key) for key in sorted(fresh & plan.partial.get(kind, set()))]
            transaction.append("fetches", fetch_rows(fetches))
            transaction.append("dead_letters", arrow_table("dead_letters", plan.dead))
            transaction.append("notifications", arrow_table("notifications", plan.rows))
        if not again:
            self.applied_up_to = self.report.applied_up_to = batch[-1].number
        self.report.outcomes += plan.outcomes
        for kind, by_grant in plan.observations.items():
            touched = Counter({grant: len(found) for grant, found in by_grant.items()})
            self.report.touched.setdefault(kind, Counter()).update(touched)
        self._on_batch(self.report)


def _whole(kind: str, key: Sequence[str]) -> Fetch:
    """Return the request for all of an object."""
    return Fetch(kind, key[0], key[-1], PARTIAL, folder_id=key[1] if len(key) > 2 else None)


def _forget(transaction: Transaction, batch: Sequence[Landed]) -> None:
    replayed = pa.table({"number": array([each.number for each in batch], pa.int64())})
    transaction.change("notifications", queries.FORGET_NOTIFICATIONS, replayed=replayed)
    transaction.change("dead_letters", queries.FORGET_DEAD_NOTIFICATIONS, replayed=replayed)
