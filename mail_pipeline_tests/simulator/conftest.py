"""One simulator that several modules read, and a way to serve others."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline_tests.simulator.client import Api
from mail_pipeline_tests.simulator.receiver import Receiver, receiving


class Served(NamedTuple):
    simulator: Simulator
    api: Api

    def grant_id(self, provider: str) -> str:
        grants = (mailbox.grant for mailbox in self.simulator.fleet)
        return next(grant.id for grant in grants if grant.provider == provider)


@pytest.fixture
def serve() -> Iterator[Callable[[Simulator], Served]]:
    with ExitStack() as stack:

        def start(simulator: Simulator) -> Served:
            url = stack.enter_context(simulator.serve())
            return Served(simulator, stack.enter_context(Api(url)))

        yield start


@pytest.fixture(scope="package")
def six() -> Iterator[Served]:
    """A mailbox of each provider, and one of a provider nobody has heard of."""
    specs = [MailboxSpec(provider, messages=320, body_mean=600) for provider in (*PROVIDERS, "zimbra")]
    simulator = Simulator(Fleet.generate(7, specs), limits=Limits.off())
    with simulator.serve() as url, Api(url) as api:
        yield Served(simulator, api)


@pytest.fixture(scope="package")
def house() -> Iterator[Served]:
    """A whole account of each provider, and one with calendars only; pages are irregular."""
    kinds = (*PROVIDERS, "zimbra", "virtual-calendar")
    specs = [MailboxSpec(kind, messages=60, contacts=90, calendars=4, events=240) for kind in kinds]
    fleet = Fleet.generate(5, specs)
    clock = SimulatedClock(float(fleet.now))
    simulator = Simulator(fleet, limits=Limits.off(), irregular=0.4, clock=clock)
    with simulator.serve() as url, Api(url) as api:
        yield Served(simulator, api)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
