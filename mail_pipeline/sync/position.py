"""Where a list goes on: the cursor with the parameters it is bound to, and what was passed so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mail_pipeline.subset import Subset
from mail_pipeline.sync.checkpoints import COMPLETE, LISTING, PAUSED, REGISTERED, SKIPPED, Checkpoint
from mail_pipeline.sync.widening import Goal, Step, read_steps, steps_text

WHOLE = Goal(Subset())
"""All there is."""


def oldest_second(moment: datetime | None) -> int | None:
    """Return how far to look back in unix seconds; None, for all there is, also from 1970 on back."""
    seconds = 0 if moment is None else int(moment.timestamp())
    return seconds if seconds > 0 else None


def surely_reached(dates: Sequence[int]) -> int:
    """Return how far back a page has got that comes newest first, whatever a few of its dates may say.

    A tenth of it may be dated too early, and is listed twice where the list goes on from there. There is one
    date at least.
    """
    return sorted(dates)[len(dates) // 10]


_NOWHERE: dict[str, Any] = {
    **dict.fromkeys(("cursor", "listed_before", "reached", "adding")),
    **dict.fromkeys(("reason", "next_step", "until")),
}
"""The fields of a checkpoint that say how far a list in progress has got, and what stopped it."""


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """What an analyst may ask of a backfill."""

    since: datetime | None = None
    """No further back than this; None means to the first message."""
    max_pages: int | None = None
    """Stop each mailbox after so many pages; it goes on from there the next time."""
    full_resync: bool = False
    """List also complete and failed mailboxes from their top, merging what has changed.

    A pass that was begun already is gone on with, so an interrupted one can be run again as it was.
    """
    page_size: int | None = None
    """Records per page, 1 to 200; None leaves it to the provider's own rules."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list; times are unix seconds."""

    round: int
    pass_started: int | None
    since: int | None
    cursor: str | None = None
    before: int | None = None
    """Upper bound of what is listed; a cursor belongs to it."""
    oldest: int | None = None
    newest: int | None = None
    reached: int | None = None
    """Date from which a list that comes newest first goes on without its cursor."""
    restart: bool = False
    """The next page is the first of a pass, so the counts of the pass begin anew."""
    subset: str | None = None
    """What is left out of all that is listed so far."""
    adding: str | None = None
    """The steps that add to it, the one in progress first."""
    goal: str | None = None
    """What is left out once the list is at its end."""

    @property
    def step(self) -> Step:
        """Return what is listed now."""
        return next(iter(read_steps(self.adding)), Step())

    def changes(self) -> dict[str, Any]:
        """Return the fields of a checkpoint that stands here."""
        changes = {
            "round": self.round,
            "cursor": self.cursor,
            "listed_before": self.before,
            "oldest": self.oldest,
            "newest": self.newest,
            "reached": self.reached,
            "since": self.since,
            "pass_started": self.pass_started,
            "subset": self.subset,
            "adding": self.adding,
        }
        return changes | ({"pages": 0, "ids_seen": 0} if self.restart else {})


def narrower(
    checkpoint: Checkpoint, goal: Goal, *, by_time: bool = True, removed: bool = False
) -> Checkpoint:
    """Return the checkpoint of a slice as it stands once less is wanted of it.

    What came since lacks what is no longer wanted, and all of it does where that was `removed` from the
    tables: should it be wanted again, it has to be fetched. A list in progress goes on for less, or begins
    anew where some of what it has brought is removed.
    """
    if not was_listed(checkpoint):
        return checkpoint
    since = max((at for at in (checkpoint.since, goal.since) if at is not None), default=None)
    less = replace(checkpoint, subset=goal.lacking(checkpoint.subset), since=since)
    if less == checkpoint or checkpoint.state == COMPLETE:
        return less
    if checkpoint.adding is not None:
        # It was at its end before more was wanted, and what is to be added may be something else now.
        return replace(less, state=COMPLETE, **_NOWHERE)
    if removed:
        return from_its_top(checkpoint)
    # A cursor belongs to what was asked for: the rest is listed by time.
    before = checkpoint.listed_before if not by_time else _reached_before(checkpoint)
    return replace(less, cursor=None, listed_before=before)


