"""The application's grants: described by a few numbers each, made when first asked for."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mail_pipeline.simulator import words
from mail_pipeline.simulator.conversations import Shape
from mail_pipeline.simulator.folders import folder_plan
from mail_pipeline.simulator.holdings import Holdings
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.mailboxes import GeneratedMailbox, Grant, Mailbox
from mail_pipeline.simulator.mailfiles import FileMailbox, newest_date
from mail_pipeline.simulator.messages import Writer
from mail_pipeline.simulator.problems import LACKING
from mail_pipeline.simulator.rhythm import DAY, YEAR, rhythm
from mail_pipeline.simulator.seeds import stable_int

PROVIDERS = ("google", "microsoft", "ews", "imap", "yahoo", "icloud")
CACHE_DAYS = 90
"""How far back the IMAP family's plain list reaches (Nylas' rolling cache)."""
_FIRST_NOW = 1_777_626_000
"""2026-05-01 09:00 UTC."""
_SCOPES = {
    "google": ("https://www.googleapis.com/auth/gmail.readonly",),
    "microsoft": ("Mail.Read", "offline_access"),
}


@dataclass(frozen=True)
class MailboxSpec:
    """One grant to generate."""

    provider: str = "google"
    """One of PROVIDERS; any other name is served like `ews`."""
    messages: int = 1_000
    email: str | None = None
    """The owner's address; an invented one where None, and absent for `virtual-calendar`."""
    years: float = 5.0
    """How far back the mail reaches."""
    growth: float = 1.25
    """How many times last year's mail each year brings."""
    body_mean: int = 4_000
    """Mean size of a body in bytes; the sizes are log-normal."""
    user_folders: int = 6
    contacts: int = 20
    """Of all sources together."""
    calendars: int = 2
    """Where the provider has calendars at all; the third, and every sixth after it, hides its events."""
    events: int = 40
    """Of all calendars together."""
    oddity_every: int = 25
    """One message in this many has an odd feature the API allows (body absent, NUL, no sender); 0: none."""
    plain_only: float = 0.0
    """IMAP family: share of the last 90 days' mail in no folder, so that only the plain list shows it."""
    valid: bool = True
    """False: the grant is listed as invalid and every call on its mail answers 401."""


