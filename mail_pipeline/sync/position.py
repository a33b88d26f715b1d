"""Where a list goes on: the cursor with the parameters it is bound to, and what was passed so far."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mail_pipeline.sync.checkpoints import COMPLETE, LISTING, PAUSED, REGISTERED, SKIPPED, Checkpoint


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
    restart: bool = False
    """The next page is the first of a pass, so the counts of the pass begin anew."""

    def changes(self) -> dict[str, Any]:
        """Return the fields of a checkpoint that stands here."""
        changes = {
            "round": self.round,
            "cursor": self.cursor,
            "listed_before": self.before,
            "oldest": self.oldest,
            "newest": self.newest,
            "since": self.since,
            "pass_started": self.pass_started,
        }
        return changes | ({"pages": 0, "ids_seen": 0} if self.restart else {})


def has_more(checkpoint: Checkpoint, options: BackfillOptions) -> bool:
    """Tell whether a slice that stands there has anything left to list."""
    return next_position(checkpoint, options, resync=options.full_resync) is not None


def next_position(
    known: Checkpoint, options: BackfillOptions, *, resync: bool, by_time: bool = True
) -> Position | None:
    """Return where to list from, or None when there is nothing left to list.

    `by_time`: the list comes newest first, so what lies before its oldest record can be listed alone.
    """
    since = None if options.since is None else int(options.since.timestamp())
    begun = known.state in (LISTING, PAUSED)
    if known.state == REGISTERED or known.round == 0 or (resync and not begun):
        return Position(known.round + 1, None, since, restart=True)
    if known.state == SKIPPED:
        return None
    if known.state != COMPLETE:
        position = Position(
            known.round,
            known.pass_started,
            known.since,
            cursor=known.cursor,
            before=known.listed_before,
            oldest=known.oldest,
            newest=known.newest,
            restart=known.pages == 0,
        )
        if since is None or (known.since is not None and since <= known.since):
            return position
        # Less is asked for than when the list was begun: a cursor belongs to its list's bounds.
        before = position.before if known.oldest is None or not by_time else known.oldest + 1
        return replace(position, since=since, cursor=None, before=before)
    if known.since is None or (since is not None and since >= known.since):
        return None
    # Backfilled down to `since` before, and asked for more now: only what is older is missing.
    return Position(
        known.round, None, since, before=known.since + 1, oldest=known.oldest, newest=known.newest
    )
