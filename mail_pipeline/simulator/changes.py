"""What all changes at the providers have in common: whose account it is, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.notifications import Event
from mail_pipeline.simulator.world import World


@dataclass
class Outage:
    """A grant's time without access, and what happened in it."""

    since: float
    missed: list[Event] = field(default_factory=list)


class Changes:
    """Finds accounts and posts events. What happens while a grant is expired is kept with its outage."""

    def __init__(self, world: World, post: Callable[[Event], None]) -> None:
        """Take what is changed, and who is told."""
        self._world = world
        self._post = post
        self._outages: dict[str, Outage] = {}
        self._made = 0

    def _mailbox(self, grant_id: str) -> LiveMailbox:
        mailbox = self._world.find(grant_id)
        if mailbox is None or mailbox.grant.id in self._world.vanished:
            raise KeyError(grant_id)
        return mailbox

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _emit(self, trigger: str, mailbox: LiveMailbox, subject: dict[str, Any]) -> None:
        grant = mailbox.grant
        event = Event(trigger, grant.provider, grant.id, subject, int(self._world.clock.now()))
        if trigger.startswith("grant.") or grant.valid:
            self._post(event)
        elif grant.id in self._outages:
            self._outages[grant.id].missed.append(event)
