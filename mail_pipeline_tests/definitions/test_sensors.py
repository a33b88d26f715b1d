"""The sensors, tick by tick."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.writer import Lake
from mail_pipeline.partitions import ALL_PARTITIONS, PARTITIONS, listing_at_work
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.sensors import SENSORS
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline.sync.checkpoints import Checkpoint, checkpoint_rows

from .running import keys_of, register

GOOGLE = MailboxSpec("google", messages=5)
IMAP = MailboxSpec("imap", messages=5, user_folders=0)


def tick(instance: dg.DagsterInstance, name: str, cursor: str | None = None) -> dg.SensorResult:
    """Evaluate a sensor as the daemon would, and do what it asks of the partitions."""
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context:
        result = defs.resolve_sensor_def(name)(context)
    if isinstance(result, dg.SkipReason):
        return dg.SensorResult(skip_reason=result)
    assert isinstance(result, dg.SensorResult)
    for request in result.dynamic_partitions_requests or ():
        kind = request.partitions_def_name
        assert kind in ALL_PARTITIONS
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(kind, list(request.partition_keys))
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(kind, key)
    return result


def list_accounts() -> None:
    refresh_grants(Settings.from_env())
    refresh_folders(Settings.from_env())


def said(result: dg.SensorResult) -> str:
    return (result.skip_reason and result.skip_reason.skip_message) or ""


def run_keys(result: dg.SensorResult) -> Sequence[str | None]:
    return [request.run_key for request in result.run_requests or ()]


def test_partitions_appear_vanish_and_return_with_their_mailboxes(start, instance):
    simulator = start(GOOGLE, IMAP)
    google, imap = [mailbox.grant.id for mailbox in simulator.fleet]
    list_accounts()

    assert not run_keys(tick(instance, "partition_keeper"))
    keys = keys_of(instance)
    assert google in keys
    assert len(keys_of(instance, imap)) >= 3
    at = keys.index(keys_of(instance, imap)[0])
    assert keys[at : at + len(keys_of(instance, imap))] == keys_of(instance, imap), "neighbours"

    again = tick(instance, "partition_keeper")
    assert not again.dynamic_partitions_requests
    assert f"{len(keys)} mailboxes exist; 0 partitions added, 0 taken away" in said(again)

    simulator.vanish(imap)
    list_accounts()
    tick(instance, "partition_keeper")
    assert keys_of(instance) == [google]

    simulator.restore(imap)
    list_accounts()
    tick(instance, "partition_keeper")
    assert set(keys_of(instance)) == set(keys)


def test_mailboxes_of_a_grant_are_neighbours_also_where_a_tick_comes_between_grants_and_folders(
    start, instance
):
    simulator = start(IMAP, IMAP)
    listing = instance.create_run_for_job(
        defs.resolve_job_def("refresh_accounts"), status=dg.DagsterRunStatus.STARTED
    )
    refresh_grants(Settings.from_env())
    assert "accounts are being listed" in said(tick(instance, "partition_keeper"))
    assert keys_of(instance) == []

    refresh_folders(Settings.from_env())
    instance.report_run_failed(listing)
    tick(instance, "partition_keeper")

    in_turn = [key.partition("/")[0] for key in keys_of(instance)]
    assert len(in_turn) > len(set(in_turn)) == len(simulator.fleet) == 2
    assert sorted(in_turn) in (in_turn, in_turn[::-1])


def test_a_folder_that_is_deleted_takes_its_partition_along(start, instance, data):
    simulator = start(IMAP)
    [imap] = register(instance, simulator)
    before = keys_of(instance)
    sent = next(folder.id for folder in simulator.fleet.mailbox(0).folders if folder.name == "Sent")

    simulator.vanish(imap, sent)
    list_accounts()
    tick(instance, "partition_keeper")

    assert set(before) - set(keys_of(instance)) == {f"{imap}/Sent"}


def test_the_accounts_are_asked_for_where_they_were_never_listed_and_once_in_a_while(start, instance):
    start(GOOGLE)

    [first] = run_keys(tick(instance, "partition_keeper"))
    [second] = run_keys(tick(instance, "partition_keeper"))

    # The daemon lets a run key through once; the two differ only where ten minutes began between them.
    assert first is not None
    assert second is not None
    assert int(second.removeprefix("refresh-")) - int(first.removeprefix("refresh-")) in {0, 1}
    assert keys_of(instance) == []


def test_accounts_listed_long_ago_are_asked_for_again(start, instance):
    # The simulator's clock is what an hour ago means here: rows carry the provider's time.
    register(instance, start(GOOGLE, clock_skew=-3600.0))
    assert len(run_keys(tick(instance, "partition_keeper"))) == 1


@pytest.mark.usefixtures("start")
def test_without_a_key_the_sensor_says_so_and_asks_for_nothing(instance):
    result = tick(instance, "partition_keeper")

    assert not run_keys(result)
    assert "NYLAS_API_KEY is not set" in said(result)


def test_partitions_are_kept_without_a_key_too(start, instance, monkeypatch):
    start(GOOGLE, clock_skew=-3600.0)
    list_accounts()
    monkeypatch.delenv("NYLAS_API_KEY")

    result = tick(instance, "partition_keeper")

    assert len(keys_of(instance)) == 1
    assert not run_keys(result)


def test_checks_are_asked_for_once_after_each_backfill_that_has_come_to_rest(instance):
    assert not run_keys(tick(instance, "table_checker"))

    instance.add_dynamic_partitions(PARTITIONS, ["a"])
    instance.report_runless_asset_event(dg.AssetMaterialization("messages", partition="a"))
    running = instance.create_run_for_job(
        defs.resolve_job_def("backfill"), status=dg.DagsterRunStatus.STARTED
    )
    assert said(tick(instance, "table_checker")) == "A backfill is at work."

    instance.report_run_failed(running)
    asked = tick(instance, "table_checker")
    assert len(run_keys(asked)) == 1
    assert asked.cursor
    assert not run_keys(tick(instance, "table_checker", asked.cursor))


def test_checks_are_asked_for_when_a_mailbox_fails_and_once_more_when_none_does(start, instance, data):
    register(instance, start(GOOGLE))
    [mailbox] = keys_of(instance)
    assert not run_keys(tick(instance, "table_checker"))
    cursor = None
    for version, state in enumerate(["failed", "complete", "failed"], 1):
        store_checkpoint(
            data, Checkpoint(partition_key=mailbox, grant_id=mailbox, state=state, version=version)
        )
        if state == "complete":
            instance.report_runless_asset_event(dg.AssetMaterialization("messages", partition=mailbox))
        asked = tick(instance, "table_checker", cursor)
        # A key would let what stood so before not be checked again.
        assert run_keys(asked) == [None]
        cursor = asked.cursor
        assert said(tick(instance, "table_checker", cursor)) == "Nothing new since the last checks."


def test_a_run_of_a_command_that_was_killed_keeps_no_schedule_waiting(start, instance):
    start(GOOGLE)
    list_accounts()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = instance.create_run_for_job(defs.resolve_job_def("backfill"))
    began = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "backfill", pid=process.pid)
    instance.report_dagster_event(began, run_id=run.run_id)

    assert said(tick(instance, "run_keeper")).startswith("0 runs")
    assert listing_at_work(instance)
    process.kill()
    process.communicate()
    assert said(tick(instance, "run_keeper")).startswith("1 runs")
    assert not listing_at_work(instance)


def test_without_a_key_no_newcomer_is_asked_for_again_and_again(start, instance, monkeypatch):
    start(GOOGLE)
    list_accounts()
    monkeypatch.delenv("NYLAS_API_KEY")
    assert "NYLAS_API_KEY is not set" in said(tick(instance, "newcomer_backfill"))


def store_checkpoint(data: Path, checkpoint: Checkpoint) -> None:
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.append("checkpoints", checkpoint_rows([checkpoint]))


def test_all_sensors_are_on_from_the_start():
    assert {sensor.default_status for sensor in SENSORS} == {dg.DefaultSensorStatus.RUNNING}
    assert all(sensor.description for sensor in SENSORS)
