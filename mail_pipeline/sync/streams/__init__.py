"""What is mirrored beside mail, each kind declared in a module of its own."""

from mail_pipeline.sync.streams.calendars import CALENDARS
from mail_pipeline.sync.streams.contacts import CONTACTS
from mail_pipeline.sync.streams.events import EVENTS
from mail_pipeline.sync.streams.mail import MAIL
from mail_pipeline.sync.streams.record_stream import RecordStream
from mail_pipeline.sync.streams.stream import Stream
from mail_pipeline.sync.streams.threads import PROVIDER_THREADS

RECORD_STREAMS: dict[str, RecordStream] = {
    stream.name: stream for stream in (CONTACTS, CALENDARS, EVENTS, PROVIDER_THREADS)
}
"""By name, those that others need first before them."""

STREAMS: dict[str, Stream] = {MAIL.name: MAIL, **RECORD_STREAMS}
"""The mail, and what is mirrored beside it, by name."""

BY_KIND: dict[str, RecordStream] = {stream.kind: stream for stream in RECORD_STREAMS.values()}
"""By what notifications call one of them."""


def leases_of(grant_id: str) -> tuple[str, ...]:
    """Return the leases under which anything of a grant is listed, each once."""
    return tuple(dict.fromkeys(stream.lease(grant_id) for stream in STREAMS.values()))


__all__ = [
    "BY_KIND",
    "CALENDARS",
    "CONTACTS",
    "EVENTS",
    "PROVIDER_THREADS",
    "RECORD_STREAMS",
    "STREAMS",
    "RecordStream",
    "leases_of",
]
