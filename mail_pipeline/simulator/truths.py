"""What an account truly holds, stream by stream, for a test to compare a mirror with."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.world import World

Record = dict[str, Any]


def _events(world: World, mailbox: LiveMailbox) -> Iterator[Record]:
    account = world.account(mailbox)
    shelves = [
        (calendar.id, account.events(calendar.id)) for _, calendar in account.calendars if not calendar.closed
    ]
    found = [(name, record) for name, shelf in shelves for record in shelf.records()]
    return (record | {"calendar_id": name} for name, record in found)


def _threads(world: World, mailbox: LiveMailbox) -> Iterator[Record]:
    threads = world.threads(mailbox)
    return iter([threads.record(place) for place in threads.places(world.cache_start)])


STREAMS: Mapping[str, Callable[[World, LiveMailbox], Iterator[Record]]] = {
    "messages": lambda _, mailbox: mailbox.records(),
    "contacts": lambda world, mailbox: world.account(mailbox).contacts.records(),
    "calendars": lambda world, mailbox: world.account(mailbox).calendars.records(),
    "events": _events,
    "threads": _threads,
}
"""What can be asked for. Whoever asks holds the world's lock until the first record is there."""


def truth(world: World, identifier: str, stream: str) -> Iterator[Record]:
    """Yield every record of a stream as it is when this is called, complete.

    Messages come newest first. Events are those of all calendars that let theirs be seen, each with the
    calendar it is in, also where the API says null. Raises KeyError for an unknown grant, ValueError for an
    unknown stream.
    """
    if stream not in STREAMS:
        raise ValueError(f"streams are {', '.join(STREAMS)}")
    with world.lock:
        mailbox = world.find(identifier)
        if mailbox is None:
            raise KeyError(identifier)
        return STREAMS[stream](world, mailbox)
