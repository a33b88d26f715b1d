"""How much an account holds beside its mail, and what that is made from."""

from dataclasses import dataclass
from random import Random

from mail_pipeline.simulator.seeds import stable_int, stable_random
from mail_pipeline.simulator.words import Person


@dataclass(frozen=True)
class Holdings:
    """Numbers of contacts, calendars and events of one grant; every one of them follows from these fields."""

    provider: str
    grant_id: str
    owner: Person
    seed: int
    mailbox: int
    """The grant's number in the fleet."""
    now: int
    """Unix seconds; events lie from `years` before it to a year after."""
    years: float = 5.0
    contacts: int = 0
    """Of all sources together."""
    calendars: int = 0
    events: int = 0
    """Of all calendars together."""
    oddity_every: int = 0
    """One event in this many breaks what clients take for granted; 0: none."""

    def random(self, *parts: str | int) -> Random:
        """Return the generator of what the parts name."""
        return stable_random(self.seed, self.mailbox, *parts)

    def number(self, *parts: str | int) -> int:
        """Return 64 bits that follow from what the parts name."""
        return stable_int(self.seed, self.mailbox, *parts)

    def oddity(self, number: int, kinds: int) -> int | None:
        """Return which of so many oddities the thing with this number has, None for none."""
        if not self.oddity_every or (number + self.mailbox) % self.oddity_every:
            return None
        return (number // self.oddity_every + self.mailbox) % kinds
