"""What the schedules ask for."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.connection import attach, open_duckdb
from mail_pipeline.partitions import PARTITIONS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import SCHEDULES, nightly_backfill
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions, backfill

from .running import QUIET, keys_of, newest, register


@pytest.fixture(scope="module")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an instance that nothing has happened in; for copying only."""
    folder = tmp_path_factory.mktemp("instance")
    dg.DagsterInstance.local_temp(str(folder)).dispose()
    return folder


@pytest.fixture
def instance(tmp_path: Path, new_instance: Path) -> Iterator[dg.DagsterInstance]:
    """A schedule's context refuses an instance in memory."""
    folder = shutil.copytree(new_instance, tmp_path / "instance")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
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


NEED_THE_KEY = (
    "refresh_accounts_every_15_minutes",
    "watch_webhooks_every_5_minutes",
    "nightly_reconcile",
    "weekly_imap_sweep",
)


def asked(instance: dg.DagsterInstance, name: str) -> list[dg.RunRequest]:
    """Evaluate a schedule as the daemon does; return what it asks for."""
    takes_it = name in NEED_THE_KEY or name == "hourly_gap_repair"
    with dg.build_schedule_context(
        instance=instance,
        resources={"mail_pipeline": MailPipelineResource()} if takes_it else {},
        scheduled_execution_time=datetime(2026, 11, 21, tzinfo=UTC),
    ) as context:
        data = defs.resolve_schedule_def(name).evaluate_tick(context)
    return list(data.run_requests or ())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nightly_reconcile", {"days": 7, "providers": []}),
        ("weekly_imap_sweep", {"days": None, "providers": ["icloud", "imap", "yahoo"]}),
    ],
)
def test_what_a_schedule_asks_for_can_be_run(instance, start, name, told):
    register(instance, start(MailboxSpec("google", messages=5), MailboxSpec("imap", messages=5)))

    [request] = asked(instance, name)

    config = request.run_config["ops"]["reconciliations"]["config"]
    assert {field: config.get(field) for field in told} == told
    result = defs.resolve_job_def("reconcile").execute_in_process(
        instance=instance, run_config={**QUIET, **request.run_config}
    )
    assert result.success
    assert newest(instance, "reconciliations")["grants"] == (2 if told["days"] else 1)


@pytest.mark.parametrize(
    "name",
    [
        "refresh_accounts_every_15_minutes",
        "watch_webhooks_every_5_minutes",
        "apply_notifications_every_15_minutes",
        "nightly_upkeep",
    ],
)
def test_what_needs_no_config_is_asked_for_without(instance, start, name):
    start()
    [request] = asked(instance, name)
    assert request.run_config in ({}, None)


@pytest.mark.parametrize("name", NEED_THE_KEY)
def test_without_a_key_nothing_is_asked_for_that_could_only_fail(instance, start, name):
    assert asked(instance, name) == []

    start()
    assert len(asked(instance, name)) == 1


@pytest.mark.parametrize("name", ["nightly_backfill", "nightly_mirror", "weekly_mirror", "hourly_gap_repair"])
def test_without_a_key_what_is_stored_turns_no_partition_red(instance, start, name, monkeypatch):
    register(instance, start(MailboxSpec("google", messages=3)))
    assert name == "hourly_gap_repair" or skipped(instance, name) == ""
    monkeypatch.delenv("NYLAS_API_KEY")
    assert "NYLAS_API_KEY is not set" in skipped(instance, name)


def skipped(instance: dg.DagsterInstance, name: str) -> str:
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_schedule_context(instance=instance, resources=resources) as context:
        data = defs.resolve_schedule_def(name).evaluate_tick(context)
    return data.skip_message or ""


def test_a_gap_is_repaired_once_it_has_ended_and_only_then(instance, start, data):
    assert asked(instance, "hourly_gap_repair") == [], "there is no lake"
    register(instance, start(MailboxSpec("google", messages=5)))
    assert asked(instance, "hourly_gap_repair") == []

    with open_duckdb() as lake:
        attach(lake, data, read_only=False)
        lake.execute(
            "INSERT INTO gaps (cause, began_at, found_at) VALUES "
            "('receiver down', now() - INTERVAL 2 HOURS, now())"
        )
        assert asked(instance, "hourly_gap_repair") == [], "it lasts"
        lake.execute("UPDATE gaps SET ended_at = now()")

    [request] = asked(instance, "hourly_gap_repair")
    assert request.run_config["ops"]["reconciliations"]["config"]["gaps_only"] is True

    instance.create_run_for_job(defs.resolve_job_def("reconcile"), status=dg.DagsterRunStatus.STARTED)
    assert asked(instance, "hourly_gap_repair") == [], "a sweep is at work"


def test_all_schedules_are_on_from_the_start():
    assert {schedule.default_status for schedule in SCHEDULES} == {dg.DefaultScheduleStatus.RUNNING}
    assert all(schedule.description for schedule in SCHEDULES)
