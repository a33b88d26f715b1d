from collections import Counter
from itertools import islice

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.errands import ERRANDS
from mail_pipeline.simulator.notifications import Event
from mail_pipeline.simulator.provider import Provider
from mail_pipeline.simulator.truths import truth
from mail_pipeline.simulator.world import World


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
UNTOLD = ("metadata", "notetaker")
"""Fields of a calendar that no notification carries."""
OCCURRENCES = ("occurrences", "cancelled_occurrences")
"""What notifications say of a series and no list does."""


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
    silent = lively(MailboxSpec("imap", messages=9), MailboxSpec("google", messages=9, calendars=0))
    assert next(silent.provider.live(3, streams=("events",)), None) is None
    calendars = lively(MailboxSpec("virtual-calendar", messages=0))
    steps = islice(calendars.provider.live(3, streams=STREAMS), 100)
    assert not {step.operation for step in steps} & {"arrive", "create_contact"}
    with pytest.raises(ValueError, match="weather"):
        next(lively().provider.live(3, streams=("weather",)))


@pytest.mark.parametrize("kind", ["google", "microsoft", "icloud"])
def test_what_is_told_leads_from_the_old_account_to_the_new_one(kind):
    fleet = Fleet.generate(1, [MailboxSpec(kind, messages=0, events=60, calendars=3, oddity_every=0)])
    world, told = World(fleet, SimulatedClock(float(fleet.now))), list[Event]()
    grant_id = fleet.mailbox(0).grant.id

    def records():
        return {
            (stream, record.get("calendar_id"), record["id"]): record
            for stream in ERRANDS
            for record in truth(world, grant_id, stream)
        }

    mirror = records()
    list(islice(Provider(world, told.append).live(9, streams=tuple(ERRANDS)), 500))
    after = records()
    for event in told:
        resource, _, change = event.trigger.partition(".")
        subject = {name: value for name, value in event.object.items() if name not in OCCURRENCES}
        key = (f"{resource}s", subject.get("calendar_id"), subject["id"])
        if change != "deleted":
            mirror[key] = mirror.get(key, {}) | subject
        elif resource == "event" and subject["calendar_id"] is None:
            # Whoever is not told where has to look.
            gone = [one for one in mirror if one[0] == "events" and one[2] == key[2] and one not in after]
            for one in gone:
                del mirror[one]
        else:
            del mirror[key]
        if event.trigger == "calendar.deleted":
            mirror = {one: record for one, record in mirror.items() if one[1] != subject["id"]}
    kept = {key: record | {name: after[key].get(name) for name in UNTOLD} for key, record in mirror.items()}
    assert kept == {
        key: record | {name: record.get(name) for name in UNTOLD} for key, record in after.items()
    }
