"""A world of which only a subset is mirrored, and what should then be in the tables, worked out by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mail_pipeline.simulator import Faults, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.world import Identity, Mail, as_mail, differences
from mail_pipeline_tests.live.near import NearWorld, near_world

IMAP_FAMILY = {"imap", "yahoo", "icloud"}
GOOGLE, MICROSOFT, EWS, IMAP = (
    MailboxSpec(provider, messages=8, body_mean=200, user_folders=1, oddity_every=0, contacts=2, events=3)
    for provider in ("google", "microsoft", "ews", "imap")
)
Keeps = Callable[[str, dict[str, Any]], bool]
"""Tells of a provider's message whether it is wanted."""
Shows = Callable[[Mail], Mail]


@dataclass
class Mirrored:
    """A world with a configuration file that can be written anew."""

    world: NearWorld
    config: Path
    names: dict[str, str] = field(default_factory=dict)
    """Grant ids by provider."""

    def want(self, rules: str) -> None:
        """Write the file. The receiver of this world goes by what was there when it started."""
        self.config.write_text(rules)

    def folder(self, provider: str, role: str) -> str:
        """Return the first folder of a grant with this role ("user" for one of its own)."""
        folders = self.world.simulator.true_folders(self.names[provider])
        return next(each.id for each in folders if each.role == role)

    def folder_name(self, provider: str, role: str) -> str:
        """Return its name."""
        wanted = self.folder(provider, role)
        return next(
            each.name for each in self.world.simulator.true_folders(self.names[provider]) if each.id == wanted
        )

    def mirror(self, **options: Any) -> dict[str, Any]:
        """Refresh the accounts and backfill all there is to backfill."""
        self.world.register()
        return self.world.backfill(**options)

    def expected(
        self, keeps: Keeps = lambda *_: True, shows: Shows = lambda mail: mail
    ) -> dict[Identity, Mail]:
        """Return what the tables should hold, from what the provider truly has."""
        return {
            (grant_id, message["id"]): shows(as_mail(message))
            for provider, grant_id in self.names.items()
            for message in self.world.simulator.truth(grant_id)
            if keeps(provider, message)
        }

    def wrong(self, keeps: Keeps = lambda *_: True, shows: Shows = lambda mail: mail) -> dict[Any, Any]:
        """Return in what the tables differ from that."""
        assert self.world.orphans() == {}
        return differences(self.world.stored(), self.expected(keeps, shows))

    def lists(self) -> list[dict[str, str]]:
        """Return the queries of the message lists asked for so far."""
        return [each.query for each in self.world.asked("messages")]


@contextmanager
def mirrored(
    folder: Path, rules: str, *specs: MailboxSpec, faults: Faults | None = None, **options: Any
) -> Iterator[Mirrored]:
    """Start a world whose configuration file says `rules`; nothing is known of its accounts yet."""
    config = folder / "mail_pipeline.toml"
    config.write_text(rules)
    simulator = Simulator(
        Fleet.generate(3, specs), limits=Limits.off(), irregular=0.0, faults=faults, **options
    )
    with near_world(simulator, folder / "data", config=config) as world:
        names = {mailbox.grant.provider: mailbox.grant.id for mailbox in simulator.fleet}
        yield Mirrored(world, config, names)
