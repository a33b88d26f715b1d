"""One slice of a stream, listed page by page from where its checkpoint stands to its end."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from mail_pipeline.errors import MailPipelineError, RetryLater, SkipMailbox
from mail_pipeline.nylas import CursorRejected, GrantClient, Page, Unsupported
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, LISTING, PAUSED, SKIPPED, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.plan import Plan
from mail_pipeline.sync.position import BackfillOptions, Position, next_position, surely_reached
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.seen import SeenIds
from mail_pipeline.sync.streams.mail import MAIL
from mail_pipeline.sync.streams.stream import Stream


class Listing:
    """Lists one slice under the lease of its grant, storing page by page."""

    def __init__(
        self,
        part: Slice,
        checkpoint: Checkpoint,
        *,
        grant: GrantClient,
        committer: Committer,
        seen: SeenIds,
        options: BackfillOptions,
        covered: bool = False,
        stream: Stream = MAIL,
    ) -> None:
        """Take the slice, where it stands, and what this process knows of its grant's messages.

        `covered` tells whether notifications of changes arrive already.
        """
        self.part = part
        self._stream = stream
        self.checkpoint = checkpoint
        self._grant = grant
        self._committer = committer
        self._seen = seen
        self._options = options
        self._covered = covered
        self._resync = options.full_resync
        self._cursors: set[str] = set()
        self._pages_left = options.max_pages
        self._relisted = False
        self._last: Future[Checkpoint] | None = None
        self._counted = self._counts()
        committer.begin(checkpoint, stream)

    @property
    def name(self) -> str:
        """Return what the log calls it: a key may hold an address, which a calendar's id often is."""
        return f"{self._stream.name} of grant {self.part.grant_id}"

    @property
    def finished(self) -> bool:
        """Tell whether there is nothing left to list."""
        return self._begin() is None

    def run(self) -> None:
        """List to the end, or as far as the options allow; `checkpoint` then tells how far that was.

        Raises what the API, the lease or the lake raise. Whatever was fetched before is stored.
        """
        while (position := self._begin()) is not None and self._pages_left != 0:
            self._list(position)
            self._stored()
            self._resync = False

    def stop(self, error: MailPipelineError) -> None:
        """Store that the slice is paused, failed or skipped, and why; what was stored before stays."""
        self.settle()
        state = PAUSED if isinstance(error, RetryLater) else FAILED
        position = self._begin()
        # What has shown something is there, and not yet listed to its end.
        shown = position is not None and not position.restart
        if not shown and self._stream.not_offered(self._grant, self.part, error):
            state = SKIPPED
        self._committer.begin(self.checkpoint, self._stream)
        wait = error.retry_after if isinstance(error, RetryLater) else None
        self._submit(
            Write(
                self.part.partition_key,
                {
                    "scope": self.part.scope,
                    **(position.changes() if position is not None else {}),
                    "state": state,
                    "reason": error.message,
                    "next_step": error.next_step,
                    "until": None if wait is None else int(time.time() + wait),
                },
                self._spent(),
            )
        )
        self._stored()

    def settle(self) -> None:
        """Wait until nothing fetched is on its way to the lake any more, be it stored or refused."""
        if self._last is not None and self._last.exception() is None:
            self._stored()
        self._last = None

    def _begin(self) -> Position | None:
        position = next_position(
            self.checkpoint,
            self._options,
            resync=self._resync,
            by_time=self._stream.newest_first,
            goal=self.part.goal,
        )
        return None if position is None else self._stream.begin(position)

    def _list(self, position: Position | None) -> None:
        while position is not None and self._pages_left != 0:
            try:
                page = self._stream.page(self._grant, self.part, position, self._options.page_size)
            except (CursorRejected, Unsupported) as error:
                # Nobody says how each provider refuses a cursor; without one the answer means what it says.
                if position.cursor is None and isinstance(error, Unsupported):
                    raise
                position = self._without_cursor(position, error)
                continue
            position = self._store(position, page)
            if self._pages_left is not None:
                self._pages_left -= 1

    def _without_cursor(self, position: Position, error: MailPipelineError) -> Position:
        """Go on by time where a cursor is not accepted any more: what is listed twice is merged."""
        before = position.before
        if self._stream.newest_first and position.reached is not None:
            before = position.reached + 1
        if before == position.before:
            if position.cursor is None or self._relisted:
                raise SkipMailbox(error.message, next_step=error.next_step) from error
            self._relisted = True
        self._cursors.clear()
        return replace(position, cursor=None, before=before)

    def _store(self, position: Position, page: Page) -> Position | None:
        """Hand a page to the committer and return where the list goes on, None at its end."""
        if page.next_cursor is not None and page.next_cursor in {*self._cursors, position.cursor}:
            raise SkipMailbox(
                "The API gave the same cursor twice, so its list would never end",
                next_step="Run the backfill again; if it happens again, with full_resync.",
            )
        observations, dead = self._stream.read(page, self.part)
        fetched = self._stream.complete(self._grant, self.part, position, observations, dead)
        fresh, repeats = self._sorted_out(observations, fetched)
        if position.step.fields:
            # Come since the mailbox was listed; the list in progress tells only a part of them.
            fresh = self._stream.whole(self._grant, self.part, [each.id for each in fresh], dead)
        self._seen.add(each.id for each in fresh)
        dates = self._stream.dates(observations)
        position = replace(
            position,
            pass_started=position.pass_started or (page.observed_at if position.restart else None),
            oldest=min((*dates, *_known(position.oldest))) if dates else position.oldest,
            newest=max((*dates, *_known(position.newest))) if dates else position.newest,
            reached=surely_reached(dates) if dates else position.reached,
        )
        following = self._following(position, page.next_cursor)
        growth = self._spent()
        counts = {"pages": 1, "ids_seen": len(page.records)}
        changes = self._changes(position, following)
        if position.restart:
            changes |= {**counts, "subscribed": self._subscribed(position), **_planned(self.part.planned)}
        else:
            growth |= counts
        self._submit(
            Write(
                self.part.partition_key,
                changes,
                growth,
                fresh=fresh,
                repeats=repeats,
                dead=dead,
                at=page.observed_at,
                ends_pass=following is None,
            )
        )
        return following

    def _following(self, position: Position, next_cursor: str | None) -> Position | None:
        """Return where the list goes on after a page, None at its end."""
        if next_cursor is not None:
            self._cursors.add(next_cursor)
            return replace(position, cursor=next_cursor, restart=False)
        self._cursors.clear()
        following = self._stream.following(self.part, position)
        return None if following is None else replace(following, cursor=None, restart=False)

    def _changes(self, position: Position, following: Position | None) -> dict[str, Any]:
        now = int(time.time())
        return {
            "scope": self.part.scope,
            **position.changes(),
            "state": COMPLETE if following is None else LISTING,
            "cursor": None if following is None else following.cursor,
            "listed_before": None if following is None else following.before,
            "oldest": position.oldest if following is None else following.oldest,
            "reached": None if following is None else following.reached,
            "subset": position.goal if following is None else following.subset,
            "adding": None if following is None else following.adding,
            "first_fetch": self.checkpoint.first_fetch or now,
            "last_fetch": now,
            "reason": None,
            "next_step": None,
            "until": None,
        }

    def _subscribed(self, position: Position) -> bool:
        """Tell whether nothing fell between what is listed and the first notification."""
        if position.round == 1:
            return self._covered
        # A later pass over mail does not show what was deleted before notifications arrived.
        return self.checkpoint.subscribed or (self._covered and not self._stream.appends)

    def _spent(self) -> dict[str, int]:
        """Return what the requests since the last call have cost, those that brought nothing too."""
        before, self._counted = self._counted, self._counts()
        return {name: count - before[name] for name, count in self._counted.items()}

    def _counts(self) -> dict[str, int]:
        pace = self._grant.pace
        return {
            "requests": pace.requests,
            "body_bytes": pace.body_bytes,
            "quota_units": pace.quota_units,
        }

    def _sorted_out(
        self, observations: list[Observation], fetched: list[Observation]
    ) -> tuple[list[Observation], list[Observation]]:
        """Tell observations of objects that no page has shown before from those of others."""
        shown = [*observations, *fetched]
        if not self._stream.appends:
            return [], shown
        seen = self._seen.among([each.id for each in shown])
        fresh = [each for each in shown if each.id not in seen]
        return fresh, [each for each in shown if each.id in seen]

    def _submit(self, write: Write) -> None:
        if self._last is not None and self._last.done():
            self._last.result()
        self._last = self._committer.submit(write)
        self._last.add_done_callback(self._take_in)

    def _take_in(self, done: Future[Checkpoint]) -> None:
        if done.exception() is None:
            self.checkpoint = done.result()

    def _stored(self) -> None:
        """Wait until everything submitted is stored."""
        if self._last is not None:
            # A future wakes who waits for it before it calls back.
            self.checkpoint = self._last.result()


def _planned(plan: Plan | None) -> dict[str, int | None]:
    return {
        "planned_messages": None if plan is None else plan.messages,
        "planned_pages": None if plan is None else plan.pages,
        "planned_units": None if plan is None else plan.quota_units,
        "planned_seconds": None if plan is None else plan.seconds,
    }


def _known(moment: int | None) -> Iterator[int]:
    if moment is not None:
        yield moment
