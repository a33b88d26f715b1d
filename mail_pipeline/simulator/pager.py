"""Pages of any list: cursors, and the ways in which real pages are not as long as was asked."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mail_pipeline.simulator.cursors import Cursors, Position
from mail_pipeline.simulator.queries import Paging
from mail_pipeline.simulator.seeds import stable_int, stable_share

REPEATED = 3
"""How many records of the page before some pages begin with."""


@dataclass
class Result:
    """What a call found: the envelope without its request_id, and how many records it served."""

    envelope: dict[str, Any]
    count: int = 1
    dates: list[int] = field(default_factory=list)
    content: bytes | None = None
    """Served as it is, in place of the envelope."""


@dataclass(frozen=True)
class Whim:
    """What is irregular about one page."""

    draw: float
    """1 and more: nothing."""

    @classmethod
    def of(cls, seed: int, binding: str, first: int, irregular: float) -> "Whim":
        """Return that of the page that begins at `first`: the same for the same seed, list and place."""
        return cls(stable_share(seed, binding, first) / irregular if irregular else 1.0)

    def empties(self, position: Position | None) -> bool:
        """Return whether an empty page with a cursor comes first."""
        return self.draw < 0.3 and not (position and position.after_empty_page)

    def limit(self, limit: int) -> int:
        """Return how many records the page has at most."""
        return max(1, int(limit * (self.draw - 0.1))) if self.draw < 0.8 else limit

    @property
    def lingers(self) -> bool:
        """Return whether an empty page follows where the list is at its end."""
        return 0.8 <= self.draw < 1


class Pager:
    """Cuts lists into pages; needs no memory."""

    def __init__(self, cursors: Cursors, *, seed: int, irregular: float) -> None:
        """Take what seals cursors, and the share of irregular pages."""
        self.seed = seed
        self.irregular = irregular
        self._cursors = cursors

    def open(self, page: Paging, now: float) -> Position | None:
        """Return where a page begins, None for the first one; raises the API's 400 for a bad cursor."""
        if page.page_token is None:
            return None
        return self._cursors.open(page.page_token, page.binding, now)

    def next(self, position: Position | None, page: Paging, now: float) -> dict[str, str | None]:
        """Return the cursor; at the end of a list one of the three ways the API says so."""
        if position is not None:
            return {"next_cursor": self._cursors.seal(position, page.binding, now)}
        ends: tuple[dict[str, str | None], ...] = ({}, {"next_cursor": None}, {"next_cursor": ""})
        return ends[stable_int(self.seed, page.binding) % 3]

    def cut(
        self, places: Sequence[int], page: Paging, now: float, *, repeat: bool = False
    ) -> tuple[Sequence[int], dict[str, str | None]]:
        """Return the places on a page and what its envelope says of the next.

        `places`, rising, are those of everything the list shows now. `repeat` puts the end of the page before
        in front, as some providers do.
        """
        position = self.open(page, now)
        start = 0 if position is None else bisect_left(places, position.next)
        if start >= len(places):
            return (), self.next(None, page, now)
        whim = Whim.of(self.seed, page.binding, places[start], self.irregular)
        if whim.empties(position):
            return (), self.next(Position(places[start], after_empty_page=True), page, now)
        repeated = places[max(0, start - min(REPEATED, page.limit - 1)) : start] if repeat else ()
        end = start + whim.limit(page.limit - len(repeated))
        following = None
        if end < len(places):
            following = Position(places[end])
        elif whim.lingers:
            following = Position(places[-1] + 1)
        return [*repeated, *places[start:end]], self.next(following, page, now)
