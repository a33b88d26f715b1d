"""What the schedules ask for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.partitions import PARTITIONS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import nightly_backfill
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions, backfill

from .running import keys_of, register


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A schedule's context refuses an instance in memory."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def night(instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str]:
    """Evaluate the nightly schedule; return what it asks for, and what it says where that is nothing."""
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_schedule_context(instance=instance, resources=resources) as context:
        asked = nightly_backfill(context)
    if isinstance(asked, dg.SkipReason):
        return [], asked.skip_message or ""
    assert isinstance(asked, list)
    return asked, ""


def fetch(keys: list[str], **options: Any) -> None:
    list(backfill(keys, settings=Settings.from_env(), options=BackfillOptions(**options)))


def test_a_night_asks_for_all_that_is_incomplete_in_one_run(start, instance):
    register(instance, start(*(MailboxSpec("google", messages=5) for _ in range(3))))
    first, second, third = keys_of(instance)
    fetch([second])

    [request], _ = night(instance)

    # The complete one in the middle has nothing to do, and so does not make two runs of one.
    assert request.tags["dagster/asset_partition_range_start"] == first
    assert request.tags["dagster/asset_partition_range_end"] == third

    fetch([first, third])
    assert night(instance) == ([], "Every mailbox is complete.")


def test_a_mailbox_bounded_by_since_is_complete_and_not_passed_over(start, instance):
    register(instance, start(*(MailboxSpec("google", messages=20) for _ in range(3))))
    first, second, third = keys_of(instance)
    fetch([second], since=datetime(2026, 1, 1, tzinfo=UTC))

    requests, _ = night(instance)

    starts = [request.tags["dagster/asset_partition_range_start"] for request in requests]
    assert starts == [first, third]


def test_a_night_waits_for_the_backfill_that_is_at_work(instance, start):
    register(instance, start(MailboxSpec("google", messages=5)))
    instance.create_run_for_job(defs.resolve_job_def("backfill"), status=dg.DagsterRunStatus.STARTED)

    requests, said = night(instance)

    assert requests == []
    assert "at work" in said


def test_a_night_without_a_lake_asks_for_nothing(start, instance):
    start()
    instance.add_dynamic_partitions(PARTITIONS, ["a"])

    requests, _ = night(instance)
    assert requests == []
    assert keys_of(instance) == ["a"]


def test_accounts_are_listed_every_quarter_of_an_hour():
    schedule = defs.resolve_schedule_def("refresh_accounts_every_15_minutes")

    assert (schedule.cron_schedule, schedule.job_name) == ("*/15 * * * *", "refresh_accounts")


def test_both_schedules_are_on_from_the_start():
    names = ("refresh_accounts_every_15_minutes", "nightly_backfill")
    schedules = [defs.resolve_schedule_def(name) for name in names]
    assert {schedule.default_status for schedule in schedules} == {dg.DefaultScheduleStatus.RUNNING}
