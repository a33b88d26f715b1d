"""A sweep finds every kind of difference, and concludes nothing from what it has not seen to the end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mail_pipeline.simulator import Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline.sync.reconcile import ReconcileReport
from mail_pipeline.sync.sweep import Findings
from mail_pipeline.sync.verify import verify
from mail_pipeline_tests.backfill.door import Edit
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld, folder_of

ONE_PASS = MailboxSpec("microsoft", messages=12, body_mean=300, user_folders=2)
BY_LABEL = MailboxSpec("google", messages=12, body_mean=300, user_folders=2)
IDS_CHANGE = MailboxSpec("ews", messages=12, body_mean=300, user_folders=2)
BY_FOLDER = MailboxSpec("imap", messages=16, body_mean=300, user_folders=1)
MANY = MailboxSpec("ews", messages=120, body_mean=100, user_folders=1)
"""More than one page."""
ALL = (ONE_PASS, BY_LABEL, IDS_CHANGE, BY_FOLDER)


def findings(report: ReconcileReport) -> Findings:
    [one] = report.grants
    assert one.error is None
    assert one.findings is not None
    return one.findings


def the_grant(world: NearWorld) -> str:
    [mailbox] = world.simulator.fleet
    return mailbox.grant.id


def all_findings(report: ReconcileReport) -> dict[str, Findings]:
    """Return what was found, by provider."""
    assert report.succeeded
    return {each.provider: each.findings for each in report.grants if each.findings is not None}


def grants(world: NearWorld) -> list[str]:
    return [mailbox.grant.id for mailbox in world.simulator.fleet]


def mail(world: NearWorld, grant: str | None = None) -> list[dict[str, Any]]:
    """Return what truly is in a mailbox, the only one unless told which, newest first."""
    return list(world.simulator.truth(grant or the_grant(world)))


def own_folder(world: NearWorld, grant: str) -> str:
    return next(each.id for each in world.simulator.true_folders(grant) if each.role == "user")


def deleted(world: NearWorld) -> int:
    """Return how many messages the lake holds for gone."""
    [(count,)] = world.ask("SELECT count(*) FROM all_messages WHERE deleted_at IS NOT NULL")
    return int(count)


def test_where_nothing_differs_nothing_is_found_asked_for_or_written(near: Near):
    world = near(*ALL)
    before = world.contents()

    found = all_findings(world.reconcile())

    assert found == {spec.provider: Findings(spec.messages, 0, 0, 0) for spec in ALL}
    assert world.asked("message") == []
    assert world.contents() == before


def test_every_kind_of_difference_is_found_and_mended_whoever_the_provider_is(near: Near):
    world = near(*ALL)
    provider = world.simulator.provider
    for grant in grants(world):
        made = provider.create_folder(grant, "Made later")
        newest, flagged, moved, gone, *_, oldest = mail(world, grant)
        provider.arrive(grant, subject="New")
        provider.arrive(grant, subject="Old, and found late", date=oldest["date"] - 60, folders=[made])
        provider.flag(grant, flagged["id"], unread=not flagged["unread"])
        provider.flag(grant, oldest["id"], starred=not oldest["starred"], unread=not oldest["unread"])
        provider.move(grant, moved["id"], [made])
        provider.move(grant, newest["id"], [made, folder_of(world, grant, [*newest["folders"], made])])
        provider.delete(grant, gone["id"])
        provider.delete_folder(grant, own_folder(world, grant))
    assert {grant for grant, _ in world.wrong()} <= set(grants(world))

    found = all_findings(world.reconcile())

    assert world.wrong() == {}
    assert len(found) == len(ALL)
    assert all(each.unknown >= 2 and each.changed >= 1 and each.missing >= 1 for each in found.values())
    again = all_findings(world.reconcile())
    assert {(each.unknown, each.changed, each.missing) for each in again.values()} == {(0, 0, 0)}


def test_mail_that_comes_back_is_there_again(near: Near):
    world = near(*ALL)
    gone = {grant: [mail(world, grant)[place]["id"] for place in (0, -1)] for grant in grants(world)}
    for grant, ids in gone.items():
        for identity in ids:
            world.simulator.provider.delete(grant, identity)
    world.reconcile()
    assert world.wrong() == {}
    assert deleted(world) == 2 * len(ALL)

    for grant, ids in gone.items():
        for identity in ids:
            world.simulator.provider.restore(grant, identity)
    world.reconcile()
    assert world.wrong() == {}


def test_old_imap_mail_that_left_a_folder_by_moving_is_in_the_other_one_only(near: Near):
    world = near(BY_FOLDER)
    grant = the_grant(world)
    oldest = mail(world)[-1]
    other = folder_of(world, grant, oldest["folders"])

    world.simulator.provider.move(grant, oldest["id"], [other])
    found = findings(world.reconcile())

    assert (found.changed, found.missing) == (1, 0)
    assert world.ask("SELECT folder_id FROM message_folders WHERE message_id = ?", [oldest["id"]]) == [
        (other,)
    ]


def changed_mailboxes(near: Near, *specs: MailboxSpec, **options: Any) -> NearWorld:
    """Return a world in which of each mailbox one message is gone and another has changed its flags."""
    world = near(*specs, **options)
    for grant in grants(world):
        gone, flagged, *_ = mail(world, grant)[::-1]
        world.simulator.provider.delete(grant, gone["id"])
        world.simulator.provider.flag(grant, flagged["id"], unread=not flagged["unread"])
    return world


def test_a_sweep_that_breaks_off_at_any_page_changes_nothing(near: Near):
    pages = 7
    # The n-th sweep fails at its n-th page.
    rules = [
        FaultRule(Fault.GRANT_EXPIRED, operation="messages", first=n * (n + 1) // 2) for n in range(1, pages)
    ]
    world = changed_mailboxes(near, BY_FOLDER, faults=Faults(rules))
    before = world.contents()

    for n in range(1, pages):
        report = world.reconcile(patience=0.0)
        assert [each.error is None for each in report.grants] == [False]
        assert len(world.asked("messages")) == n * (n + 1) // 2
        assert not report.succeeded
    assert world.contents() == before
    assert world.wanted() == {}
    assert world.ask("SELECT count(*) FROM reconciliations") == [(0,)]

    assert findings(world.reconcile()).missing == 1
    assert world.wrong() == {}
    assert len(world.asked("messages")) >= (pages - 1) * pages // 2 + pages - 1


REFUSED = {"error": {"type": "provider_error", "message": "Try it some other time"}}


@pytest.mark.parametrize("status", [400, 403, 404, 504])
def test_of_a_folder_that_is_refused_nothing_is_concluded_and_the_others_are_mended(near: Near, status: int):
    world = near(BY_FOLDER, door=True)
    assert world.door is not None
    grant, provider = the_grant(world), world.simulator.provider
    inside = mail(world)[-1]
    [refused] = inside["folders"]
    outside = next(each for each in mail(world)[::-1] if refused not in each["folders"])
    provider.delete(grant, inside["id"])
    provider.delete(grant, outside["id"])
    late = provider.arrive(grant, subject="Late", date=outside["date"] - 60, folders=outside["folders"])
    stands = [True]
    world.door.refuse(
        lambda asked: stands[0] and asked.operation == "messages" and asked.folder_id == refused,
        status,
        REFUSED,
    )

    report = world.reconcile(patience=0.0)
    [one] = report.grants
    assert one.error is not None
    assert one.error.message.startswith("Folders that could not be listed: 1. ")
    assert not report.succeeded
    assert world.wrong() == {(grant, inside["id"]): "too much"}
    assert (grant, late) in world.stored()
    # What repairs a gap is a sweep of everything.
    assert world.ask("SELECT count(*) FROM reconciliations") == [(0,)]
    [told] = verify(world.settings(patience=0.0))
    assert told.error is not None
    assert told.error.message == one.error.message

    stands[0] = False
    assert findings(world.reconcile()).missing == 1
    assert world.wrong() == {}


def test_after_three_folders_refused_in_a_row_the_others_are_not_tried(near: Near):
    world = near(BY_FOLDER, door=True)
    assert world.door is not None
    folders = len(world.simulator.true_folders(the_grant(world)))
    world.door.refuse(
        lambda asked: asked.operation == "messages" and asked.folder_id is not None, 403, REFUSED
    )

    [one] = world.reconcile().grants

    assert one.error is not None
    assert one.error.message.startswith(f"Folders that could not be listed: {folders}. ")
    assert folders > 3
    assert world.door.arrived() == 1 + 3


def test_a_sweep_whose_cursor_is_rejected_goes_on_by_time(near: Near):
    expires = FaultRule(Fault.CURSOR_EXPIRED, operation="messages", times=1)
    world = changed_mailboxes(near, MANY, faults=Faults([expires]))

    assert findings(world.reconcile()).missing == 1

    assert [each.status == 200 for each in world.asked("messages")] == [True, False, True, True]
    assert world.wrong() == {}


@pytest.mark.parametrize("listed", ["none", "all but the last"])
def test_mail_that_moves_while_the_sweep_runs_is_not_deleted(near: Near, listed: str):
    world = near(BY_FOLDER, door=True)
    assert world.door is not None
    grant, provider = the_grant(world), world.simulator.provider
    first, *_, last = folders = sorted(each.id for each in world.simulator.true_folders(grant))
    old = mail(world)[-1]["id"]
    provider.move(grant, old, [last])
    world.reconcile()
    assert world.wrong() == {}
    # What was seen in the second in which a sweep begins may be younger than the sweep.
    world.simulator.clock.advance(2)

    # The list without a folder comes first; where the mail goes to has been listed by then.
    turn = world.door.arrived() + (1 if listed == "none" else len(folders))

    def move(_: dict[str, Any]) -> None:
        provider.move(grant, old, [first])

    world.door.edit(lambda asked: asked.operation == "messages" and asked.number == turn, move)
    world.reconcile()

    assert world.wrong() == {}
    assert world.ask("SELECT folder_id FROM message_folders WHERE message_id = ?", [old]) == [(first,)]
    assert deleted(world) == 0


def without_id(answer: dict[str, Any]) -> None:
    for record in answer["data"][:1]:
        del record["id"]


def no_object(answer: dict[str, Any]) -> None:
    answer["data"] = ["mail", *answer["data"][1:]]


@pytest.mark.parametrize("spoil", [without_id, no_object])
def test_a_record_without_a_readable_id_may_be_any_of_the_missing(near: Near, spoil: Edit):
    world = changed_mailboxes(near, ONE_PASS, BY_FOLDER, door=True)
    assert world.door is not None
    spoiled = [True]
    world.door.edit(lambda asked: asked.operation == "messages" and spoiled[0], spoil)

    assert {each.missing for each in all_findings(world.reconcile()).values()} == {0}
    assert deleted(world) == 0

    spoiled[0] = False
    assert {each.missing for each in all_findings(world.reconcile()).values()} == {1}
    assert world.wrong() == {}


def test_not_found_alone_does_not_delete(near: Near):
    world = near(BY_FOLDER, door=True)
    assert world.door is not None
    grant = the_grant(world)
    oldest = mail(world)[-1]
    # The lake has heard nothing of it, and asking for it brings "not found", in its folder and in any.
    world.door.refuse(lambda asked: asked.operation == "message", 404, REFUSED)
    world.simulator.provider.arrive(
        grant, subject="Hard to find", date=oldest["date"] - 60, folders=oldest["folders"]
    )

    assert findings(world.reconcile()).unknown == 1
    assert world.door.arrived("message") == 2
    assert deleted(world) == 0


def test_a_folder_that_answers_not_found_deletes_nothing_in_it(near: Near):
    gone = FaultRule(Fault.FOLDER_GONE, operation="messages", times=1)
    world = near(BY_FOLDER, faults=Faults([gone]))
    before = world.contents()

    [one] = world.reconcile().grants

    assert one.error is not None
    assert world.contents() == before
    assert world.wanted() == {}


def test_a_folder_that_is_gone_takes_its_old_mail_along_and_brings_it_back(near: Near):
    world = near(BY_FOLDER)
    grant = the_grant(world)
    folder = mail(world)[-1]["folders"][0]
    inside = {each["id"] for each in mail(world) if each["folders"] == [folder]}
    everything = world.stored()
    world.simulator.vanish(grant, folder)

    world.reconcile()
    assert {identity for _, identity in everything.keys() - world.stored().keys()} <= inside

    world.simulator.restore(grant, folder)
    world.reconcile()
    assert world.wrong() == {}


@pytest.mark.parametrize("days", [7, 400])
def test_a_window_looks_at_all_of_its_mail_and_at_no_other(near: Near, days: int):
    world = near(BY_LABEL, BY_FOLDER)
    provider = world.simulator.provider
    start = datetime.fromtimestamp(world.simulator.fleet.now, UTC) - timedelta(days=days)
    moment = int(start.timestamp())
    unseen = {}
    for grant in grants(world):
        inside = [each["id"] for each in mail(world, grant) if each["date"] >= moment]
        before = [each["id"] for each in mail(world, grant) if each["date"] < moment]
        provider.arrive(grant, subject="Inside", date=moment)
        unseen[grant, provider.arrive(grant, subject="Before", date=moment - 1)] = "missing"
        unseen[grant, provider.delete(grant, before[-1])] = "too much"
        for identity in inside[:1]:
            provider.delete(grant, identity)

    world.reconcile(since=start)

    assert world.wrong() == unseen


def test_mail_listed_twice_over_the_edge_of_a_page_is_one_message(near: Near):
    repeats = FaultRule(Fault.REPEATED_RECORDS, operation="messages", times=None)
    world = near(MANY, faults=Faults([repeats]))
    arrived = world.simulator.provider.arrive(the_grant(world))

    report = world.reconcile()

    assert findings(report).listed == 121
    assert sum(each.count for each in world.asked("messages")) > 121
    assert report.fetched == 1
    assert (the_grant(world), arrived) in world.stored()
    assert world.wrong() == {}


def test_of_two_sightings_in_one_sweep_the_later_one_counts(near: Near):
    repeats = FaultRule(Fault.REPEATED_RECORDS, operation="messages", times=None)
    world = near(MANY, faults=Faults([repeats]), door=True)
    assert world.door is not None
    grant = the_grant(world)
    # The last of the first page is the first of the second.
    edge = mail(world)[49]

    def flag(_: dict[str, Any]) -> None:
        world.simulator.clock.advance(5)
        world.simulator.provider.flag(grant, edge["id"], unread=not edge["unread"])

    world.door.edit(lambda asked: asked.operation == "messages" and asked.number == 1, flag)
    world.reconcile()

    assert world.wrong() == {}


def test_a_list_that_goes_round_in_circles_is_given_up(near: Near):
    repeated = FaultRule(Fault.REPEATED_CURSOR, operation="messages", times=None)
    world = near(MANY, faults=Faults([repeated]))
    before = world.contents()

    [one] = world.reconcile().grants

    assert one.error is not None
    assert "same cursor twice" in one.error.message
    assert world.contents() == before
