"""The checks: green where all is well, and telling where it is not."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.connection import attach, open_duckdb
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.live.envelopes import land
from mail_pipeline_tests.live.near import NearWorld, near_world

from .conftest import working_in
from .running import keys_of, register, run_job


def evaluations(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    result = defs.resolve_job_def("check_tables").execute_in_process(instance=instance)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def values(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {
        name: value.value
        for name, value in evaluation.metadata.items()
        if name not in {"mailboxes", "which", "lists"}
    }


def counts(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: value for name, value in values(evaluation).items() if name != "next_step"}


def test_the_checks_tell_an_unfinished_lake_from_a_whole_one_and_a_whole_one_from_a_broken_one(
    start, instance, data
):
    simulator = start(MailboxSpec("google", messages=20, oddity_every=0))
    [grant_id] = register(instance, simulator)

    before = evaluations(instance)
    assert not before["mailboxes_complete"].passed
    assert before["mailboxes_complete"].severity == dg.AssetCheckSeverity.WARN
    told = values(before["mailboxes_complete"])
    assert str(told.pop("next_step")) in (before["mailboxes_complete"].description or "")
    assert told == {"incomplete": 1}
    named = before["mailboxes_complete"].metadata["mailboxes"]
    assert isinstance(named, dg.TableMetadataValue)
    [record] = named.records
    assert (record.data["partition"], record.data["state"]) == (grant_id, "registered")

    assert run_job(instance, "backfill", keys_of(instance)).success
    after = evaluations(instance)
    assert {name: each.passed for name, each in after.items()} == {
        "one_row_per_message": True,
        "one_row_per_record": True,
        "mailboxes_complete": True,
        "streams_complete": True,
        # There is no webhook here.
        "mailboxes_covered": False,
        "no_dead_letters": True,
        "notifications_applied": True,
        "no_gaps": True,
    }
    assert values(after["one_row_per_message"]) == {"rows": 20, "repeated": 0}
    assert after["one_row_per_message"].description == "0 of 20 messages are stored more than once."

    with open_duckdb() as lake:
        attach(lake, data, read_only=False)
        lake.execute("INSERT INTO all_messages SELECT * FROM all_messages ORDER BY id LIMIT 2")
        lake.execute("INSERT INTO dead_letters (object, reason, stored) VALUES ('message', 'no id', false)")
        lake.execute("INSERT INTO all_contacts (grant_id, id) VALUES ('g', 'c'), ('g', 'c')")
        for stream in ("contacts", "events", "provider_threads"):
            lake.execute(
                "INSERT INTO checkpoints (partition_key, version, grant_id, stream, state, reason) "
                "VALUES (?, 1, ?, ?, 'failed', 'Why')",
                [f"{stream}:{grant_id}", grant_id, stream],
            )
        lake.execute("UPDATE all_grants SET streams_off = ['events']")
    broken = evaluations(instance)
    # Each that is red says what mends it: a command, or what to report.
    for each in broken.values():
        assert each.passed or "`mail-pipeline" in (each.description or "")
        assert each.passed or str(values(each)["next_step"]) in (each.description or "")
    assert values(broken["one_row_per_record"])["repeated"] == 1
    listed = broken["streams_complete"].metadata["lists"]
    assert isinstance(listed, dg.TableMetadataValue)
    # Events are not wanted any more, and nothing lists a provider's threads by itself.
    assert [(each.data["stream"], each.data["reason"]) for each in listed.records] == [("contacts", "Why")]
    assert not broken["one_row_per_message"].passed
    assert broken["one_row_per_message"].severity == dg.AssetCheckSeverity.ERROR
    assert counts(broken["one_row_per_message"]) == {"rows": 22, "repeated": 2}
    assert not broken["no_dead_letters"].passed
    assert broken["no_dead_letters"].severity == dg.AssetCheckSeverity.WARN
    assert counts(broken["no_dead_letters"]) == {"dead_letters": 1, "not_stored_as_rows": 1}


def live_checks(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    found = evaluations(instance)
    return {name: found[name] for name in ("mailboxes_covered", "notifications_applied", "no_gaps")}


@pytest.fixture
def world(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[NearWorld]:
    """A mailbox that was backfilled without a webhook, and the environment of its settings."""
    simulator = Simulator(
        Fleet.generate(7, [MailboxSpec("google", messages=5, body_mean=300)]), limits=Limits.off()
    )
    data = tmp_path / "data"
    with working_in(data), near_world(simulator, data) as world, pytest.MonkeyPatch.context() as environment:
        for name, value in world.environment().items():
            environment.setenv(name, value)
        world.register()
        world.backfill()
        yield world


def test_the_checks_of_the_live_side_are_red_with_the_next_step_and_green_once_that_is_done(world, instance):
    checks = live_checks(instance)
    assert {name: each.passed for name, each in checks.items()} == {
        "mailboxes_covered": False,
        "notifications_applied": True,
        "no_gaps": True,
    }
    uncovered = values(checks["mailboxes_covered"])
    assert (uncovered["mailboxes_begun"], uncovered["not_covered"]) == (1, 1)
    assert "mail-pipeline webhook create" in str(uncovered["next_step"])

    world.follow()
    [webhook] = world.simulator.webhooks
    assert run_job(instance, "watch_webhooks").success
    world.simulator.webhooks.update(webhook.id, {"status": "pause"})
    assert run_job(instance, "watch_webhooks").success
    land(world.data, [b"{}", b"{}"])

    checks = live_checks(instance)
    assert not any(each.passed for each in checks.values())
    assert {each.severity for each in checks.values()} == {dg.AssetCheckSeverity.WARN}
    assert counts(checks["notifications_applied"]) == {
        "landed": 2,
        "applied_up_to": 0,
        "waiting_to_be_fetched": 0,
    }
    gaps = checks["no_gaps"].metadata["which"]
    assert isinstance(gaps, dg.TableMetadataValue)
    [gap] = gaps.records
    assert (gap.data["cause"], gap.data["grant"], gap.data["ended"]) == ("webhook not active", "all", "lasts")
    assert values(checks["no_gaps"])["gaps"] == 1

    world.simulator.webhooks.update(webhook.id, {"status": "active"})
    for job in ("apply_notifications", "watch_webhooks", "reconcile"):
        assert run_job(instance, job).success
    assert all(each.passed for each in live_checks(instance).values())


@pytest.mark.usefixtures("start")
def test_without_a_lake_the_checks_say_what_to_do(instance):
    outcome = run_job(instance, "check_tables")

    assert not outcome.success
    assert "There is no lake in" in outcome.said
