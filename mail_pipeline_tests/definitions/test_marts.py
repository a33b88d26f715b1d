"""The tables made from mail follow it by themselves, and a run says what it did."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from mail_pipeline.definitions import defs
from mail_pipeline.lake.mart_tables import FACTS, MARTS
from mail_pipeline.lake.writer import Lake
from mail_pipeline.partitions import PARTITIONS
from mail_pipeline_tests.definitions.running import run_job
from mail_pipeline_tests.marts.mail import mailbox, message, sent, store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FOLLOWERS = {table.name for table in (*FACTS, *MARTS)} | {"message_texts"}
ONLY_MARTS = dg.Definitions(assets=defs.assets, asset_checks=None, resources=defs.resources)


class Clock:
    """Evaluates the conditions at moments of the test's own."""

    def __init__(self, instance):
        self.instance, self.cursor, self.at = instance, None, NOON

    def requested(self, minutes: float) -> set[str]:
        """Return what is asked for so many minutes later."""
        self.at += timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            ONLY_MARTS, self.instance, cursor=self.cursor, evaluation_time=self.at
        )
        self.cursor = result.cursor
        return {each.key.to_user_string() for each in result.results if each.true_subset.size}


def test_marts_follow_the_mail_at_most_every_five_minutes_though_mailboxes_are_missing(data, start, instance):
    with Lake(data) as lake:
        mailbox(lake)
    instance.add_dynamic_partitions(PARTITIONS, ["g", "h", "i"])
    clock = Clock(instance)
    assert clock.requested(1) == set()

    instance.report_runless_asset_event(dg.AssetMaterialization("messages", partition="g"))
    assert clock.requested(1) == set()
    assert clock.requested(4) == FOLLOWERS

    assert run_job(instance, "refresh_marts").success
    assert clock.requested(1) == set()
    assert clock.requested(5) == set()

    instance.report_runless_asset_event(dg.AssetMaterialization("message_updates"))
    assert clock.requested(5) == FOLLOWERS


def test_a_run_tells_rows_and_what_has_changed(data, start, instance):
    with Lake(data) as lake:
        mailbox(lake)
        store(lake, message("m1", body="Question?"), sent("m2", date=message("x").fields["date"] + 60))

    assert run_job(instance, "refresh_marts").success

    def told(asset):
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    facts = told("message_facts")
    assert facts.pop("seconds") > 0
    lineage = facts.pop("dagster/column_lineage").deps_by_column
    assert lineage["subject"] == [dg.TableColumnDep(dg.AssetKey("messages"), "subject")]
    assert lineage["in_sent"] == [dg.TableColumnDep(dg.AssetKey("folders"), "role")]
    assert facts == {"dagster/row_count": 2, "rows_written": 2, "messages_changed": 2, "grants_changed": 1}
    assert told("replies")["dagster/row_count"] == 1
    assert (told("message_texts")["dagster/row_count"], told("message_texts")["converted"]) == (1, 1)


def test_settings_of_the_clock_that_make_no_sense_are_named(data, start, instance, monkeypatch):
    with Lake(data):
        monkeypatch.setenv("MAIL_PIPELINE_TIME_ZONE", "Mars")

    outcome = run_job(instance, "refresh_marts")

    assert not outcome.success
    assert "MAIL_PIPELINE_TIME_ZONE is 'Mars': expected the name of a time zone" in outcome.said
