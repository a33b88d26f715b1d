import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.writer import Lake
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import refresh_search_every_10_minutes
from mail_pipeline_tests.definitions.running import newest, run_job
from mail_pipeline_tests.search.letters import letter, store


@pytest.fixture
def instance(tmp_path):
    """A schedule's context refuses an instance in memory."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def tick(instance):
    resources = {"mail_pipeline": MailPipelineResource()}
    with dg.build_schedule_context(instance=instance, resources=resources) as context:
        return refresh_search_every_10_minutes(context)


def test_a_run_brings_the_index_up_to_the_mail_and_counts(start, data, instance):
    assert isinstance(tick(instance), dg.SkipReason)
    with Lake(data) as lake:
        store(lake, [letter("a", "Budget", ""), letter("b", "Lunch", "")])
    assert isinstance(tick(instance), dg.RunRequest)

    assert run_job(instance, "refresh_search").success

    told = newest(instance, "search_index")
    assert told.pop("size_bytes") > 0
    assert told == {"dagster/row_count": 2, "indexed": 2, "removed": 0}
    assert isinstance(tick(instance), dg.SkipReason)


def test_a_refresh_that_takes_longer_than_ten_minutes_is_not_asked_for_twice(start, data, instance):
    with Lake(data) as lake:
        store(lake, [letter("a", "Budget", "")])
    instance.create_run_for_job(defs.resolve_job_def("refresh_search"), status=dg.DagsterRunStatus.STARTED)

    assert isinstance(tick(instance), dg.SkipReason)


def test_without_a_lake_a_run_fails_with_the_next_step(start, instance):
    outcome = run_job(instance, "refresh_search")

    assert not outcome.success
    assert "There is no lake in" in outcome.said
