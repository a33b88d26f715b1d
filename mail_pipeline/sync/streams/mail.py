"""Messages: newest first, by grant or by folder, many."""

from collections.abc import Iterable
from dataclasses import replace

from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.nylas import GrantClient, MalformedPage, MessageQuery, NotFound, Page, Unsupported
from mail_pipeline.sync.checkpoints import MESSAGES
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.position import Position
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.records import DeadLetter, raw, read_messages
from mail_pipeline.sync.storing import MessageStore
from mail_pipeline.sync.streams.stream import Store, Stream
from mail_pipeline.sync.widening import read_steps, steps_text


class MessageStream(Stream):
    """The mail of a grant, or of one folder where that is the only way to old mail."""

    name = MESSAGES
    kind = "message"
    newest_first = True
    appends = True

    def page(self, grant: GrantClient, part: Slice, position: Position, limit: int | None) -> Page:
        """Fetch a page of messages."""
        query = MessageQuery(
            folder_id=part.scope or position.step.folder or part.goal.only,
            query_imap=part.scope is not None,
            select=position.step.select,
            # The API does not say whether its bound is among what it lists.
            received_after=None if position.since is None else position.since - 1,
            received_before=position.before,
        )
        return grant.messages(query, cursor=position.cursor, limit=limit)

    def read(self, page: Page, part: Slice) -> tuple[list[Observation], list[DeadLetter]]:
        """Read messages; a folder's own list tells of that folder only."""
        return read_messages(page.records, at=page.observed_at, folder=part.scope)

    def store(self, transaction: Transaction) -> Store:
        """Return the store of messages."""
        return MessageStore(transaction)

    def complete(
        self,
        grant: GrantClient,
        part: Slice,
        position: Position,
        observations: list[Observation],
        dead: list[DeadLetter],
    ) -> list[Observation]:
        """Fetch one by one the messages that the list gave without a body, where bodies are asked for."""
        asked = position.step.select
        if not grant.shows("message", "body") or (asked and "body" not in asked):
            return []
        bodiless = [each.id for each in observations if "body" not in each.fields]
        fetched, unread = self._each(grant, part, bodiless)
        # Their lines in the list could be read, so they are stored all the same.
        dead += [replace(letter, stored=True) for letter in unread]
        return fetched

    def whole(
        self, grant: GrantClient, part: Slice, identities: Iterable[str], dead: list[DeadLetter]
    ) -> list[Observation]:
        """Fetch messages one by one; one that is gone is left out."""
        fetched, unread = self._each(grant, part, identities)
        dead += unread
        return fetched

    def _each(
        self, grant: GrantClient, part: Slice, identities: Iterable[str]
    ) -> tuple[list[Observation], list[DeadLetter]]:
        fetched: list[Observation] = []
        dead: list[DeadLetter] = []
        for identity in identities:
            try:
                page, folder = find_message(grant, identity, part.scope, imap=part.scope is not None)
            except NotFound:
                # Gone since, or out of reach on this server: its line in the list is what there is.
                continue
            except (Unsupported, MalformedPage) as error:
                # One message the provider chokes on must not keep its mailbox from ever ending.
                dead.append(DeadLetter("message", identity, f"body: {error.message}", raw({"id": identity})))
                continue
            found, unread = read_messages(page.records, at=page.observed_at, folder=folder)
            fetched += found
            dead += unread
        return fetched, dead

    def following(self, part: Slice, position: Position) -> Position | None:
        """Go on with the next step of what is added, if any."""
        steps = read_steps(position.adding)[1:]
        if not steps:
            return None
        return replace(
            position, before=None, oldest=None, newest=None, reached=None, adding=steps_text(steps)
        )

    def dates(self, observations: Iterable[Observation]) -> list[int]:
        """Return the dates of messages."""
        return [date for each in observations if (date := each.fields.get("date")) is not None]


def find_message(
    grant: GrantClient, identity: str, folder: str | None, *, imap: bool
) -> tuple[Page, str | None]:
    """Return the page with a message, and the folder in which it was found where it was asked for in one.

    On IMAP one that is not found is looked for in all folders: it may have moved to one that was listed
    already, or be older than the cache. Raises NotFound.
    """
    try:
        return grant.message(identity, folder_id=folder, query_imap=folder is not None), folder
    except NotFound:
        if not imap:
            raise
        return grant.message(identity, query_imap=True), None


MAIL = MessageStream()
