"""One mailbox, listed page by page from where its checkpoint stands to its very first message."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mail_pipeline.errors import MailPipelineError, RetryLater, SkipMailbox
from mail_pipeline.nylas import (
    CursorRejected,
    GrantClient,
    MalformedPage,
    MessageQuery,
    NotFound,
    Page,
    Unsupported,
)
from mail_pipeline.sync.checkpoints import COMPLETE, FAILED, LISTING, PAUSED, REGISTERED, Checkpoint
from mail_pipeline.sync.committer import Committer, Write
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.progress import Mailbox
from mail_pipeline.sync.records import DeadLetter, raw, read_messages
from mail_pipeline.sync.seen import SeenIds


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
        covered: bool = False,
    ) -> None:
        """Take the mailbox, where it stands, and what this process knows of its grant's messages.

        `covered` tells whether notifications of changes arrive already.
        """
        self.mailbox = mailbox
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
            self._list(position)
            self._stored()
            self._resync = False

    def stop(self, error: MailPipelineError) -> None:
        """Store that the mailbox is paused or failed, and why; what was stored before stays."""
        self.settle()
        self._committer.begin(self.checkpoint)
        wait = error.retry_after if isinstance(error, RetryLater) else None
        position = self._begin()
        self._submit(
            Write(
                self.mailbox.partition_key,
                {
                    "folder_id": self.mailbox.folder_id,
                    **(position.changes() if position is not None else {}),
                    "state": PAUSED if isinstance(error, RetryLater) else FAILED,
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
            # The API does not say whether its bound is among what it lists.
            received_after=None if position.since is None else position.since - 1,
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
        fetched = self._missing_bodies(observations, dead)
        fresh, repeats = self._sorted_out(observations, fetched)
        dates = [date for each in observations if (date := each.fields.get("date")) is not None]
        position = replace(
            position,
            pass_started=position.pass_started or (page.observed_at if position.before is None else None),
            oldest=min((*dates, *_known(position.oldest))) if dates else position.oldest,
            newest=max((*dates, *_known(position.newest))) if dates else position.newest,
        )
        ended = page.next_cursor is None
        growth = self._spent()
        counts = {"pages": 1, "ids_seen": len(page.records)}
        changes = self._changes(position, page.next_cursor)
        if position.restart:
            changes |= {**counts, "subscribed": self._covered}
        else:
            growth |= counts
        self._submit(
            Write(
                self.mailbox.partition_key,
                changes,
                growth,
                fresh=fresh,
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
            **position.changes(),
            "state": COMPLETE if next_cursor is None else LISTING,
            "cursor": next_cursor,
            "listed_before": None if next_cursor is None else position.before,
            "first_fetch": self.checkpoint.first_fetch or now,
            "last_fetch": now,
            "reason": None,
            "next_step": None,
            "until": None,
        }

    def _missing_bodies(self, observations: list[Observation], dead: list[DeadLetter]) -> list[Observation]:
        """Fetch one by one the messages that the list gave without a body."""
        fetched: list[Observation] = []
        folder = self.mailbox.folder_id
        for observation in observations:
            if "body" in observation.fields:
                continue
            try:
                page = self._grant.message(observation.id, folder_id=folder, query_imap=folder is not None)
            except NotFound:
                # Gone since, or out of reach on this server: its line in the list is what there is.
                continue
            except (Unsupported, MalformedPage) as error:
                # One message the provider chokes on must not keep its mailbox from ever ending.
                known = raw({"id": observation.id})
                dead.append(
                    DeadLetter("message", observation.id, f"body: {error.message}", known, stored=True)
                )
                continue
            found, unread = read_messages(page.records, at=page.observed_at, folder=folder)
            fetched += found
            # The line in the list could be read, so the message is stored all the same.
            dead += [replace(letter, stored=True) for letter in unread]
        return fetched

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
        """Tell observations of messages that no page has shown before from those of others."""
        fresh: list[Observation] = []
        repeats: list[Observation] = []
        ids: set[str] = set()
        for observation in (*observations, *fetched):
            if observation.id not in ids and observation.id in self._seen:
                repeats.append(observation)
            else:
                ids.add(observation.id)
                fresh.append(observation)
        self._seen.add(ids)
        return fresh, repeats

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


def _known(moment: int | None) -> Iterator[int]:
    if moment is not None:
        yield moment


def has_more(checkpoint: Checkpoint, options: BackfillOptions) -> bool:
    """Tell whether a mailbox that stands there has anything left to list."""
    return _next_position(checkpoint, options, resync=options.full_resync) is not None


def _next_position(known: Checkpoint, options: BackfillOptions, *, resync: bool) -> _Position | None:
    """Return where to list from, or None when there is nothing left to list."""
    since = None if options.since is None else int(options.since.timestamp())
    begun = known.state in (LISTING, PAUSED)
    if known.state == REGISTERED or known.round == 0 or (resync and not begun):
        return _Position(known.round + 1, None, since, restart=True)
    if known.state != COMPLETE:
        position = _Position(
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
        before = position.before if known.oldest is None else known.oldest + 1
        return replace(position, since=since, cursor=None, before=before)
    if known.since is None or (since is not None and since >= known.since):
        return None
    # Backfilled down to `since` before, and asked for more now: only what is older is missing.
    return _Position(
        known.round, None, since, before=known.since + 1, oldest=known.oldest, newest=known.newest
    )
