"""What the engine asks of a stream: how its pages are fetched, read and stored.

A stream is one kind of object that is mirrored: messages, contacts, calendars, events, provider's threads.
The engine lists, paces, commits and repairs all of them alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Set
from typing import Protocol

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.nylas import GrantClient, Page
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.fetches import Fetch
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.position import Position
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.records import DeadLetter

Key = tuple[str, ...]
"""What names an object in the lake, the grant first."""


class Store(Protocol):
    """Gathers what one transaction stores of one stream, so that each table is written once."""

    @property
    def bare(self) -> Set[Key]:
        """Return the merged objects of which the lake held a tombstone and nothing else."""

    def key(self, grant_id: str, observation: Observation) -> Key:
        """Return what names the object that is observed."""

    def add(self, grant_id: str, observations: Iterable[Observation]) -> int:
        """Store objects that the lake surely does not hold; return how many these are."""

    def merge(self, observations: Mapping[str, Iterable[Observation]]) -> Set[Key]:
        """Merge observations, by grant, into what the lake holds; return the keys it did not hold."""

    def end_pass(self, checkpoint: Checkpoint) -> None:
        """Conclude from a pass that is complete now what it did not see."""

    def flush(self) -> None:
        """Write all rows gathered."""

    @property
    def fetches(self) -> list[Fetch]:
        """Return what only the API can settle."""


class Stream(ABC):
    """One kind of object that is mirrored."""

    name: str
    """Of the asset, of the table and in checkpoints: plural."""
    kind: str
    """Of one, in notifications and dead letters: singular."""
    newest_first = False
    """The list is in the order of time, so it can be gone on with by time where a cursor fails."""
    appends = False
    """A first pass is worth being told from what is merged: there may be millions."""

    @abstractmethod
    def page(self, grant: GrantClient, part: Slice, position: Position, limit: int | None) -> Page:
        """Fetch the page at a position. Raises what the API raises."""

    @abstractmethod
    def read(self, page: Page, part: Slice) -> tuple[list[Observation], list[DeadLetter]]:
        """Read a page's records, each on its own; none raises."""

    @abstractmethod
    def store(self, transaction: Transaction) -> Store:
        """Return what stores this stream's observations in a transaction."""

    def lease(self, grant_id: str) -> str:
        """Return the name of the lease under which a grant's objects are listed."""
        return grant_id

    def begin(self, position: Position) -> Position:
        """Return the position with the bounds that its first request needs."""
        return position

    def complete(
        self,
        grant: GrantClient,
        part: Slice,
        position: Position,
        observations: list[Observation],
        dead: list[DeadLetter],
    ) -> list[Observation]:
        """Fetch what a page left out of its records, if anything; add to `dead` what could not be read."""
        return []

    def whole(
        self, grant: GrantClient, part: Slice, identities: Iterable[str], dead: list[DeadLetter]
    ) -> list[Observation]:
        """Fetch objects one by one; add to `dead` what could not be read."""
        return []

    def dates(self, observations: Iterable[Observation]) -> list[int]:
        """Return the times, in unix seconds, by which the list is ordered."""
        return []

    def following(self, part: Slice, position: Position) -> Position | None:
        """Return where to go on after the end of a list; None where that was all."""
        return None

    def not_offered(self, grant: GrantClient, part: Slice, error: MailPipelineError) -> bool:
        """Tell whether an error means that this account has no such thing, rather than that it failed."""
        return False
