"""Worlds to backfill from."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mail_pipeline.simulator import Simulator
from mail_pipeline_tests.backfill.world import World, world

Serve = Callable[[Simulator], World]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a simulator until the test ends; its mail goes to the test's own data folder."""
    with ExitStack() as stack:
        yield lambda simulator: stack.enter_context(world(simulator, tmp_path / "data"))