def was_listed(checkpoint: Checkpoint) -> bool:
    """Tell whether a pass over a slice was begun that counts: it need not begin at its top anyway."""
    return checkpoint.round > 0 and checkpoint.state not in (REGISTERED, SKIPPED)


def from_its_top(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint of a slice that has to be listed from its top, whatever it has listed."""
    return replace(checkpoint, state=REGISTERED, subscribed=False, **_NOWHERE)


def _reached_before(checkpoint: Checkpoint) -> int | None:
    reached = checkpoint.oldest if checkpoint.reached is None else checkpoint.reached
    return checkpoint.listed_before if reached is None else reached + 1


def has_more(checkpoint: Checkpoint, options: BackfillOptions, goal: Goal = WHOLE) -> bool:
    """Tell whether a slice that stands there has anything left to list."""
    return next_position(checkpoint, options, resync=options.full_resync, goal=goal) is not None


def next_position(
    known: Checkpoint, options: BackfillOptions, *, resync: bool, by_time: bool = True, goal: Goal = WHOLE
) -> Position | None:
    """Return where to list from, or None when there is nothing left to list.

    `by_time`: the list comes newest first, so what lies before its oldest record can be listed alone. `goal`
    is what is wanted: where it is more than the slice was listed for, what is missing is listed.
    """
    if known.since is not None and known.since <= 0:
        # Earlier versions took that as a bound, and no API does.
        known = replace(known, since=None)
    asked = oldest_second(options.since)
    since = max((each for each in (asked, goal.since) if each is not None), default=None)
    begun = known.state in (LISTING, PAUSED)
    wanted = goal.described
    whole = Position(known.round + 1, None, since, restart=True, subset=wanted, goal=wanted)
    if known.state == REGISTERED or known.round == 0 or (resync and not begun):
        return whole
    if known.state == SKIPPED:
        return None
    missing = goal.missing(known.subset)
    if missing.everything or (missing and known.state != COMPLETE and known.adding is None):
        # A pass that has begun has listed less than is wanted now.
        return whole
    steps = read_steps(known.adding)
    if missing.steps and (not steps or steps != missing.steps[-len(steps) :]):
        return replace(whole, since=known.since, subset=known.subset, adding=steps_text(missing.steps))
    if known.state != COMPLETE:
        return _gone_on(known, since, by_time, wanted)
    if known.since is None or (since is not None and since >= known.since):
        return None
    # Backfilled down to `since` before, and asked for more now: only what is older is missing.
    return Position(
        known.round,
        None,
        since,
        before=known.since + 1,
        oldest=known.oldest,
        newest=known.newest,
        subset=wanted,
        goal=wanted,
    )


def _gone_on(known: Checkpoint, since: int | None, by_time: bool, wanted: str | None) -> Position:
    """Return where a pass that has begun goes on."""
    position = Position(
        known.round,
        known.pass_started,
        known.since,
        cursor=known.cursor,
        before=known.listed_before,
        oldest=known.oldest,
        newest=known.newest,
        reached=known.oldest if known.reached is None else known.reached,
        restart=known.pages == 0,
        subset=known.subset,
        adding=known.adding,
        goal=wanted,
    )
    before = position.before if position.reached is None or not by_time else position.reached + 1
    if known.adding is None and known.subset != wanted:
        # Less is wanted than when it was begun.
        position = replace(position, cursor=None, before=before, subset=wanted)
    if known.adding is not None or since is None or (known.since is not None and since <= known.since):
        return position
    # Less is asked for than when the list was begun: a cursor belongs to its list's bounds.
    return replace(position, since=since, cursor=None, before=before)
