"""Every limit of Nylas and of the providers is enforced here as documented, and none is ever run into."""

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.world import World, differences

GOOGLE_UNITS_PER_SECOND = 50.0
GOOGLE_MESSAGES = 620
"""At 5 units each, more than the 3,000 that a minute allows."""
LIMITS = Limits(google_units_per_second=GOOGLE_UNITS_PER_SECOND)


def test_mailboxes_larger_than_a_minutes_quota_are_never_throttled(serve: Serve) -> None:
    specs = [
        MailboxSpec(
            each, messages=GOOGLE_MESSAGES if each == "google" else 400, body_mean=300, user_folders=1
        )
        for each in PROVIDERS
    ]
    world = serve(Simulator(Fleet.generate(4, specs), limits=LIMITS))
    keys = world.register()
    ended = world.backfill(
        keys,
        settings=world.settings(
            google_units_per_second=0.95 * GOOGLE_UNITS_PER_SECOND, min_page_interval=0.2
        ),
    )
    assert {each.state for each in ended.values()} == {"complete"}
    assert limits_hit(world) == set()
    assert units(world) > 60 * GOOGLE_UNITS_PER_SECOND
    assert differences(world.stored(), world.served()) == {}


def test_the_same_mailbox_without_a_budget_is_throttled_and_says_until_when(serve: Serve) -> None:
    specs = [MailboxSpec("google", messages=GOOGLE_MESSAGES, body_mean=300)]
    world = serve(Simulator(Fleet.generate(4, specs), limits=LIMITS))
    (key,) = world.register()
    (ended,) = world.backfill([key], settings=world.settings(patience=1.0)).values()
    assert limits_hit(world) == {"google-units"}
    assert ended.state == "paused"
    assert "429" in (ended.reason or "")
    row = world.ledger()[key]
    assert row["until"] > row["updated_at"]
    assert row["messages"] == len(world.stored()) > 0


def limits_hit(world: World) -> set[str]:
    return {each.limited for each in world.simulator.requests if each.limited}


def units(world: World) -> int:
    """Return what the ledger says was spent, which is what the API charged."""
    spent = sum(row["quota_units"] for row in world.ledger().values())
    charged = sum(
        LIMITS.google_units(each.operation, each.count) or 0
        for each in world.simulator.requests
        if each.grant_id == world.grant_id("google") and each.operation in {"messages", "message"}
    )
    assert spent == charged
    return charged
