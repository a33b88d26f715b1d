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
        return self.whole(grant, part, [each.id for each in observations if "body" not in each.fields], dead)

    def whole(
        self, grant: GrantClient, part: Slice, identities: Iterable[str], dead: list[DeadLetter]
    ) -> list[Observation]:
        """Fetch messages one by one; their lines in a list could be read."""
        fetched: list[Observation] = []
        for identity in identities:
            try:
                page = grant.message(identity, folder_id=part.scope, query_imap=part.scope is not None)
            except NotFound:
                # Gone since, or out of reach on this server: its line in the list is what there is.
                continue
            except (Unsupported, MalformedPage) as error:
                # One message the provider chokes on must not keep its mailbox from ever ending.
                known = raw({"id": identity})
                dead.append(DeadLetter("message", identity, f"body: {error.message}", known, stored=True))
                continue
            found, unread = self.read(page, part)
            fetched += found
            # The line in the list could be read, so the message is stored all the same.
            dead += [replace(letter, stored=True) for letter in unread]
        return fetched

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


MAIL = MessageStream()
