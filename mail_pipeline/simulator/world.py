"""All grants of a fleet as they are now, behind one lock."""

import threading
from collections.abc import Iterator
from dataclasses import replace

from mail_pipeline.simulator.account import Account
from mail_pipeline.simulator.clock import SimulatedClock
from mail_pipeline.simulator.fleet import CACHE_DAYS, Fleet, MailboxSpec
from mail_pipeline.simulator.identifiers import message_ids
from mail_pipeline.simulator.live import LiveMailbox
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline.simulator.threads import Threads


class World:
    """The mailboxes of a fleet with their changes.

    Whoever reads or changes one holds `lock`. `vanished` has the grant ids, and the pairs of grant id and
    folder or calendar id, that no answer shows.
    """

    def __init__(self, fleet: Fleet, clock: SimulatedClock | None = None, *, now: int | None = None) -> None:
        """Take `now`, unix seconds, which the 90 days of the IMAP family's cache end at: the fleet's if None.

        The 90 days move on when the clock is advanced.
        """
        self.fleet = fleet
        self.clock = clock or SimulatedClock()
        self.lock = threading.RLock()
        self.vanished: set[str | tuple[str, str]] = set()
        self._now = fleet.now if now is None else now
        self._live: dict[int, LiveMailbox] = {}
        self._accounts: dict[str, Account] = {}
        self._threads: dict[str, Threads] = {}

    def __iter__(self) -> Iterator[LiveMailbox]:
        """Yield the mailboxes in order of creation."""
        return map(self._mailbox, range(len(self.fleet)))

    @property
    def cache_start(self) -> int:
        """Return the unix time from which the IMAP family's cache holds a message."""
        return int(self._now + self.clock.advanced) - CACHE_DAYS * DAY

    def find(self, identifier: str) -> LiveMailbox | None:
        """Return the mailbox whose grant has this id or e-mail address, also one that vanished."""
        number = self.fleet.number(identifier)
        return None if number is None else self._mailbox(number)

    def account(self, mailbox: LiveMailbox) -> Account:
        """Return what a grant holds beside its mail."""
        grant_id = mailbox.grant.id
        if grant_id not in self._accounts:
            self._accounts[grant_id] = Account(mailbox.holdings)
        return self._accounts[grant_id]

    def threads(self, mailbox: LiveMailbox) -> Threads:
        """Return a grant's threads."""
        return self._threads.setdefault(mailbox.grant.id, Threads(mailbox))

    def connect(self, spec: MailboxSpec) -> LiveMailbox:
        """Add a grant, created now."""
        mailbox = self._mailbox(self.fleet.add(spec))
        mailbox.grant = replace(mailbox.grant, created_at=int(self.clock.now()))
        return mailbox

    def _mailbox(self, number: int) -> LiveMailbox:
        if number not in self._live:
            base = self.fleet.mailbox(number)
            ids = message_ids(base.grant.provider, self.fleet.seed, number)
            self._live[number] = LiveMailbox(base, ids)
        return self._live[number]
