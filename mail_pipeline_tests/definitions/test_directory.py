"""Contacts, calendars and events: what the partitions of grants say, and what asks for them by itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mail_pipeline import connect
from mail_pipeline.config import MirrorConfig
from mail_pipeline.definitions import defs
from mail_pipeline.lake.writer import Lake
from mail_pipeline.ledger import newcomer_grants, unlisted_grants
from mail_pipeline.partitions import GRANT_PARTITIONS, grant_partitions
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import nightly_mirror, weekly_mirror
from mail_pipeline.sensors import newcomer_backfill
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec
from mail_pipeline.sync.backfill import BackfillOptions
from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.streams import CALENDARS, CONTACTS, EVENTS, RECORD_STREAMS

from .conftest import Start
from .running import newest_of, register, run_job

GOOD = MailboxSpec("google", messages=5, contacts=6, events=10)
REVOKED = replace(GOOD, provider="microsoft", valid=False)
IMAP = replace(GOOD, provider="imap")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A schedule's context refuses an instance in memory."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def states(instance: dg.DagsterInstance, asset: str, grants: list[str]) -> list[str | None]:
    found = instance.get_status_by_partition(dg.AssetKey(asset), grants, grant_partitions) or {}
    return [status.value if (status := found.get(grant)) else None for grant in grants]


def note_created(data: Path, grant: str) -> None:
    """Have a notification tell that the account was connected."""
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.change(
            "notifications",
            "INSERT INTO notifications (number, trigger, grant_id) VALUES (1, 'grant.created', ?)",
            [grant],
        )


def asked_by(instance: dg.DagsterInstance, schedule: Any) -> Any:
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_schedule_context(instance=instance, resources=resources) as context:
        return schedule(context)


def test_each_grant_is_a_partition_and_one_that_is_revoked_fails_alone(
    start: Start, instance: dg.DagsterInstance, data: Path
) -> None:
    grants = register(instance, start(GOOD, REVOKED, IMAP))
    good = grants[0]
    registered = instance.get_dynamic_partitions(GRANT_PARTITIONS)
    assert sorted(registered) == sorted(grants)
    # The revoked one is not asked for: its owner has to connect it first.
    asked = asked_by(instance, nightly_mirror)
    wanted = {tag for request in asked for tag in request.tags.values()}
    assert {good, grants[2]} <= wanted
    assert grants[1] not in wanted

    outcome = run_job(instance, "mirror", registered)

    assert not outcome.success
    assert "1 of 3 grants did not get through" in outcome.said
    assert states(instance, "contacts", grants) == ["MATERIALIZED", "FAILED", "MATERIALIZED"]
    # What depends on nothing that failed has gone on.
    told = newest_of(instance, "contacts", good)
    with connect(data) as lake:
        stored = lake.execute("SELECT count(*) FROM contacts WHERE grant_id = ?", [good]).fetchall()
    assert [(told["records"],)] == stored
    assert told["state"] == "complete"
    assert told["dagster/partition_row_count"] == told["records"]
    assert told["webhook_before_first_page"] is False


def test_a_provider_without_calendars_is_green_and_says_that_it_has_none(
    start: Start, instance: dg.DagsterInstance
) -> None:
    grants = register(instance, start(IMAP, GOOD))

    assert run_job(instance, "mirror", grants).success
    told = newest_of(instance, "calendars", grants[0])
    assert (told["state"], told["records"]) == ("skipped", 0)
    assert "no such thing" in told["reason"]
    assert states(instance, "events", grants) == ["MATERIALIZED", "MATERIALIZED"]

    # Then a night has nothing to ask for, and a week asks for all of it again.
    assert isinstance(asked_by(instance, nightly_mirror), dg.SkipReason)
    [again] = asked_by(instance, weekly_mirror)
    assert again.run_config["ops"]["events"]["config"]["full_resync"] is True


def test_an_account_connected_while_notifications_arrive_is_mirrored_by_itself(
    start: Start, instance: dg.DagsterInstance, data: Path
) -> None:
    [grant] = register(instance, start(GOOD))
    note_created(data, grant)

    with dg.build_sensor_context(
        instance=instance, resources={"mail_pipeline": MailPipelineResource()}
    ) as context:
        requests = newcomer_backfill(context)

    assert isinstance(requests, list)
    assert {request.job_name for request in requests} == {"backfill", "mirror"}
    assert {request.tags["dagster/asset_partition_range_start"] for request in requests} == {grant}


def test_an_account_of_which_only_mail_is_wanted_is_not_asked_for_again_and_again(
    start: Start, instance: dg.DagsterInstance, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mail_pipeline.toml"
    config.write_text("contacts = false\ncalendars = false\nevents = false\n")
    monkeypatch.setenv("MAIL_PIPELINE_CONFIG", str(config))
    [grant] = register(instance, start(GOOD))
    note_created(data, grant)

    assert newcomer_grants(data) == frozenset()
    assert unlisted_grants(data) == frozenset()


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ([], True),
        (["contacts"], True),
        (["contacts", "calendars"], True),
        (["contacts", "calendars", "events"], False),
    ],
)
def test_a_night_goes_on_with_an_account_until_each_of_its_lists_has_ended(
    start: Start, instance: dg.DagsterInstance, data: Path, done: list[str], left: bool
) -> None:
    [grant] = register(instance, start(GOOD))
    for stream in done:
        list(mirror(RECORD_STREAMS[stream], [grant], settings=Settings.from_env()))

    assert unlisted_grants(data) == ({grant} if left else set())
    assert isinstance(asked_by(instance, nightly_mirror), list if left else dg.SkipReason)


def test_a_list_that_stopped_half_way_is_gone_on_with(
    start: Start, instance: dg.DagsterInstance, data: Path
) -> None:
    [grant] = register(instance, start(GOOD))
    for stream in (CONTACTS, CALENDARS):
        list(mirror(stream, [grant], settings=Settings.from_env()))
    options = BackfillOptions(max_pages=1, page_size=2)
    [word] = mirror(EVENTS, [grant], settings=Settings.from_env(), options=options)
    assert word.state == "listing"

    assert unlisted_grants(data) == {grant}


@pytest.mark.parametrize("stream", ["contacts", "calendars", "events", "provider_threads"])
def test_each_stream_has_a_job_of_its_own_with_the_same_configuration(stream: str) -> None:
    job = defs.resolve_job_def(f"list_{stream}")
    asked = MirrorConfig(since="2024-01-31", max_pages=1, full_resync=True, page_size=20)

    assert dg.validate_run_config(job, {"ops": {stream: {"config": asked.model_dump()}}})
