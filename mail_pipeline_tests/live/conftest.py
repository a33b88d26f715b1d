"""Live worlds to start from: grants registered, or their mailboxes backfilled already."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.world import world
from mail_pipeline_tests.live.near import NearWorld, near_world

Near = Callable[..., NearWorld]
SEED = 1


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a data folder with these grants registered, or backfilled; for copying only."""
    made: dict[tuple[object, ...], Path] = {}

    def prepare(specs: tuple[MailboxSpec, ...], *, backfilled: bool) -> Path:
        key = (*specs, backfilled)
        if key not in made:
            data = tmp_path_factory.mktemp("prepared") / "data"
            if backfilled:
                shutil.copytree(prepare(specs, backfilled=False), data)
            with world(_simulator(specs), data) as source:
                keys = source.keys() if backfilled else source.register()
                ended = source.backfill(keys) if backfilled else {}
                assert {each.state for each in ended.values()} <= {"complete"}
            made[key] = data
        return made[key]

    return prepare


@pytest.fixture
def near(tmp_path: Path, prepared: Callable[..., Path]) -> Iterator[Near]:
    """Start a world of these mailboxes, backfilled without a webhook unless told otherwise."""
    with ExitStack() as stack:

        def start(
            *specs: MailboxSpec, backfilled: bool = True, door: bool = False, **options: Any
        ) -> NearWorld:
            data = shutil.copytree(prepared(specs, backfilled=backfilled), tmp_path / "near")
            simulator = _simulator(specs, **options)
            # What was backfilled a moment ago lies in the past: no second holds both.
            simulator.clock.advance(2)
            return stack.enter_context(near_world(simulator, data, door=door))

        yield start


def _simulator(specs: tuple[MailboxSpec, ...], **options: Any) -> Simulator:
    settings: dict[str, Any] = {"limits": Limits.off(), "irregular": 0.0, **options}
    return Simulator(Fleet.generate(SEED, specs), **settings)
