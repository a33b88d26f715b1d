"""The checks: green where all is well, and telling where it is not."""

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.connection import attach, open_duckdb
from mail_pipeline.simulator import MailboxSpec

from .running import keys_of, register, run_job


def evaluations(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    result = defs.resolve_job_def("check_tables").execute_in_process(instance=instance)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def values(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: value.value for name, value in evaluation.metadata.items() if name != "mailboxes"}


def test_the_checks_tell_an_unfinished_lake_from_a_whole_one_and_a_whole_one_from_a_broken_one(
    start, instance, data
):
    simulator = start(MailboxSpec("google", messages=20, oddity_every=0))
    [grant_id] = register(instance, simulator)

    before = evaluations(instance)
    assert not before["mailboxes_complete"].passed
    assert before["mailboxes_complete"].severity == dg.AssetCheckSeverity.WARN
    assert values(before["mailboxes_complete"]) == {"incomplete": 1}
    named = before["mailboxes_complete"].metadata["mailboxes"]
    assert isinstance(named, dg.TableMetadataValue)
    [record] = named.records
    assert (record.data["partition"], record.data["state"]) == (grant_id, "registered")

    assert run_job(instance, "backfill", keys_of(instance)).success
    after = evaluations(instance)
    assert {name: each.passed for name, each in after.items()} == {
        "one_row_per_message": True,
        "mailboxes_complete": True,
        "no_dead_letters": True,
    }
    assert values(after["one_row_per_message"]) == {"rows": 20, "repeated": 0}

    with open_duckdb() as lake:
        attach(lake, data, read_only=False)
        lake.execute("INSERT INTO all_messages SELECT * FROM all_messages ORDER BY id LIMIT 2")
        lake.execute("INSERT INTO dead_letters (object, reason, stored) VALUES ('message', 'no id', false)")
    broken = evaluations(instance)
    assert not broken["one_row_per_message"].passed
    assert broken["one_row_per_message"].severity == dg.AssetCheckSeverity.ERROR
    assert values(broken["one_row_per_message"]) == {"rows": 22, "repeated": 2}
    assert not broken["no_dead_letters"].passed
    assert broken["no_dead_letters"].severity == dg.AssetCheckSeverity.WARN
    assert values(broken["no_dead_letters"]) == {"dead_letters": 1, "not_stored_as_rows": 1}


@pytest.mark.usefixtures("start")
def test_without_a_lake_the_checks_say_what_to_do(instance):
    outcome = run_job(instance, "check_tables")

    assert not outcome.success
    assert "There is no lake in" in outcome.said
