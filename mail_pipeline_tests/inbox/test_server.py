"""The receiver takes as many connections as the system lets it, and starts where it lets it take no more."""

import resource
from collections.abc import Callable

import pytest

from mail_pipeline.inbox.server import _allow_many_connections

UNLIMITED = resource.RLIM_INFINITY
Limits = tuple[int, int]
Allow = Callable[..., list[Limits]]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    """Start with these limits, the soft one and the hard one; return what was set."""

    def started(limits: Limits, refusal: Exception | None = None) -> list[Limits]:
        asked: list[Limits] = []

        def set_limits(_kind: int, wanted: Limits) -> None:
            asked.append(wanted)
            if refusal is not None:
                raise refusal

        monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits)
        monkeypatch.setattr(resource, "setrlimit", set_limits)
        _allow_many_connections()
        return asked

    return started


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1_024, 4_096), (4_096, 4_096)),
        ((1_024, 2**30), (65_536, 2**30)),
        ((256, UNLIMITED), (65_536, UNLIMITED)),
    ],
)
def test_the_soft_limit_rises_as_far_as_it_is_of_use(allow: Allow, limits: Limits, expected: Limits):
    assert allow(limits) == [expected]


@pytest.mark.parametrize(
    "limits", [(4_096, 4_096), (2**20, 2**20), (2**20, UNLIMITED), (UNLIMITED, UNLIMITED)]
)
def test_it_is_never_lowered(allow: Allow, limits: Limits):
    assert allow(limits) == []


@pytest.mark.parametrize("refusal", [ValueError("not allowed to raise maximum limit"), OSError("no")])
def test_a_system_that_refuses_keeps_its_limit(allow: Allow, refusal: Exception):
    assert len(allow((1_024, 2**30), refusal)) == 1
