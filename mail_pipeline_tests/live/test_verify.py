"""Verify names exactly the messages that differ from the provider's, in which way, and changes none."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mail_pipeline.cli import main
from mail_pipeline.errors import RetryLater, SkipMailbox, StopRun
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Fault, FaultRule, Faults, MailboxSpec
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.sweep import Differences, Swept, compare
from mail_pipeline.sync.verify import Verification, verify
from mail_pipeline_tests.live.conftest import Near
from mail_pipeline_tests.live.near import NearWorld, folder_of
from mail_pipeline_tests.subset.mirrored import GOOGLE as SUBSET_GOOGLE
from mail_pipeline_tests.subset.mirrored import mirrored

GOOGLE = MailboxSpec("google", messages=12, body_mean=300, user_folders=2)
MICROSOFT = MailboxSpec("microsoft", messages=12, body_mean=300, user_folders=2)
EWS = MailboxSpec("ews", messages=12, body_mean=300, user_folders=2)
IMAP = MailboxSpec("imap", messages=16, body_mean=300, user_folders=1)
ALL = (GOOGLE, MICROSOFT, EWS, IMAP)


def named(found: list[Verification]) -> dict[str, dict[str, str]]:
    """Return what differs, by grant and message."""
    return {
        each.grant_id: {one.message_id: one.kind for one in each.differences}
        for each in found
        if each.differences
    }


def rows(world: NearWorld) -> list[tuple[Any, ...]]:
    return world.ask("SELECT * FROM all_messages ORDER BY grant_id, id")


def test_what_is_as_the_provider_has_it_is_verified(near: Near):
    world = near(*ALL)

    found = verify(world.settings())

    assert all(each.verified for each in found)
    assert {each.provider: each.listed for each in found} == {
        "google": 12,
        "microsoft": 12,
        "ews": 12,
        "imap": 16,
    }


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.provider)
def test_each_message_that_differs_is_named_with_the_way_it_does_and_none_is_changed(
    near: Near, spec: MailboxSpec
):
    world = near(spec)
    grant = world.grant_id(spec.provider)
    provider = world.simulator.provider
    restored, gone, flagged, moved = (_newest(world, number)["id"] for number in range(4))
    provider.delete(grant, restored)
    assert world.reconcile().succeeded
    provider.restore(grant, restored)
    provider.delete(grant, gone)
    provider.flag(grant, flagged, unread=not _truth(world, grant, flagged)["unread"])
    provider.move(grant, moved, [folder_of(world, grant, _truth(world, grant, moved)["folders"])])
    world.simulator.clock.advance(2)
    arrived = provider.arrive(grant)
    before = rows(world)

    found = named(verify(world.settings()))

    wrong = {identity for _, identity in world.wrong()}
    assert rows(world) == before
    # Where a folder is a message's own home, moving one makes another of it.
    kinds = found[grant]
    assert kinds.keys() == wrong
    assert kinds[restored] == "deleted"
    assert kinds[gone] == "extra"
    assert kinds[flagged] == "changed"
    assert kinds[moved] in {"changed", "extra"}
    assert kinds[arrived] == "unknown"

    assert world.reconcile().succeeded
    assert named(verify(world.settings())) == {}


def test_a_message_that_only_the_list_did_not_show_is_not_named(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    world.door.edit(lambda asked: asked.operation == "messages", _without_the_third)

    [found] = verify(world.settings())

    assert found.listed == 11
    assert found.verified


def test_a_grant_with_a_folder_that_cannot_be_read_is_not_called_whole(near: Near):
    world = near(IMAP, GOOGLE, door=True)
    assert world.door is not None
    imap = world.grant_id("imap")
    world.door.edit(
        lambda asked: asked.operation == "folders" and asked.grant_id == imap,
        lambda answer: answer["data"].append({"name": "no id"}),
    )

    found = {each.provider: each for each in verify(world.settings())}

    assert found["google"].verified
    assert found["imap"].listed == IMAP.messages
    assert "Folders that cannot be read: 1" in str(found["imap"].error)
    assert not found["imap"].verified


def test_what_notifications_told_while_the_list_was_read_is_not_judged(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    world.follow()
    newest = _newest(world, 0)

    def as_it_was(answer: dict[str, Any]) -> None:
        answer["data"][0]["unread"] = newest["unread"]

    world.door.edit(lambda asked: asked.operation == "messages", as_it_was)
    release = world.door.hold(lambda asked: asked.operation == "messages")
    with ThreadPoolExecutor(1) as pool:
        verifying = pool.submit(verify, world.settings())
        world.door.wait_for(1)
        world.simulator.clock.advance(2)
        world.simulator.provider.flag(newest["grant_id"], newest["id"], unread=not newest["unread"])
        world.settle()
        release.set()
        assert all(each.verified for each in verifying.result())


def test_where_a_listed_record_cannot_be_read_nothing_is_called_extra(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    flagged, gone = _newest(world, 0), _newest(world, 1)
    world.simulator.provider.flag(flagged["grant_id"], flagged["id"], unread=not flagged["unread"])
    world.simulator.provider.delete(gone["grant_id"], gone["id"])
    world.door.edit(lambda asked: asked.operation == "messages", _third_without_id)

    [found] = verify(world.settings())

    assert named([found]) == {flagged["grant_id"]: {flagged["id"]: "changed"}}
    assert not found.verified
    assert "that cannot be read: 1; so nobody can tell what is extra" in str(found.error)


@pytest.mark.parametrize("before", ["messages = false", ""])
def test_a_grant_of_which_no_mail_is_wanted_has_nothing_to_differ(tmp_path: Path, before: str):
    with mirrored(tmp_path, before, SUBSET_GOOGLE) as found:
        found.mirror()
        found.want("messages = false")

        [verified] = verify(found.world.settings())

    assert verified.verified
    assert verified.listed == 0


def test_only_mail_since_the_date_asked_for_is_compared(near: Near):
    world = near(GOOGLE)
    grant = world.grant_id("google")
    newest, oldest = _newest(world, 0), _newest(world, -1)
    for each in (newest, oldest):
        world.simulator.provider.flag(grant, each["id"], unread=not each["unread"])

    [found] = verify(world.settings(), since=datetime.fromtimestamp(newest["date"] - 1, UTC))

    assert named([found]) == {grant: {newest["id"]: "changed"}}
    assert found.listed is not None
    assert found.listed < 12


def test_a_date_before_all_mail_compares_the_whole_mailbox(near: Near):
    world = near(GOOGLE)
    [whole] = verify(world.settings())
    [found] = verify(world.settings(), since=datetime(1960, 1, 1, tzinfo=UTC))
    assert found.verified
    assert (found.since, found.listed) == (None, whole.listed)


def test_a_mailbox_that_was_backfilled_to_a_date_is_compared_to_that_date(near: Near):
    world = near(GOOGLE, backfilled=False)
    middle = _newest(world, 5)
    world.backfill(world.keys(), since=datetime.fromtimestamp(middle["date"], UTC))

    [found] = verify(world.settings())

    assert found.verified
    assert found.listed is not None
    assert 6 <= found.listed < 12


def test_a_mailbox_whose_backfill_has_not_ended_is_not_compared(near: Near):
    world = near(GOOGLE, MICROSOFT, backfilled=False)
    world.backfill([world.grant_id("microsoft")])

    found = {each.provider: each for each in verify(world.settings())}

    error = found["google"].error
    assert isinstance(error, SkipMailbox)
    assert "whose backfill has not ended: 1" in error.message
    assert f"backfill --grant {world.grant_id('google')}" in error.next_step
    assert found["microsoft"].verified


def test_a_repair_fetches_nothing_that_was_not_to_be_backfilled(near: Near, monkeypatch: pytest.MonkeyPatch):
    world = near(GOOGLE, backfilled=False)
    middle, newest = _newest(world, 5), _newest(world, 0)
    world.backfill(world.keys(), since=datetime.fromtimestamp(middle["date"], UTC))
    [(before,)] = world.ask("SELECT count(*) FROM messages")
    world.simulator.clock.advance(2)
    world.simulator.provider.flag(newest["grant_id"], newest["id"], unread=not newest["unread"])
    settings = world.settings()
    for name, value in {
        "NYLAS_API_URI": settings.api_uri,
        "NYLAS_API_KEY": settings.api_key,
        "MAIL_PIPELINE_DATA": str(world.data),
    }.items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(main, ["verify", "--repair", "--json"])

    said = json.loads(result.stdout)
    assert [len(each["differences"]) for each in (*said["grants"], *said["repaired"])] == [1, 0]
    assert said["grants"][0]["since"] is not None
    assert world.ask("SELECT count(*) FROM messages") == [(before,)]
    assert result.exit_code == 0


def test_folders_that_reach_back_to_different_dates_are_not_compared_as_one(near: Near):
    world = near(IMAP, backfilled=False)
    keys = world.keys()
    first, *others = (key for key in keys if not key.endswith("@recent"))
    world.backfill([first], since=datetime(2026, 1, 1, tzinfo=UTC))
    world.backfill([*others, f"{world.grant_id('imap')}/@recent"])

    [found] = verify(world.settings())

    assert not found.verified
    assert "were backfilled to different dates" in str(found.error)


def test_mail_that_left_the_folders_that_are_wanted_is_extra(tmp_path: Path):
    with mirrored(tmp_path, 'exclude_folders = ["role:trash"]', SUBSET_GOOGLE) as found:
        found.mirror()
        world = found.world
        world.simulator.clock.advance(2)
        moved = _newest(world, 0)
        world.simulator.provider.move(moved["grant_id"], moved["id"], [found.folder("google", "trash")])

        [verified] = verify(world.settings())

        assert named([verified]) == {moved["grant_id"]: {moved["id"]: "extra"}}


def test_more_that_is_wanted_by_now_is_no_difference_but_a_backfill_to_run(tmp_path: Path):
    with mirrored(tmp_path, 'exclude_message_fields = ["starred"]', SUBSET_GOOGLE) as found:
        found.mirror()
        found.world.simulator.clock.advance(2)
        found.want("")

        [verified] = verify(found.world.settings())

    assert verified.differences == ()
    assert "More of grant" in str(verified.error)
    assert "backfill --grant" in str(verified.error)


def test_a_message_that_cannot_be_asked_for_hides_none_of_the_others(near: Near):
    world = near(GOOGLE, door=True)
    assert world.door is not None
    flagged, hidden = _newest(world, 0), _newest(world, 2)
    world.simulator.provider.flag(flagged["grant_id"], flagged["id"], unread=not flagged["unread"])
    world.door.edit(lambda asked: asked.operation == "messages", _without_the_third)
    world.door.refuse(
        lambda asked: asked.operation == "message", 400, {"error": {"type": "x", "message": "no"}}
    )

    [found] = verify(world.settings())

    assert named([found]) == {flagged["grant_id"]: {flagged["id"]: "changed"}}
    assert "neither shows nor says to be gone: 1" in str(found.error)
    assert hidden["id"] not in str(found.error)


def test_a_grant_that_is_at_work_or_answers_no_more_leaves_the_others(near: Near):
    world = near(GOOGLE, MICROSOFT, EWS)
    busy = world.grant_id("google")
    world.simulator.provider.expire(world.grant_id("microsoft"))
    leases = Leases(world.data)
    with Lake(world.data) as lake, lake.locked():
        assert leases.take(busy) is not None

    found = {each.provider: each for each in verify(world.settings())}
    leases.close()

    assert isinstance(found["google"].error, RetryLater)
    assert found["microsoft"].error is not None
    assert found["ews"].verified


def test_an_error_nobody_expected_stays_with_its_grant(near: Near, monkeypatch: pytest.MonkeyPatch):
    world = near(GOOGLE, MICROSOFT)
    broken = world.grant_id("google")

    def chokes(transaction: Transaction, swept: Swept, *, settled: bool) -> Differences:
        if swept.grant_id == broken:
            raise RuntimeError
        return compare(transaction, swept, settled=settled)

    monkeypatch.setattr("mail_pipeline.sync.verify.compare", chokes)
    found = {each.provider: each for each in verify(world.settings())}

    assert found["google"].error is not None
    assert found["google"].error.message == "An unexpected RuntimeError stopped the sweep"
    assert found["microsoft"].verified


def test_a_grant_nobody_knows_is_named(near: Near):
    world = near(GOOGLE)

    with pytest.raises(StopRun, match="There is no grant nobody"):
        verify(world.settings(), grants={"nobody"})


def test_a_server_that_stumbles_changes_nothing_of_what_is_named(near: Near):
    faults = Faults([FaultRule(Fault.UNAVAILABLE, operation="messages", times=2)])
    world = near(GOOGLE, faults=faults)
    grant = world.grant_id("google")
    newest = _newest(world, 0)
    world.simulator.provider.delete(grant, newest["id"])

    assert named(verify(world.settings())) == {grant: {newest["id"]: "extra"}}
    assert len(world.asked("messages")) == 3


def _newest(world: NearWorld, number: int) -> dict[str, Any]:
    """Return the first grant's newest message, or a later one by its number."""
    [grant, *_] = [mailbox.grant.id for mailbox in world.simulator.fleet]
    return list(world.simulator.truth(grant))[number]


def _truth(world: NearWorld, grant_id: str, message_id: str) -> dict[str, Any]:
    return next(each for each in world.simulator.truth(grant_id) if each["id"] == message_id)


def _third_without_id(answer: dict[str, Any]) -> None:
    del answer["data"][2]["id"]


def _without_the_third(answer: dict[str, Any]) -> None:
    del answer["data"][2]
