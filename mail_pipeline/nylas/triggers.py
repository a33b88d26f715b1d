"""Which changes Nylas tells a webhook of."""

import re
from collections.abc import Iterable

TRIGGERS = (
    "message.created",
    "message.updated",
    "message.deleted",
    "folder.created",
    "folder.updated",
    "folder.deleted",
    "contact.updated",
    "contact.deleted",
    "calendar.created",
    "calendar.updated",
    "calendar.deleted",
    "event.created",
    "event.updated",
    "event.deleted",
    "grant.created",
    "grant.updated",
    "grant.expired",
    "grant.deleted",
    "grant.imap_sync_completed",
)
"""All that a mirror needs; there is no contact.created (reference: nylas-api 6.7)."""

_NAME = re.compile(r"(?<![\w.])[a-z]+\.[a-z_]+(?!\w|\.\w)")


def named_in(words: str) -> tuple[str, ...]:
    """Return those of `TRIGGERS` that a text names, in their order."""
    names = set(_NAME.findall(words))
    return tuple(trigger for trigger in TRIGGERS if trigger in names)


def without(triggers: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the triggers that are not among the others, in their order."""
    left_out = set(others)
    return tuple(trigger for trigger in triggers if trigger not in left_out)
