"""Mail that comes and leaves what is wanted, told in one batch of notifications."""

import json
import time
from pathlib import Path

import pytest

from mail_pipeline.inbox.landing import Delivery
from mail_pipeline_tests.subset.mirrored import GOOGLE, mirrored

UNWANTED_JUNK = 'exclude_folders = ["role:junk"]'


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the other way round"])
def test_what_comes_and_is_moved_out_of_what_is_wanted_is_not_there(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    with mirrored(tmp_path, UNWANTED_JUNK, GOOGLE) as found:
        found.mirror()
        found.world.follow()
        grant_id, provider = found.names["google"], found.world.simulator.provider
        new = provider.arrive(grant_id, subject="You have won")
        found.world.simulator.clock.advance(5)
        provider.move(grant_id, new, [found.folder("google", "junk")])
        told = [json.dumps(each.envelope).encode() for each in found.world.simulator.notifications]
        assert len(told) == 2
        with found.world.landing() as landing:
            landing.store([Delivery(time.time(), {}, told[number]) for number in order])

        found.world.apply()

        assert found.world.ask("SELECT id FROM messages WHERE id = ?", [new]) == []


def test_what_comes_back_into_what_is_wanted_in_the_same_batch_is_there(tmp_path: Path) -> None:
    with mirrored(tmp_path, UNWANTED_JUNK, GOOGLE) as found:
        found.mirror()
        found.world.follow()
        grant_id, provider = found.names["google"], found.world.simulator.provider
        junk, inbox = found.folder("google", "junk"), found.folder("google", "inbox")
        new = provider.arrive(grant_id, subject="You have won", folders=[junk])
        found.world.simulator.clock.advance(5)
        provider.move(grant_id, new, [inbox])
        found.world.settle()

        assert found.world.ask("SELECT id FROM messages WHERE id = ?", [new]) == [(new,)]
