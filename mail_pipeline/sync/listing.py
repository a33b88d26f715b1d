"""One mailbox, listed page by page from where its checkpoint stands to its very first message."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mail_pipeline.errors import MailPipelineError, RetryLater, SkipMailbox
from mail_pipeline.nylas import CursorRejected, GrantClient, MessageQuery, NotFound, Page
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, LISTING, PAUSED, REGISTERED, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.merge import MessageState, Observation
from mail_pipeline.sync.progress import Mailbox
from mail_pipeline.sync.records import Unreadable, read_message, read_messages
from mail_pipeline.sync.rows import MessageRows
from mail_pipeline.sync.seen import SeenIds


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """What an analyst may ask of a backfill."""

    since: datetime | None = None
    """No further back than this; None means to the first message."""
    max_pages: int | None = None
    """Stop each mailbox after so many pages; it goes on from there the next time."""
    full_resync: bool = False
    """List also complete mailboxes again from their top, merging what has changed."""
    page_size: int | None = None
    """Messages per page, 1 to 200; None leaves it to the provider's own rules."""


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a list goes on: the cursor with the parameters it is bound to, and what was passed so far."""

    round: int
    pass_started: int | None
    since: int | None
    cursor: str | None = None
    before: int | None = None
    oldest: int | None = None
    newest: int | None = None
    restart: bool = False
    """The next page is the first of a pass, so the counts of the pass begin anew."""


class Listing:
    """Lists one mailbox under the lease of its grant, storing page by page."""

    def __init__(
        self,
        mailbox: Mailbox,
        checkpoint: Checkpoint,
        *,
        grant: GrantClient,
        committer: Committer,
        seen: SeenIds,
        options: BackfillOptions,
    ) -> None:
        """Take the mailbox, where it stands, and what this process knows of its grant's messages."""
        self.mailbox = mailbox
        self.checkpoint = checkpoint
        self._grant = grant
        self._committer = committer
        self._seen = seen
        self._options = options
        self._resync = options.full_resync
        self._cursors: set[str] = set()
        self._pages_left = options.max_pages
        self._relisted = False
        self._last: Future[Checkpoint] | None = None
        committer.begin(checkpoint)

    @property
    def finished(self) -> bool:
        """Tell whether there is nothing left to list."""
        return self._begin() is None

    def run(self) -> None:
        """List to the end, or as far as the options allow; `checkpoint` then tells how far that was.

        Raises what the API, the lease or the lake raise. Whatever was fetched before is stored.
        """
        while (position := self._begin()) is not None and self._pages_left != 0:
            self._resync = False
            self._list(position)
            self._stored()

    def stop(self, error: MailPipelineError) -> None:
        """Store that the mailbox is paused or failed, and why; what was stored before stays."""
        wait = error.retry_after if isinstance(error, RetryLater) else None
        self._last = None
        self._committer.begin(self.checkpoint)
        self._submit(
            Write(
                self.mailbox.partition_key,
                {
                    "folder_id": self.mailbox.folder_id,
                    "state": PAUSED if isinstance(error, RetryLater) else FAILED,
                    "reason": error.message,
                    "next_step": error.next_step,
                    "until": None if wait is None else int(time.time() + wait),
                },
            )
        )
        self._stored()

    def _begin(self) -> "_Position | None":
        return _next_position(self.checkpoint, self._options, resync=self._resync)

    def _list(self, position: _Position | None) -> None:
        while position is not None and self._pages_left != 0:
            try:
                page = self._fetch(position)
            except CursorRejected as error:
                position = self._without_cursor(position, error)
                continue
            position = self._store(position, page)
            if self._pages_left is not None:
                self._pages_left -= 1

    def _fetch(self, position: _Position) -> Page:
        query = MessageQuery(
            folder_id=self.mailbox.folder_id,
            query_imap=self.mailbox.folder_id is not None,
            received_after=position.since,
            received_before=position.before,
        )
        return self._grant.messages(query, cursor=position.cursor, limit=self._options.page_size)

    def _without_cursor(self, position: _Position, error: CursorRejected) -> _Position:
        """Go on by time where a cursor is not accepted any more: what is listed twice is merged."""
        before = position.before if position.oldest is None else position.oldest + 1
        if before == position.before:
            if position.cursor is None or self._relisted:
                raise SkipMailbox(error.message, next_step=error.next_step) from error
            self._relisted = True
        self._cursors.clear()
        return replace(position, cursor=None, before=before)

    def _store(self, position: _Position, page: Page) -> _Position | None:
        """Hand a page to the committer and return where the list goes on, None at its end."""
        if page.next_cursor is not None and page.next_cursor in {*self._cursors, position.cursor}:
            raise SkipMailbox(
                "The API gave the same cursor twice, so its list would never end",
                next_step="Run the backfill again; if it happens again, with full_resync.",
            )
        folder = self.mailbox.folder_id
        observations, dead = read_messages(page.records, at=page.observed_at, folder=folder)
        fetched, spent = self._missing_bodies(observations)
        rows, repeats = self._sorted_out(observations, fetched)
        dates = [date for each in observations if (date := each.fields.get("date")) is not None]
        position = replace(
            position,
            pass_started=position.pass_started or (page.observed_at if position.before is None else None),
            oldest=min((*dates, *_known(position.oldest))) if dates else position.oldest,
            newest=max((*dates, *_known(position.newest))) if dates else position.newest,
        )
        ended = page.next_cursor is None
        growth = {
            "requests": page.requests + spent["requests"],
            "body_bytes": page.body_bytes + spent["body_bytes"],
            "quota_units": page.quota_units + spent["quota_units"],
        }
        counts = {"pages": 1, "ids_seen": len(page.records)}
        changes = self._changes(position, page.next_cursor)
        if position.restart:
            changes |= counts
        else:
            growth |= counts
        self._submit(
            Write(
                self.mailbox.partition_key,
                changes,
                growth,
                fresh=rows.tables(),
                repeats=repeats,
                dead=dead,
                at=page.observed_at,
                ends_folder_pass=ended and folder is not None,
            )
        )
        if page.next_cursor is None:
            return None
        self._cursors.add(page.next_cursor)
        return replace(position, cursor=page.next_cursor, restart=False)

    def _changes(self, position: _Position, next_cursor: str | None) -> dict[str, Any]:
        now = int(time.time())
        return {
            "folder_id": self.mailbox.folder_id,
            "state": COMPLETE if next_cursor is None else LISTING,
            "round": position.round,
            "cursor": next_cursor,
            "listed_before": None if next_cursor is None else position.before,
            "oldest": position.oldest,
            "newest": position.newest,
            "since": position.since,
            "pass_started": position.pass_started,
            "first_fetch": self.checkpoint.first_fetch or now,
            "last_fetch": now,
            "reason": None,
            "next_step": None,
            "until": None,
        }

    def _missing_bodies(self, observations: list[Observation]) -> tuple[list[Observation], dict[str, int]]:
        """Fetch one by one the messages that the list gave without a body."""
        fetched = []
        spent = {"requests": 0, "body_bytes": 0, "quota_units": 0}
        folder = self.mailbox.folder_id
        for observation in observations:
            if "body" in observation.fields:
                continue
            try:
                page = self._grant.message(observation.id, folder_id=folder, query_imap=folder is not None)
                fetched.append(read_message(page.records[0], at=page.observed_at, folder=folder))
            except (NotFound, Unreadable, UnicodeEncodeError):
                # Gone since, or no better than its line in the list, which is stored as it is.
                continue
            spent["requests"] += page.requests
            spent["body_bytes"] += page.body_bytes
            spent["quota_units"] += page.quota_units
        return fetched, spent

    def _sorted_out(
        self, observations: list[Observation], fetched: list[Observation]
    ) -> tuple[MessageRows, list[Observation]]:
        """Tell messages the lake surely does not hold, as rows, from those it may hold."""
        repeats: list[Observation] = []
        fresh: dict[str, MessageState] = {}
        for observation in (*observations, *fetched):
            if observation.id in fresh:
                fresh[observation.id].observe(observation)
            elif observation.id in self._seen:
                repeats.append(observation)
            else:
                fresh[observation.id] = MessageState.first(observation)
        self._seen.add(fresh)
        rows = MessageRows(self.mailbox.grant_id)
        for state in fresh.values():
            rows.add(state)
        return rows, repeats

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
            self._last.result()


def _known(moment: int | None) -> Iterator[int]:
    if moment is not None:
        yield moment


def has_more(checkpoint: Checkpoint, options: BackfillOptions) -> bool:
    """Tell whether a mailbox that stands there has anything left to list."""
    return _next_position(checkpoint, options, resync=options.full_resync) is not None


def _next_position(known: Checkpoint, options: BackfillOptions, *, resync: bool) -> _Position | None:
    """Return where to list from, or None when there is nothing left to list."""
    since = None if options.since is None else int(options.since.timestamp())
    if resync or known.state == REGISTERED or known.round == 0:
        return _Position(known.round + 1, None, since, restart=True)
    if known.state != COMPLETE:
        return _Position(
            known.round,
            known.pass_started,
            known.since,
            cursor=known.cursor,
            before=known.listed_before,
            oldest=known.oldest,
            newest=known.newest,
            restart=known.pages == 0,
        )
    if known.since is None or (since is not None and since >= known.since):
        return None
    # Backfilled down to `since` before, and asked for more now: only what is older is missing.
    return _Position(
        known.round, None, since, before=known.since + 1, oldest=known.oldest, newest=known.newest
    )
