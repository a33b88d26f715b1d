"""What an analyst may set for a run."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import dagster as dg
from pydantic import AfterValidator, Field, field_validator

from mail_pipeline.sync.apply import Replay
from mail_pipeline.sync.attachments import LARGEST, AttachmentOptions
from mail_pipeline.sync.backfill import BackfillOptions
from mail_pipeline.upkeep import MOST_DAYS

_LARGEST_PAGE = 200
"""The API's limit for messages."""


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"since is {text!r}: expected a date such as 2024-01-31 or 2024-01-31T09:00:00+01:00, or nothing"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _a_date(value: str | None) -> str | None:
    if value:
        _moment(value)
    return value or None


def _some_pages(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError(f"max_pages is {value}: expected a whole number of at least 1, or nothing")
    return value


def _a_page(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= _LARGEST_PAGE:
        raise ValueError(
            f"page_size is {value}: expected a whole number from 1 to {_LARGEST_PAGE}, or nothing"
        )
    return value


_Date = Annotated[str | None, AfterValidator(_a_date)]
# What pydantic itself says of a bound is longer, and less plain.
_Pages = Annotated[int | None, AfterValidator(_some_pages)]
_PageSize = Annotated[int | None, AfterValidator(_a_page)]


class BackfillConfig(dg.Config):
    """How far and how thoroughly `messages` is backfilled. Leave all as it is for everything there is."""

    since: _Date = Field(
        default=None,
        description="Go no further back than this date, such as 2024-01-31 or 2024-01-31T09:00:00+01:00 "
        "(UTC where no offset is given). Empty: back to the very first message. It holds for this run; for "
        "every run, schedules too, set `since` in mail_pipeline.toml.",
    )
    max_pages: _Pages = Field(
        default=None,
        description="Stop each mailbox after so many pages of up to 200 messages; the next run goes on from "
        "there. A mailbox stopped so is not marked as materialized. Empty: no limit.",
    )
    full_resync: bool = Field(
        default=False,
        description="List mailboxes that are complete again from their newest message and merge what has "
        "changed. Otherwise they are left alone.",
    )
    page_size: _PageSize = Field(
        default=None,
        description=f"Messages per page, 1 to {_LARGEST_PAGE}. Empty: what suits the provider.",
    )

    def options(self) -> BackfillOptions:
        """Return the same as the engine takes it."""
        return BackfillOptions(
            since=None if self.since is None else _moment(self.since),
            max_pages=self.max_pages,
            full_resync=self.full_resync,
            page_size=self.page_size,
        )

    @classmethod
    def of(cls, options: BackfillOptions) -> Self:
        """Return the engine's options as run config. Raises ValueError naming the field that is wrong."""
        return cls(
            since=None if options.since is None else options.since.isoformat(),
            max_pages=options.max_pages,
            full_resync=options.full_resync,
            page_size=options.page_size,
        )


class MirrorConfig(BackfillConfig):
    """How thoroughly a list beside the mail is listed. Leave all as it is for everything there is."""

    since: _Date = Field(
        default=None,
        description="Of events: only those that end on this date or later, such as 2024-01-31. Other lists "
        "are never cut. Empty: all. It holds for this run: the weekly schedule lists all.",
    )
    max_pages: _Pages = Field(
        default=None,
        description="Stop each list after so many pages; the next run goes on from there. A grant stopped so "
        "is not marked as materialized. Empty: no limit.",
    )
    full_resync: bool = Field(
        default=False,
        description="List again what is complete, and find what is gone. Otherwise it is left alone.",
    )
    page_size: _PageSize = Field(
        default=None,
        description=f"Records per page, 1 to {_LARGEST_PAGE}. Empty: what suits the provider.",
    )


class AttachmentsConfig(dg.Config):
    """Which attachments `attachment_files` fetches. Leave all as it is for all that are not too large."""

    grants: list[str] = Field(default=[], description="Only of these grants. Empty: all valid ones.")
    since: _Date = Field(
        default=None,
        description="Only of messages received since this date, as in the backfill's `since`. Empty: of all.",
    )
    types: list[str] = Field(
        default=[], description="Only these media types, such as application/pdf or image/*. Empty: all."
    )
    inline: bool | None = Field(
        default=None, description="Only those shown inside bodies, or only others. Empty: both."
    )
    max_size: int = Field(
        default=LARGEST,
        description="Bytes; what is larger is noted as skipped, and fetched once more is allowed.",
        ge=0,
    )
    total_size: int | None = Field(
        default=None,
        description="Stop after about so many bytes; the next run goes on. Empty: no limit.",
        ge=0,
    )
    retry_gone: bool = Field(default=False, description="Ask once more for what was not found.")

    def options(self) -> AttachmentOptions:
        """Return the same as the engine takes it."""
        return AttachmentOptions(
            grants=tuple(self.grants),
            since=None if self.since is None else _moment(self.since),
            types=tuple(self.types),
            inline=self.inline,
            max_size=self.max_size,
            total_size=self.total_size,
            retry_gone=self.retry_gone,
        )


class ApplyConfig(dg.Config):
    """What `message_updates` applies beside everything that has landed and was not applied yet."""

    replay: str | None = Field(
        default=None,
        description="Apply some notifications once more: `dead` for all dead letters and kept ones, "
        "`everything` for the whole landing table, a type such as message.updated for the dead and kept ones "
        "of it, or the number of one. Empty: none.",
    )

    @field_validator("replay")
    @classmethod
    def _something_to_replay(cls, value: str | None) -> str | None:
        if value:
            Replay.read(value)
        return value or None

    def choice(self) -> Replay | None:
        """Return the same as the engine takes it."""
        return None if self.replay is None else Replay.read(self.replay)


class ReconcileConfig(dg.Config):
    """Which mailboxes are set against the provider's own lists, and how far back."""

    grant: str | None = Field(default=None, description="One grant. Empty: all valid ones.")
    since: _Date = Field(
        default=None,
        description="Look back to this date, as in the backfill's `since`. Empty: the whole mailbox.",
    )
    days: int | None = Field(
        default=None,
        description="Look back so many days; `since` wins where both are given.",
        ge=1,
        le=MOST_DAYS,
    )
    providers: list[str] = Field(default=[], description="Only grants of these providers. Empty: all.")
    gaps_only: bool = Field(
        default=False, description="Only grants in which notifications may be missing, as `gaps` says."
    )

    def bound(self) -> datetime | None:
        """Return how far to look back, None for the whole mailbox."""
        if self.since is not None:
            return _moment(self.since)
        return None if self.days is None else datetime.now(UTC) - timedelta(days=self.days)
