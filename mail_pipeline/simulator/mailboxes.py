"""What the simulator serves for a grant, whether the mail is generated or read from files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from mail_pipeline.simulator.contents import made_up_bytes
from mail_pipeline.simulator.conversations import Shape
from mail_pipeline.simulator.folders import Folder
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.messages import Writer


@dataclass(frozen=True)
class Grant:
    """A connected account; times are unix seconds."""

    id: str
    provider: str
    created_at: int
    email: str | None = None
    name: str | None = None
    valid: bool = True
    scope: tuple[str, ...] | None = None
    authenticated_at: int | None = None
    """When its owner last authenticated again; None for never since it was created."""

    @property
    def updated_at(self) -> int:
        """Return when its owner last authenticated, unix seconds."""
        return self.created_at if self.authenticated_at is None else self.authenticated_at

    def record(self) -> dict[str, Any]:
        """Return the API's Grant object; what is None is absent."""
        optional = {
            "email": self.email,
            "name": self.name,
            "scope": None if self.scope is None else list(self.scope),
        }
        return {
            "id": self.id,
            "provider": self.provider,
            "grant_status": "valid" if self.valid else "invalid",
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "settings": {},
            **{key: value for key, value in optional.items() if value is not None},
        }


class Mailbox(Protocol):
    """The mail of one grant. Messages are numbered by date: 0 is the oldest, `len` - 1 the newest."""

    @property
    def grant(self) -> Grant:
        """Return the grant whose mail this is."""

    @property
    def folders(self) -> Sequence[Folder]:
        """Return the folders in the order the API lists them."""

    @property
    def holdings(self) -> Holdings:
        """Return how much the account holds beside its mail."""

    def __len__(self) -> int:
        """Return how many messages there are."""

    def date(self, number: int) -> int:
        """Return a message's date, unix seconds; never falls as the number grows."""

    def folders_of(self, number: int) -> tuple[str, ...]:
        """Return the ids of all folders a message is in."""

    def thread_of(self, number: int) -> str | None:
        """Return the id of a message's thread, None where it does not say."""

    def count_before(self, moment: int) -> int:
        """Return how many messages have a date before a unix time."""

    def find(self, message_id: str) -> int | None:
        """Return the number of the message with this very id."""

    def message(self, number: int) -> dict[str, Any]:
        """Return a fresh Message object with all its folders."""

    def content(self, number: int, attachment: Mapping[str, Any]) -> bytes:
        """Return the bytes of one of a message's attachments."""

    def headers(self, number: int) -> list[dict[str, str]]:
        """Return the message's headers, duplicates kept."""

    def counts(self) -> dict[str, tuple[int, int]] | None:
        """Return (total, unread) by folder id, None where the provider does not say."""


@dataclass(frozen=True, eq=False)
class GeneratedMailbox:
    """A mailbox that is computed when asked; it holds nothing but what it is computed from."""

    grant: Grant
    shape: Shape
    writer: Writer
    holdings: Holdings

    @property
    def folders(self) -> Sequence[Folder]:
        """Return the folders in the order the API lists them."""
        return self.shape.plan.folders

    def __len__(self) -> int:
        """Return how many messages there are."""
        return self.shape.messages

    def date(self, number: int) -> int:
        """Return a message's date, unix seconds."""
        return self.shape.sketch(number).date

    def folders_of(self, number: int) -> tuple[str, ...]:
        """Return the ids of all folders a message is in."""
        return self.shape.sketch(number).folders

    def thread_of(self, number: int) -> str | None:
        """Return the id of a message's thread, None where it does not say."""
        return self.writer.thread_of(number)

    def count_before(self, moment: int) -> int:
        """Return how many messages have a date before a unix time."""
        return self.shape.count_before(moment)

    def find(self, message_id: str) -> int | None:
        """Return the number of the message with this very id."""
        number = self.writer.ids.decode(message_id)
        return number if number is not None and number < len(self) else None

    def message(self, number: int) -> dict[str, Any]:
        """Return a fresh Message object with all its folders."""
        return self.writer.write(number)

    def content(self, number: int, attachment: Mapping[str, Any]) -> bytes:
        """Return the bytes of one of a message's attachments."""
        return made_up_bytes(self.grant.provider, attachment)

    def headers(self, number: int) -> list[dict[str, str]]:
        """Return the message's headers, duplicates kept."""
        return self.writer.headers(number)

    def counts(self) -> dict[str, tuple[int, int]] | None:
        """Return (total, unread) by folder id; Yahoo does not say."""
        return None if self.grant.provider == "yahoo" else self._counts

    @cached_property
    def _counts(self) -> dict[str, tuple[int, int]]:
        counts = {folder.id: (0, 0) for folder in self.folders}
        for sketch in map(self.shape.sketch, range(len(self))):
            for folder_id in sketch.folders:
                total, unread = counts[folder_id]
                counts[folder_id] = (total + 1, unread + sketch.unread)
        return counts


def truth(mailbox: Mailbox) -> Iterator[dict[str, Any]]:
    """Yield every message of a mailbox, complete, newest first."""
    for number in reversed(range(len(mailbox))):
        yield mailbox.message(number)
