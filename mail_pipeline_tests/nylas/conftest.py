"""The scripted server and clients of it."""

from collections.abc import Iterator

import pytest

from mail_pipeline.nylas import GrantClient, Limits, NylasClient
from mail_pipeline_tests.nylas.scripted import GRANT, KEY, JumpingClock, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def limits() -> Limits:
    return Limits(connect_timeout=2, read_timeout=2)


@pytest.fixture
def client(server: ScriptedServer, clock: JumpingClock, limits: Limits) -> Iterator[NylasClient]:
    with NylasClient(KEY, server.uri, limits=limits, clock=clock) as nylas:
        yield nylas


@pytest.fixture
def imap(client: NylasClient) -> Iterator[GrantClient]:
    with client.grant(GRANT, "imap") as grant:
        yield grant


@pytest.fixture
def google(client: NylasClient) -> Iterator[GrantClient]:
    with client.grant(GRANT, "google") as grant:
        yield grant
