"""What a grant has: folders, messages, the bytes of attachments, and records of other kinds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

from mail_pipeline.nylas.calls import Caller, Request
from mail_pipeline.nylas.errors import MalformedPage, NotFound
from mail_pipeline.nylas.native_search import refused_beside_search
from mail_pipeline.nylas.pacing import Limits, Pace
from mail_pipeline.nylas.page_size import PageSize
from mail_pipeline.nylas.pages import Download, Page
from mail_pipeline.nylas.quota import ATTACHMENT_UNITS
from mail_pipeline.nylas.redaction import shown_grant
from mail_pipeline.nylas.transport import Answer, Transport, encoded
from mail_pipeline.nylas.view import EVERYTHING, View

_PAGES = frozenset({"text/html", "application/json"})
"""What a gateway says its own page is; a file comes as application/octet-stream."""


@dataclass(frozen=True)
class MessageQuery:
    """Which messages of a mailbox to list, newest first. Times are unix seconds (reference: 3.1).

    A cursor belongs to the query that brought it: go on with the very same one.
    """

    folder_id: str | None = None
    query_imap: bool = False
    """Ask the IMAP server itself, not Nylas' 90-day cache; needs `folder_id`."""
    received_after: int | None = None
    received_before: int | None = None
    select: tuple[str, ...] = ()
    """Top-level fields to fetch; empty: all."""
    search_query_native: str | None = None
    """A search in the provider's own language; not every provider takes every bound beside it."""

    def __post_init__(self) -> None:
        """Refuse what the API would answer with 400, or worse, with more than was asked for."""
        if self.folder_id == "":
            raise ValueError("folder_id is empty: the API would list the whole mailbox; use None for that")
        if self.query_imap and self.folder_id is None:
            raise ValueError("query_imap lists one folder: give its folder_id")
        if self.search_query_native == "":
            raise ValueError("search_query_native is empty: use None to list without a search")

    def check(self, provider: str) -> None:
        """Raise ValueError naming what this provider does not take beside a search (reference: 3.1)."""
        refused = refused_beside_search(provider, self.parameters()) if self.search_query_native else ()
        if refused:
            raise ValueError(f"{provider} takes no {' and no '.join(refused)} beside search_query_native")

    def parameters(self) -> dict[str, str | int]:
        """Return the query's URL parameters, not yet encoded."""
        asked = {
            "in": self.folder_id,
            "query_imap": "true" if self.query_imap else None,
            "received_after": self.received_after,
            "received_before": self.received_before,
            "select": ",".join(self.select) or None,
            "search_query_native": self.search_query_native,
        }
        return {name: value for name, value in asked.items() if value is not None}


