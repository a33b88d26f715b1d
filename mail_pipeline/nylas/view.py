"""What of a grant may be seen: asked of whoever uses the client, before a request and after its answer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from mail_pipeline.nylas.pages import Page

if TYPE_CHECKING:
    from mail_pipeline.nylas.grant import GrantClient, MessageQuery


class View(Protocol):
    """Narrows what a `GrantClient` asks for, and what it lets out of an answer."""

    def query(self, query: "MessageQuery") -> "MessageQuery":
        """Return the list of messages to ask for instead."""

    def select(self, kind: str) -> tuple[str, ...]:
        """Return the fields to ask for of one object (message, contact, …); empty for all."""

    def page(self, kind: str, page: Page, client: "GrantClient", *, listed_in: str | None = None) -> Page:
        """Return an answer as it may be seen; `listed_in` is the folder whose own list it is."""


Views = Callable[[str, str], View | None]
"""Gives the view on a grant by its id and provider; None shows everything."""


class _Everything:
    """Shows all there is."""

    def query(self, query: "MessageQuery") -> "MessageQuery":
        return query

    def select(self, kind: str) -> tuple[str, ...]:
        return ()

    def page(self, kind: str, page: Page, client: Any, *, listed_in: str | None = None) -> Page:
        return page


EVERYTHING: View = _Everything()
