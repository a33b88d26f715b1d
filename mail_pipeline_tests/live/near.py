"""A live world whose receiver is in this process, on mailboxes that were backfilled once for all tests."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mail_pipeline.inbox.landing import Delivery
from mail_pipeline.simulator import Simulator
from mail_pipeline.sync.coverage import Coverage, watch
from mail_pipeline.sync.reconcile import ReconcileReport, Reconciliation, reconcile
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.live.world import LiveWorld
from mail_pipeline_tests.simulator.receiver import Received, receiving


@dataclass
class NearWorld(LiveWorld):
    """A world with a receiver that stores what it is sent and gives signs of life only when told to."""

    door: Door | None = None

    def beat(self, at: float | None = None, *, started: bool = True) -> None:
        """Give a receiver's sign of life, now or at a time of this machine's clock."""
        with self.landing() as landing:
            landing.beat("near", time.time() if at is None else at, started=started)

    def follow(self) -> None:
        """Have what changes from now on land: a webhook, and a receiver that lives."""
        self.beat()
        self.subscribe()

    def watch(self) -> Coverage:
        """Look at webhooks and receivers."""
        return watch(self.settings())

    def reconcile(
        self,
        *grants: str,
        since: datetime | None = None,
        on_grant: Callable[[Reconciliation], None] | None = None,
        **settings: Any,
    ) -> ReconcileReport:
        """Sweep these grants, or all."""
        chosen = self.settings(**settings)
        return reconcile(chosen, grants=set(grants) or None, since=since, on_grant=on_grant)

    def gaps(self) -> list[tuple[str, str | None, int, int | None, bool]]:
        """Return cause, grant, begin and end of each gap, and whether it is repaired."""
        return self.ask(
            "SELECT cause, grant_id, epoch(began_at)::BIGINT, epoch(ended_at)::BIGINT, "
            "repaired_at IS NOT NULL FROM gaps ORDER BY began_at, cause, grant_id"
        )

    def waiting(self) -> list[tuple[str, str | None, str | None]]:
        """Return what is still to be asked of the API: object, its id, the reason."""
        return self.ask("SELECT object, object_id, reason FROM fetches ORDER BY ALL")

    def wanted(self) -> dict[tuple[str, str | None], list[str]]:
        """Return the same by object and its id: all the reasons."""
        found: dict[tuple[str, str | None], list[str]] = {}
        for kind, identity, reason in self.waiting():
            found.setdefault((kind, identity), []).append(reason or "")
        return found

    def asked(self, operation: str) -> list[Any]:
        """Return the requests of an operation that the simulator has answered."""
        return [each for each in self.simulator.requests if each.operation == operation]


@contextmanager
def near_world(
    simulator: Simulator, data: Path, *, door: bool = False, config: Path | None = None
) -> Iterator[NearWorld]:
    """Serve a simulator, through a door where one is wanted, and receive what it posts."""
    with ExitStack() as stack:
        stands = Door(simulator) if door else None
        url = stack.enter_context(simulator.serve())
        receiver = stack.enter_context(receiving())
        world = NearWorld(simulator, url, data, receiver=receiver.url, door=stands, config=config)
        stack.callback(world.close)
        landing = stack.enter_context(world.landing())

        def store(one: Received) -> int:
            landing.store([Delivery(time.time(), one.headers, one.body)])
            return 200

        receiver.answer = store
        yield world


def folder_of(world: LiveWorld, grant_id: str, folders: Iterable[str]) -> str:
    """Return a folder of a grant that is none of these."""
    there = [folder.id for folder in world.simulator.true_folders(grant_id)]
    return next(folder for folder in there if folder not in set(folders))
