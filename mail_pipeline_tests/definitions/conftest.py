"""A data folder, a simulated Nylas and a Dagster instance for the tests here."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, Simulator

Start = Callable[..., Simulator]


@contextmanager
def working_in(data: Path) -> Iterator[Start]:
    """Point the environment at this data folder; give what points it at a simulator of some mailboxes."""
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name in os.environ:
            if name.startswith(("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")):
                environment.delenv(name)
        environment.setenv("MAIL_PIPELINE_DATA", str(data))
        environment.setenv("MAIL_PIPELINE_MIN_PAGE_INTERVAL", "0")

        def start(*specs: MailboxSpec, **options: Any) -> Simulator:
            simulator = Simulator(Fleet.generate(7, specs), limits=Limits.off(), **options)
            environment.setenv("NYLAS_API_URI", stack.enter_context(simulator.serve()))
            environment.setenv("NYLAS_API_KEY", API_KEY)
            return simulator

        yield start


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Start]:
    """Start simulators: the newest is the one the environment points at. Before, there is no key."""
    with working_in(data) as start:
        yield start


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
