"""Every commit leaves the lake true to its ledger."""

import time

from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.history import assert_snapshots_agree, assert_steps_are_legal
from mail_pipeline_tests.backfill.world import differences


def wait_for_the_next_second() -> None:
    """The ledger keeps whole seconds: a grant is back since its last page where its second is a later one."""
    this = int(time.time())
    while int(time.time()) == this:
        time.sleep(0.01)


def fleet(*providers: str) -> Fleet:
    specs = [MailboxSpec(each, messages=80, body_mean=300, user_folders=1) for each in providers]
    return Fleet.generate(12, specs)


def test_in_every_snapshot_rows_and_ledger_agree_and_a_last_page_completes_its_mailbox(serve: Serve) -> None:
    world = serve(Simulator(fleet("google", "ews", "imap"), limits=Limits.off(), irregular=0.5))
    world.backfill(world.register(), page_size=10)
    assert assert_snapshots_agree(world) >= 10
    assert_steps_are_legal(world)


def test_a_grant_that_vanishes_keeps_its_mail_and_is_listed_anew_when_it_returns(serve: Serve) -> None:
    world = serve(Simulator(fleet("google", "imap"), limits=Limits.off(), irregular=0.0))
    keys = world.register()
    world.backfill(keys)
    before = world.stored()
    for grant_id in (world.grant_id("google"), world.grant_id("imap")):
        world.simulator.vanish(grant_id)
    refresh_grants(world.settings())
    refresh_folders(world.settings())
    assert world.keys() == []
    assert {each.state for each in world.backfill(keys).values()} == {"failed"}
    assert differences(world.stored(), before) == {}
    asked = len(world.simulator.requests)

    wait_for_the_next_second()
    for grant_id in (world.grant_id("google"), world.grant_id("imap")):
        world.simulator.restore(grant_id)
    assert world.register() == keys
    assert {row["state"] for row in world.ledger().values()} == {"registered"}
    assert {each.state for each in world.backfill(keys).values()} == {"complete"}
    assert {row["pass"] for row in world.ledger().values()} == {2}
    assert sum(each.count for each in world.simulator.requests[asked:] if each.operation == "messages") >= 160
    assert differences(world.stored(), before) == {}