class GrantClient:
    """One grant's mailbox, read at the pace its provider allows; made by `NylasClient.grant`.

    Thread-safe. Every method may raise the errors of `nylas.errors`, and Cancelled.
    """

    def __init__(
        self,
        grant_id: str,
        provider: str,
        *,
        transport: Transport,
        caller: Caller,
        pace: Pace,
        page_size: PageSize,
        limits: Limits,
        view: View = EVERYTHING,
    ) -> None:
        """Take over `transport`; `pace` and `page_size` are the grant's own and outlive this client."""
        self.pace = pace
        self._provider = provider
        self._view = view
        self._path = f"/v3/grants/{encoded(grant_id)}"
        self._shown_path = f"/v3/grants/{shown_grant(grant_id)}"
        self._transport = transport
        self._caller = caller
        self._page_size = page_size
        self._limits = limits

    def shows(self, kind: str, field: str) -> bool:
        """Tell whether a field of a kind of object is asked for and let out at all."""
        select = self._view.select(kind)
        return not select or field in select

    def folders(self) -> Iterator[Page]:
        """Yield the pages of all folders or labels; the API's own default ends after 50."""
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            page = self._list("/folders", {}, cursor, None)
            yield page
            if page.next_cursor is None:
                return
            if page.next_cursor in cursors:
                text = f"GET {self._shown_path}/folders gave the same cursor twice and would not end"
                raise MalformedPage(text, next_step="Refresh the folders again later.")
            cursor = page.next_cursor
            cursors.add(cursor)

    def messages(
        self, query: MessageQuery = MessageQuery(), *, cursor: str | None = None, limit: int | None = None
    ) -> Page:
        """Return one page of messages, from the start or from where `cursor` says.

        `limit` may only make pages smaller than the provider allows; they also shrink by themselves
        to suit a quota or a slow provider. Raises CursorRejected if the cursor is not accepted, and
        ValueError for a query that the provider would refuse.
        """
        query = self._view.query(query)
        query.check(self._provider)
        page = self._list("/messages", query.parameters(), cursor, limit, lists_messages=True)
        return self._view.page("message", page, self, listed_in=query.folder_id if query.query_imap else None)

    def message(self, message_id: str, *, folder_id: str | None = None, query_imap: bool = False) -> Page:
        """Return one message as a page of one record. Raises NotFound if it is not there.

        On IMAP a message that exists may not be found either (reference: nylas-api 3.5).
        `query_imap` asks the IMAP server itself, in `folder_id`.
        """
        if not message_id:
            text = f"GET {self._shown_path}/messages/<message> needs a message id, and it is empty"
            raise NotFound(text, next_step="A message without id cannot be fetched: leave it out.")
        asked: dict[str, str | int] = {"in": folder_id} if folder_id else {}
        if query_imap:
            asked["query_imap"] = "true"
        if select := self._view.select("message"):
            asked["select"] = ",".join(select)
        request = Request(
            path=f"{self._path}/messages/{encoded(message_id)}",
            shown_path=f"{self._shown_path}/messages/<message>",
            parameters=asked,
            shape="object",
            cost=self.pace.cost(1),
            interval=self._limits.item_interval,
        )
        listed_in = folder_id if query_imap else None
        return self._view.page("message", self._caller.fetch(lambda: request), self, listed_in=listed_in)

    def download(
        self,
        attachment_id: str,
        message_id: str,
        target: BinaryIO,
        *,
        most: int,
        query_imap: bool = False,
        size: int | None = None,
        media_type: str = "",
    ) -> Download:
        """Write an attachment's bytes to `target`, a file that may be emptied and written again.

        `size` and `media_type` are what its message says of it, lower case and without parameters: by them a
        file is told from an error page. Raises NotFound where no attachment of this message has the id now
        (ids may change: reference nylas-api 5.5), TooLarge beyond `most` bytes, and the OSError of a `target`
        that cannot be written; what it holds then is of no use.
        """
        request = Request(
            path=f"{self._path}/attachments/{encoded(attachment_id)}/download",
            shown_path=f"{self._shown_path}/attachments/<attachment>/download",
            parameters={"message_id": message_id} | ({"query_imap": "true"} if query_imap else {}),
            shape="nothing",
            cost=ATTACHMENT_UNITS if self.pace.counts_units else 0,
            interval=self._limits.item_interval,
        )

        def looks_like(answer: Answer) -> bool:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return (kind not in _PAGES or kind == media_type) and bool(answer.size or not size)

        return self._caller.download(request, target, most=most, looks_like=looks_like)

    def records(
        self,
        what: str,
        parameters: Mapping[str, str | int],
        *,
        cursor: str | None = None,
        limit: int | None = None,
        largest: int,
        mail: bool = False,
    ) -> Page:
        """Return one page of the grant's list `what`, such as "events", at most `largest` records.

        `mail`: it spends from the mailbox's quota, as threads do; calendars and contacts have quotas of their
        own. Raises CursorRejected if the cursor is not accepted.
        """
        kind = _kind(what)
        asked = self._selecting(kind, parameters)
        page = self._list(f"/{what}", asked, cursor, limit, largest=largest, mail=mail)
        return self._view.page(kind, page, self)

    def record(self, what: str, identity: str, parameters: Mapping[str, str | int] | None = None) -> Page:
        """Return one record of the list `what` as a page. Raises NotFound if it is not there."""
        if not identity:
            text = f"GET {self._shown_path}/{what}/<id> needs an id, and it is empty"
            raise NotFound(text, next_step="A record without id cannot be fetched: leave it out.")
        request = Request(
            path=f"{self._path}/{what}/{encoded(identity)}",
            shown_path=f"{self._shown_path}/{what}/<id>",
            parameters=self._selecting(_kind(what), parameters or {}),
            shape="object",
            cost=0,
            interval=self._limits.item_interval,
        )
        return self._view.page(_kind(what), self._caller.fetch(lambda: request), self)

    def close(self) -> None:
        """Close this grant's connections."""
        self._transport.close()

    def __enter__(self) -> "GrantClient":
        """Return itself; leaving closes the connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def _selecting(self, kind: str, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        select = self._view.select(kind)
        return {"select": ",".join(select), **parameters} if select else dict(parameters)

    def _list(
        self,
        what: str,
        parameters: dict[str, str | int],
        cursor: str | None,
        limit: int | None,
        *,
        lists_messages: bool = False,
        largest: int | None = None,
        mail: bool = True,
    ) -> Page:
        if cursor:
            parameters["page_token"] = cursor

        def build() -> Request:
            size = self._page_size.limit(limit)
            if largest is not None:
                size = min(size, largest)
            if lists_messages:
                size = self.pace.page_size(size)
            return Request(
                path=self._path + what,
                shown_path=self._shown_path + what,
                parameters={"limit": size, **parameters},
                shape="array",
                cost=self.pace.cost(size) if mail else 0,
                interval=self._limits.page_interval,
                lists_messages=lists_messages,
            )

        page = self._caller.fetch(build, too_slow=self._page_size.too_slow)
        self._page_size.served()
        return page


def _kind(what: str) -> str:
    """Return what one record of a list is called: "events/import" has events."""
    return what.partition("/")[0].removesuffix("s")