class Fleet:
    """All grants of one Nylas application, in order of creation."""

    def __init__(self, mailboxes: Sequence[Callable[[], Mailbox]], *, seed: int, now: int) -> None:
        """Take one maker per mailbox, each called at most once; `now` is the unix time the mail ends at."""
        self.seed = seed
        self.now = now
        self._makers = list(mailboxes)
        self._made: dict[int, Mailbox] = {}
        self._index: dict[str, int] = {}

    @classmethod
    def generate(
        cls, seed: int = 0, mailboxes: Iterable[MailboxSpec] = (MailboxSpec(),), *, now: int | None = None
    ) -> "Fleet":
        """Describe generated mailboxes: the same seed, specs and `now` give the same mail everywhere.

        `now` (unix seconds) follows from the seed where None, so that runs on different days agree.
        """
        instant = _FIRST_NOW + stable_int(seed, "now") % 30 * DAY if now is None else now
        makers = [_maker(spec, seed, number, instant) for number, spec in enumerate(mailboxes)]
        return cls(makers, seed=seed, now=instant)

    @classmethod
    def demo(cls, seed: int = 0, *, now: int | None = None) -> "Fleet":
        """Describe one mailbox of each kind of provider, 9,100 messages of about 4 KB in all, and the account
        around each: 60 contacts, four calendars, 400 events.

        A client paced at 150 Google units per second and 200 ms per page reads all of it in half a minute.
        """
        sizes = {
            "google": 600,
            "microsoft": 2_500,
            "ews": 1_200,
            "imap": 2_000,
            "yahoo": 1_600,
            "icloud": 1_200,
        }
        specs = [
            MailboxSpec(provider, messages=size, contacts=60, calendars=4, events=400)
            for provider, size in sizes.items()
        ]
        return cls.generate(seed, specs, now=now)

    @classmethod
    def from_mail(
        cls, paths: Iterable[str | Path], *, provider: str = "imap", now: int | None = None
    ) -> "Fleet":
        """Serve mbox files, folders of mbox files and maildirs, one grant each, read-only.

        `now` is the newest message's date where None, so that the IMAP family's 90 days hold something.
        Raises FileNotFoundError for a path that is not there, ValueError for one that is no mail.
        """
        boxes = [FileMailbox.open(Path(path), provider, number) for number, path in enumerate(paths)]
        instant = max(map(newest_date, boxes)) + 1 if now is None else now
        return cls([_constant(box) for box in boxes], seed=0, now=instant)

    def __len__(self) -> int:
        """Return how many grants there are."""
        return len(self._makers)

    def __iter__(self) -> Iterator[Mailbox]:
        """Yield the mailboxes in order of creation."""
        return map(self.mailbox, range(len(self)))

    def mailbox(self, number: int) -> Mailbox:
        """Return the mailbox with this number, making it the first time."""
        if number not in self._made:
            self._made[number] = self._makers[number]()
        return self._made[number]

    def add(self, spec: MailboxSpec) -> int:
        """Describe one more generated mailbox and return its number."""
        number = len(self)
        self._makers.append(_maker(spec, self.seed, number, self.now))
        self._index.clear()
        return number

    def number(self, identifier: str) -> int | None:
        """Return the number of the mailbox whose grant has this id or e-mail address."""
        if not self._index:
            for number, mailbox in enumerate(self):
                self._index[mailbox.grant.id] = number
                if mailbox.grant.email:
                    self._index.setdefault(mailbox.grant.email, number)
        return self._index.get(identifier)

    def find(self, identifier: str) -> Mailbox | None:
        """Return the mailbox whose grant has this id or e-mail address, as it was at first."""
        found = self.number(identifier)
        return None if found is None else self.mailbox(found)


def _constant(mailbox: Mailbox) -> Callable[[], Mailbox]:
    return lambda: mailbox


def _maker(spec: MailboxSpec, seed: int, number: int, now: int) -> Callable[[], Mailbox]:
    return lambda: _generate(spec, seed, number, now)


def _generate(spec: MailboxSpec, seed: int, number: int, now: int) -> Mailbox:
    owner = words.person(seed, "owner", number)
    local, _, domain = owner.email.partition("@")
    email = spec.email or f"{local}.{number}@{domain}"
    grant = Grant(
        id=str(uuid.UUID(int=stable_int(seed, number, "grant") << 64 | stable_int(number, seed), version=4)),
        provider=spec.provider,
        # Several grants share a second, as those of an import do: created_at alone is no unique order.
        created_at=now - 400 * DAY + number // 3 * 60,
        email=None if spec.provider == "virtual-calendar" and not spec.email else email,
        name=owner.name,
        valid=spec.valid,
        scope=None if spec.provider in IMAP_FAMILY else _SCOPES.get(spec.provider, ("mail.read",)),
    )
    shape = Shape(
        seed=seed,
        mailbox=number,
        messages=spec.messages,
        rhythm=rhythm(now - int(spec.years * YEAR), now, spec.growth),
        plan=folder_plan(spec.provider, seed, number, spec.user_folders),
        plain_only=spec.plain_only if spec.provider in IMAP_FAMILY else 0.0,
        recent=now - CACHE_DAYS * DAY,
    )
    writer = Writer(
        shape=shape,
        provider=spec.provider,
        grant_id=grant.id,
        owner=words.Person(owner.name, email),
        body_mean=spec.body_mean,
        oddity_every=spec.oddity_every,
    )
    holdings = Holdings(
        provider=spec.provider,
        grant_id=grant.id,
        owner=writer.owner,
        seed=seed,
        mailbox=number,
        now=now,
        years=spec.years,
        contacts=0 if spec.provider in LACKING["contacts"] else spec.contacts,
        calendars=0 if spec.provider in LACKING["calendars"] else spec.calendars,
        events=spec.events,
        oddity_every=spec.oddity_every,
    )
    return GeneratedMailbox(grant, shape, writer, holdings)
