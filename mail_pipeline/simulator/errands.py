"""Random changes beside the mail, from a seed: people get to know each other, meet, and call it off."""

from random import Random
from typing import TYPE_CHECKING, Any

from mail_pipeline.simulator.account import Account
from mail_pipeline.simulator.arrivals import made_up_text
from mail_pipeline.simulator.rhythm import DAY, HOUR
from mail_pipeline.simulator.shelf import Shelf

if TYPE_CHECKING:
    from mail_pipeline.simulator.provider import Provider

ERRANDS = {
    "contacts": {"create_contact": 3, "update_contact": 4, "delete_contact": 2, "restore_contact": 1},
    "calendars": {"create_calendar": 1, "update_calendar": 3, "delete_calendar": 1},
    "events": {
        "create_event": 10,
        "update_event": 10,
        "delete_event": 4,
        "restore_event": 2,
        "move_event": 1,
    },
}
"""What can happen to each stream, and how often it does."""
_MOST_CALENDARS = 12
Gone = dict[tuple[str, str], list[str]]
"""Ids of what was deleted and may come back, by grant and by calendar or stream."""


def errand(provider: "Provider", account: Account, operation: str, random: Random, gone: Gone) -> str | None:
    """Make one change and return the id of what was changed; None where that is not possible here."""
    if operation.endswith("_contact"):
        return _contact(provider, account, operation, random, gone)
    if operation.endswith("_calendar"):
        return _calendar(provider, account, operation, random)
    return _event(provider, account, operation, random, gone)


def _contact(
    provider: "Provider", account: Account, operation: str, random: Random, gone: Gone
) -> str | None:
    grant_id = account.holdings.grant_id
    deleted = gone.setdefault((grant_id, "contacts"), [])
    if operation == "create_contact":
        return provider.create_contact(grant_id)
    if operation == "restore_contact":
        return provider.restore_contact(grant_id, _take(deleted, random)) if deleted else None
    contact_id = _some(account.contacts, random)
    if contact_id is None:
        return None
    if operation == "update_contact":
        return provider.update_contact(grant_id, contact_id, notes=_text(random), nickname=None)
    deleted.append(contact_id)
    return provider.delete_contact(grant_id, contact_id)


def _calendar(provider: "Provider", account: Account, operation: str, random: Random) -> str | None:
    grant_id = account.holdings.grant_id
    if operation == "create_calendar":
        full = len(account.calendars) >= _MOST_CALENDARS
        return None if full else provider.create_calendar(grant_id, _text(random))
    calendar_id = _some(account.calendars, random)
    if calendar_id is None:
        return None
    if operation == "update_calendar":
        return provider.update_calendar(grant_id, calendar_id, name=_text(random))
    if account.calendar(calendar_id).primary:
        return None
    return provider.delete_calendar(grant_id, calendar_id)


def _event(provider: "Provider", account: Account, operation: str, random: Random, gone: Gone) -> str | None:
    grant_id = account.holdings.grant_id
    places = [entry.id for _, entry in account.calendars if not entry.closed]
    if not places:
        return None
    calendar_id = _pick(places, random)
    deleted = gone.setdefault((grant_id, calendar_id), [])
    if operation == "create_event":
        return provider.create_event(grant_id, calendar_id, title=_text(random), **_when(account, random))
    if operation == "restore_event":
        return provider.restore_event(grant_id, calendar_id, _take(deleted, random)) if deleted else None
    event_id = _some(account.events(calendar_id), random)
    if event_id is None:
        return None
    if operation == "update_event":
        when = _when(account, random) if random.random() < 0.3 else {}
        return provider.update_event(grant_id, calendar_id, event_id, title=_text(random), **when)
    if operation == "move_event":
        try:
            return provider.move_event(grant_id, calendar_id, event_id, _pick(places, random))
        except ValueError:
            return None
    deleted.append(event_id)
    return provider.delete_event(grant_id, calendar_id, event_id, say_calendar=random.random() < 0.8)


def _when(account: Account, random: Random) -> dict[str, Any]:
    start = account.holdings.now + int((random.random() - 0.3) * 90 * DAY)
    return {"when": {"object": "timespan", "start_time": start, "end_time": start + HOUR}}


def _text(random: Random) -> str:
    return made_up_text("errand", int(random.random() * 1e9))


def _pick(values: list[str], random: Random) -> str:
    return values[int(random.random() * len(values))]


def _take(values: list[str], random: Random) -> str:
    return values.pop(int(random.random() * len(values)))


def _some(shelf: Shelf[Any], random: Random) -> str | None:
    ids = [entry.id for _, entry in shelf]
    return _pick(ids, random) if ids else None
