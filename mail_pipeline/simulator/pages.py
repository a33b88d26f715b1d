"""Pages of messages: newest first, by number, within what the provider shows."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from mail_pipeline.simulator.cursors import Position
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.pager import Whim
from mail_pipeline.simulator.queries import MessageQuery, selected

SCAN = 4_096
"""How many messages a folder's page looks at; a sparse folder of a huge mailbox gives short pages instead."""
_BASIC_HEADERS = frozenset({"message-id", "in-reply-to", "references"})


@dataclass(frozen=True)
class Page:
    """Some message numbers, newest first, and where the list goes on (None at its end)."""

    numbers: list[int]
    next: Position | None


@dataclass(frozen=True)
class View:
    """What a query sees of a mailbox: the numbers from `low` up to, not including, `high`."""

    mailbox: LiveMailbox
    query: MessageQuery
    low: int
    high: int

    @classmethod
    def of(cls, mailbox: LiveMailbox, query: MessageQuery, cache_start: int) -> "View":
        """Apply the time window, and the cache's where the IMAP family is asked without query_imap."""
        low = 0 if query.first is None else mailbox.count_before(query.first)
        high = len(mailbox) if query.end is None else mailbox.count_before(query.end)
        if mailbox.grant.provider in IMAP_FAMILY and not query.query_imap:
            low = max(low, mailbox.count_before(cache_start))
        return cls(mailbox, query, low, high)

    def holds(self, number: int) -> bool:
        """Return whether the query shows this message."""
        wanted = self.query.folder_id
        if not self.low <= number < self.high:
            return False
        if self.query.search is not None:
            subject = self.mailbox.message(number).get("subject")
            if self.query.search not in str(subject).lower():
                return False
        if wanted is None:
            # A live pass over all folders cannot show what is in none.
            return not self.query.query_imap or bool(self.mailbox.folders_of(number))
        return wanted in self.mailbox.folders_of(number)

    def page(
        self, position: Position | None, limit: int, *, irregular: float, seed: int, binding: str
    ) -> Page:
        """Return the page from a position on.

        A share of `irregular` pages is short, empty with a cursor, or followed by an empty last one: the same
        ones for the same seed.
        """
        start = self.high - 1
        if position is not None:
            start = min(self.mailbox.number(position.next), start)
        first = self.mailbox.serial(start)
        whim = Whim.of(seed, binding, first, irregular)
        if whim.empties(position) and start >= self.low:
            return Page([], Position(first, after_empty_page=True))
        limit = whim.limit(limit)
        numbers: list[int] = []
        stop = self.low - 1
        if self.query.folder_id is not None:
            stop = max(stop, start - SCAN)
        number = start
        while number > stop and len(numbers) < limit:
            if self.holds(number):
                numbers.append(number)
            number -= 1
        ended = number < self.low and not (whim.lingers and numbers)
        return Page(numbers, None if ended else Position(self.mailbox.serial(number)))

    def before(self, position: Position | None, count: int) -> list[int]:
        """Return the last numbers of the page before a position: what a provider repeats at a page's edge."""
        if position is None:
            return []
        newer = (n for n in range(self.mailbox.number(position.next) + 1, self.high) if self.holds(n))
        return list(_take(newer, count))[::-1]

    def record(self, number: int) -> dict[str, Any]:
        """Return the message as this query shows it."""
        record = self.mailbox.message(number)
        if self.query.query_imap and self.query.folder_id is not None:
            record["folders"] = [self.query.folder_id]
        fields = self.query.fields
        if fields == "include_headers":
            record["headers"] = self.mailbox.headers(number)
        elif fields == "include_basic_headers":
            record["headers"] = [
                h for h in self.mailbox.headers(number) if h["name"].lower() in _BASIC_HEADERS
            ]
        elif fields == "include_tracking_options":
            record["tracking_options"] = {
                "opens": True,
                "links": False,
                "thread_replies": False,
                "label": "none",
            }
        elif fields == "raw_mime":
            record = {key: record[key] for key in ("grant_id", "id", "object")} | {
                "raw_mime": raw_mime(record)
            }
        return selected([record], self.query.select)[0]


def raw_mime(record: dict[str, Any]) -> str:
    """Return a message's main headers and body as base64url-encoded MIME."""
    mail = EmailMessage()
    mail["Date"] = format_datetime(datetime.fromtimestamp(record["date"], UTC))
    mail["Subject"] = " ".join(record.get("subject", "").split())[:200]
    for name in ("from", "to"):
        mail[name.capitalize()] = ", ".join(person["email"] for person in record.get(name) or [])
    mail.set_content(record.get("body", ""), subtype="html")
    return base64.urlsafe_b64encode(mail.as_bytes()).decode()


def _take(numbers: Iterator[int], count: int) -> Iterator[int]:
    for _, number in zip(range(count), numbers, strict=False):
        yield number
