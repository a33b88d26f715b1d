from collections import Counter
from itertools import islice

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.errands import ERRANDS


def lively(*specs):
    fleet = Fleet.generate(0, specs or [MailboxSpec(kind, messages=40, body_mean=50) for kind in PROVIDERS])
    return Simulator(fleet, clock=SimulatedClock(1.8e9))


def truths(simulator):
    return [list(simulator.truth(mailbox.grant.id)) for mailbox in simulator.fleet]


def test_the_same_seed_makes_the_same_changes_to_the_same_mail():
    one, same, other = lively(), lively(), lively()
    steps = [
        list(islice(simulator.provider.live(seed), 300))
        for simulator, seed in ((one, 1), (same, 1), (other, 2))
    ]

    assert steps[0] == steps[1] != steps[2]
    assert truths(one) == truths(same) != truths(other)


def test_every_kind_of_change_happens_to_every_mailbox():
    simulator = lively()
    steps = list(islice(simulator.provider.live(4), 3_000))
    kinds = Counter(step.operation for step in steps)

    assert set(kinds) == {
        *("arrive", "flag", "move", "delete", "restore", "edit"),
        *("create_folder", "rename_folder", "delete_folder"),
    }
    assert kinds["arrive"] == max(kinds.values())
    assert {step.grant_id for step in steps} == {mailbox.grant.id for mailbox in simulator.fleet}


def test_it_goes_on_in_an_empty_mailbox_and_keeps_to_the_grants_named():
    simulator = lively(MailboxSpec("ews", messages=0), MailboxSpec("imap", messages=0))
    first = simulator.fleet.mailbox(0).grant.id
    steps = list(islice(simulator.provider.live(1, grants=[first]), 100))

    assert {step.grant_id for step in steps} == {first}
    assert len(truths(simulator)[0]) > 10
    assert truths(simulator)[1] == []


def test_expired_and_mailless_grants_are_left_alone():
    simulator = lively(
        MailboxSpec("google", messages=5),
        MailboxSpec("virtual-calendar", messages=0),
        MailboxSpec("ews", messages=5),
    )
    google, _, ews = (mailbox.grant.id for mailbox in simulator.fleet)
    life = simulator.provider.live(1)
    simulator.provider.expire(google)
    assert {step.grant_id for step in islice(life, 50)} == {ews}
    simulator.provider.disconnect(ews)
    assert next(life, None) is None


def test_without_folder_changes_only_mail_changes():
    steps = list(islice(lively().provider.live(4, folders=False), 300))
    assert not any(step.operation.endswith("_folder") for step in steps)
    assert {"arrive", "flag", "move", "delete"} <= {step.operation for step in steps}


STREAMS = ("messages", "contacts", "calendars", "events")


def test_the_whole_account_lives_where_asked_and_the_mail_alone_otherwise():
    one, same = lively(), lively()
    steps = list(islice(one.provider.live(3, streams=STREAMS), 1_500))
    assert list(islice(same.provider.live(3, streams=STREAMS), 1_500)) == steps
    for stream in STREAMS:
        ours, theirs = (
            [list(world.truth(mailbox.grant.id, stream)) for mailbox in world.fleet] for world in (one, same)
        )
        assert ours == theirs

    every = {name for stream in STREAMS[1:] for name in ERRANDS[stream]}
    assert every <= {step.operation for step in steps}
    assert not every & {step.operation for step in islice(lively().provider.live(3), 300)}
    kinds = {mailbox.grant.id: mailbox.grant.provider for mailbox in one.fleet}
    calendars = {kinds[step.grant_id] for step in steps if step.operation.endswith("_event")}
    assert calendars == {"google", "microsoft", "ews", "icloud"}


def test_one_stream_can_live_alone_and_an_unknown_one_cannot():
    steps = islice(lively().provider.live(3, streams=("contacts",)), 200)
    assert {step.operation for step in steps} == set(ERRANDS["contacts"])
    with pytest.raises(ValueError, match="weather"):
        next(lively().provider.live(3, streams=("weather",)))
