"""Streams that are declared: an endpoint, a table, how fields are read, and what is gone after a pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.nylas import GrantClient, NotAllowed, Page, Unsupported
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.position import Position
from mail_pipeline.sync.progress import Slice
from mail_pipeline.sync.records import (
    DeadLetter,
    Unreadable,
    read_anything,
    read_each,
    read_flag,
    read_identity,
    read_key,
    read_list,
    read_object,
    read_seconds,
    read_text,
)
from mail_pipeline.sync.streams.record_store import Fields, Layout, Part, RecordStore
from mail_pipeline.sync.streams.stream import Stream
from mail_pipeline.sync.texts import check_text

Reader = Callable[[str, Any], Any]
"""Takes a field's name and value; returns what is kept of it, or raises Unreadable."""


def read_texts(name: str, value: Any) -> list[str]:
    """Return a list of texts; null is an empty one. Raises Unreadable."""
    return [text for item in read_list(name, value) if (text := read_text(name, item)) is not None]


_BY_TYPE: Mapping[str, Reader] = {
    "BOOLEAN": read_flag,
    "TIMESTAMPTZ": read_seconds,
    "VARCHAR": read_text,
    "VARCHAR[]": read_texts,
}
_NOT_FIELDS = frozenset({"id", "grant_id", "object"})


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordStream(Stream):
    """A stream whose objects are few enough to be kept whole, as one JSON record each, beside their columns.

    A column is filled by the field of its name, unless `values` says otherwise.
    """

    name: str
    kind: str
    endpoint: str = ""
    """The API's list, where it is not called as the stream is."""
    largest_page: int
    spends_mail_quota: bool = False
    scope_parameter: str | None = None
    """Parameter that takes the scope."""
    scopes: Callable[[str], tuple[str | None, ...]] = lambda _: (None,)
    """What to list of a grant, by its provider; nothing where the provider has no such thing."""
    within: str | None = None
    """Field that names the calendar where ids are unique only in it."""
    readers: Mapping[str, Reader] = field(default_factory=dict)
    """How fields are read whose column has another type or that have none."""
    values: Mapping[str, Callable[[Fields], Any]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    """Fields that are not stored."""
    parts: tuple[Part, ...] = ()
    missed: str
    """Query for what a complete pass did not see, as in `Layout`."""

    @property
    def layout(self) -> Layout:
        """Return how its records lie in the lake."""
        return Layout(
            kind=self.kind,
            table=TABLES[f"all_{self.name}"],
            within=self.within,
            values=self.values,
            parts=self.parts,
            missed=self.missed,
        )

    @cached_property
    def _readers(self) -> Mapping[str, Reader]:
        columns = (column for column in self.layout.field_columns if column.name not in self.values)
        by_type = {column.name: _BY_TYPE[column.type] for column in columns if column.type in _BY_TYPE}
        return {**by_type, **self.readers}

    def lease(self, grant_id: str) -> str:
        """Return a lease beside the mailbox's own, for contacts need not wait for years of mail.

        What spends from the mailbox's quota waits for it.
        """
        return grant_id if self.spends_mail_quota else f"{grant_id}@directory"

    def slice_key(self, grant_id: str, scope: str | None) -> str:
        """Return the key of a slice's checkpoints."""
        return ":".join(filter(None, (self.name, grant_id, scope)))

    def path(self, part: Slice) -> str:
        """Return the name of the API's list."""
        return self.endpoint or self.name

    def largest(self, part: Slice) -> int:
        """Return the most records a page holds."""
        return self.largest_page

    def parameters(self, part: Slice, position: Position) -> dict[str, str | int]:
        """Return the parameters of the list."""
        return {self.scope_parameter: part.scope} if self.scope_parameter and part.scope else {}

    def page(self, grant: GrantClient, part: Slice, position: Position, limit: int | None) -> Page:
        """Fetch a page."""
        return grant.records(
            self.path(part),
            self.parameters(part, position),
            cursor=position.cursor,
            limit=limit,
            largest=self.largest(part),
            mail=self.spends_mail_quota,
        )

    def one(self, grant: GrantClient, identity: str, within: str | None) -> Page:
        """Fetch one record by itself. Raises NotFound."""
        asked = {self.within: within} if self.within and within else None
        return grant.record(self.endpoint or self.name, identity, asked)

    def read(self, page: Page, part: Slice) -> tuple[list[Observation], list[DeadLetter]]:
        """Read records."""
        return self.read_records(page, part.scope or "")

    def read_records(self, page: Page, scope: str) -> tuple[list[Observation], list[DeadLetter]]:
        """Read the records of a page that was asked for in a scope."""
        return read_each(
            page.records, lambda record: self.observe(record, page.observed_at, scope), self.kind
        )

    def observe(self, record: object, at: int, scope: str = "") -> Observation:
        """Read one record as of a time (unix seconds, provider's clock); `scope` is where it was found.

        Raises Unreadable, or UnicodeEncodeError where a text holds a lone surrogate.
        """
        record = read_object(record)
        identity = read_identity(record)
        fields: Fields = {}
        for name, value in record.items():
            if name in _NOT_FIELDS or name == self.within or name in self.left_out:
                continue
            reader = self._readers.get(name)
            fields[check_text(name)] = read_anything(reader(name, value) if reader else value)
        within = ""
        if self.within:
            within = scope or read_key(self.within, record.get(self.within)) or ""
            if not within:
                raise Unreadable(f"{self.within}: expected text, got nothing")
        if self.scope_parameter and scope:
            fields.setdefault(self.scope_parameter, scope)
        return Observation(identity, at, fields, within=within)

    def store(self, transaction: Transaction) -> RecordStore:
        """Return the store of its records."""
        return RecordStore(transaction, self.layout)

    def not_offered(self, grant: GrantClient, part: Slice, error: MailPipelineError) -> bool:
        """Tell whether the provider has no such thing, or the owner has not allowed it."""
        return isinstance(error, (Unsupported, NotAllowed))
