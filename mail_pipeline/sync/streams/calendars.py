"""Calendars: one short list a grant (reference: nylas-api 5.3)."""

from mail_pipeline.lake import queries
from mail_pipeline.sync.streams.record_stream import RecordStream

WITHOUT_CALENDARS = frozenset({"imap", "zoom"})


def _scopes(provider: str) -> tuple[None, ...]:
    return () if provider in WITHOUT_CALENDARS else (None,)


CALENDARS = RecordStream(
    name="calendars",
    kind="calendar",
    largest_page=200,
    scopes=_scopes,
    missed=queries.MISSED_CALENDARS,
)
