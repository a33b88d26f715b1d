"""Attachments in Dagster: fetched by a run somebody starts, and told of on the asset's page."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from pydantic import ValidationError

from mail_pipeline.config import AttachmentsConfig
from mail_pipeline.definitions import defs
from mail_pipeline.launch import sync_partitions
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import MailboxSpec, Simulator
from mail_pipeline.sync.attachments import AttachmentOptions
from mail_pipeline.sync.backfill import backfill

from .conftest import working_in
from .running import keys_of, newest, register, run_job


@dataclass(frozen=True)
class Place:
    instance: dg.DagsterInstance
    simulator: Simulator
    grants: list[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two mailboxes whose messages are stored; each has three attachments or a few more."""
    data = tmp_path_factory.mktemp("attachments") / "data"
    with working_in(data) as start, dg.DagsterInstance.ephemeral() as instance:
        simulator = start(*(MailboxSpec(each, messages=2, body_mean=300) for each in ("ews", "microsoft")))
        for mailbox in simulator.fleet:
            simulator.provider.arrive(mailbox.grant.id, attachments=3)
        grants = register(instance, simulator)
        list(backfill(keys_of(instance), settings=Settings.from_env()))
        sync_partitions(instance, data)
        yield Place(instance, simulator, grants)


def test_a_run_fetches_what_its_configuration_says_and_tells_what_became_of_it(place: Place) -> None:
    one = place.grants[0]
    assert run_job(place.instance, "fetch_attachments", grants=[one], max_size=0).success
    skipped = newest(place.instance, "attachment_files")
    assert skipped["skipped"] == skipped["wanted"] >= 3
    assert (skipped["grants"], skipped["stored"], skipped["bytes"]) == (1, 0, 0)

    assert run_job(place.instance, "fetch_attachments", grants=[one]).success
    told = newest(place.instance, "attachment_files")
    assert told["stored"] == told["wanted"] == skipped["wanted"]
    assert told["bytes"] > 0
    assert told["gone"] == told["failed"] == told["left_out"] == 0


def test_a_run_that_could_not_fetch_all_fails_with_the_next_step(place: Place) -> None:
    expired = place.grants[1]
    place.simulator.provider.expire(expired)

    outcome = run_job(place.instance, "fetch_attachments", grants=[expired])

    assert not outcome.success
    assert f"{expired}: " in outcome.said
    assert "reconnect it" in outcome.said
    place.simulator.provider.reauthenticate(expired)
    assert run_job(place.instance, "fetch_attachments", grants=[expired]).success


def test_nothing_runs_it_by_itself() -> None:
    key = dg.AssetKey("attachment_files")
    graph = defs.resolve_asset_graph()
    assert graph.get(key).automation_condition is None
    automatic = {each.job_name for each in defs.schedules or () if isinstance(each, dg.ScheduleDefinition)}
    assert "fetch_attachments" not in automatic
    for each in defs.sensors or ():
        assert isinstance(each, dg.SensorDefinition)
        assert "fetch_attachments" not in {target.job_name for target in each.targets}


def test_a_configuration_left_alone_is_the_engines_own_choice() -> None:
    assert AttachmentsConfig().options() == AttachmentOptions()


@pytest.mark.parametrize(
    "wrong", [{"since": "yesterday"}, {"max_size": -1}, {"total_size": -5}, {"types": "image/*"}]
)
def test_a_wrong_configuration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        AttachmentsConfig(**wrong)  # type: ignore[arg-type]
    assert next(iter(wrong)) in str(caught.value)
