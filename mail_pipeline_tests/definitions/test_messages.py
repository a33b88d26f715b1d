"""`messages`: what the partitions say after a run, however the run went."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline import connect
from mail_pipeline.definitions import defs
from mail_pipeline.simulator import MailboxSpec

from .conftest import working_in
from .running import (
    Outcome,
    keys_of,
    materializations,
    observations,
    register,
    run_job,
    states,
)

GOOD = MailboxSpec("google", messages=30)
REVOKED = MailboxSpec("ews", messages=10, valid=False)
IMAP = MailboxSpec("imap", messages=30, user_folders=0)


@dataclass(frozen=True)
class Backfilled:
    """What one run over all mailboxes left behind, the second of three grants being revoked."""

    instance: dg.DagsterInstance
    data: Path
    outcome: Outcome
    good: str
    revoked: str
    imap: str


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    data = tmp_path_factory.mktemp("backfilled") / "data"
    with working_in(data) as start, dg.DagsterInstance.ephemeral() as instance:
        grants = register(instance, start(GOOD, REVOKED, IMAP))
        outcome = run_job(instance, "backfill", keys_of(instance))
        yield Backfilled(instance, data, outcome, *grants)


def test_each_partition_of_a_range_gets_one_event_of_its_own(backfilled):
    with connect(backfilled.data) as lake:
        ledger = lake.execute("SELECT partition_key, messages, pages, folder_name, folder_id FROM mailboxes")
        expected = {key: row for key, *row in ledger.fetchall() if key != backfilled.revoked}
        stored = lake.execute("SELECT count(*) FROM messages WHERE grant_id = ?", [backfilled.good])
        assert stored.fetchall() == [(expected[backfilled.good][0],)]
    assert len(expected) == len(keys_of(backfilled.instance)) - 1
    for key, (messages, pages, folder, folder_id) in expected.items():
        [said] = materializations(backfilled.instance, key)
        assert said["state"] == "complete"
        assert said["messages"] == said["dagster/partition_row_count"] == messages
        assert said["pages"] == pages
        assert (said.get("folder"), said.get("folder_id")) == (folder, folder_id)
        assert said["requests"] >= pages
        assert said["dead_letters"] >= 0
        assert said["webhook_before_first_page"] is False
    [said] = materializations(backfilled.instance, backfilled.good)
    assert said["oldest"] < said["newest"]


def test_exactly_the_mailbox_that_failed_is_failed(backfilled):
    assert not backfilled.outcome.success
    by_state = states(backfilled.instance)
    assert by_state.pop(backfilled.revoked) == "FAILED"
    assert set(by_state.values()) == {"MATERIALIZED"}
    assert f"{backfilled.imap}/@recent" in by_state


def test_a_failed_mailbox_says_why_and_what_to_do(backfilled):
    assert materializations(backfilled.instance, backfilled.revoked) == []
    [said] = observations(backfilled.instance, backfilled.revoked)
    assert said["state"] == "failed"
    assert "reconnect" in said["next_step"]


def test_the_run_names_what_failed_and_no_content(backfilled):
    said = backfilled.outcome.said
    assert f"1 of {len(keys_of(backfilled.instance))} mailboxes did not get through" in said
    assert backfilled.revoked in said
    assert "reconnect" in said
    assert backfilled.good not in said
    with connect(backfilled.data) as lake:
        addresses = lake.execute("SELECT email FROM grants").fetchall()
    assert len(addresses) == 3
    assert not [address for (address,) in addresses if address in said]


def test_a_failed_mailbox_can_be_run_again_alone(start, instance):
    revoked, good = register(instance, start(REVOKED, GOOD))
    assert not run_job(instance, "backfill", [revoked]).success
    assert states(instance) == {revoked: "FAILED", good: None}

    start(MailboxSpec("ews", messages=10), GOOD)
    job = defs.resolve_job_def("backfill")
    assert job.execute_in_process(instance=instance, partition_key=revoked).success

    assert states(instance) == {revoked: "MATERIALIZED", good: None}


def test_a_mailbox_stopped_by_max_pages_is_observed_until_it_is_complete(start, instance):
    [grant_id] = register(instance, start(GOOD))

    assert run_job(instance, "backfill", [grant_id], max_pages=1, page_size=10).success
    assert states(instance) == {grant_id: None}
    [said] = observations(instance, grant_id)
    assert (said["state"], said["pages"]) == ("listing", 1)
    assert said["cursor"]

    assert run_job(instance, "backfill", [grant_id]).success
    assert states(instance) == {grant_id: "MATERIALIZED"}
    assert materializations(instance, grant_id)[0]["cursor"] is None


def test_a_complete_mailbox_is_left_alone_unless_a_resync_is_asked_for(start, instance):
    [grant_id] = register(instance, start(GOOD))
    assert run_job(instance, "backfill", [grant_id]).success

    simulator = start(GOOD)
    assert run_job(instance, "backfill", [grant_id]).success
    assert [request for request in simulator.requests if request.operation == "messages"] == []

    assert run_job(instance, "backfill", [grant_id], full_resync=True).success
    assert [request for request in simulator.requests if request.operation == "messages"]
    assert [said["state"] for said in materializations(instance, grant_id)] == ["complete"] * 3


def test_a_partition_that_no_mailbox_belongs_to_fails_and_the_others_go_on(start, instance):
    [grant_id] = register(instance, start(GOOD))
    instance.add_dynamic_partitions("mailboxes", ["nobody"])

    outcome = run_job(instance, "backfill", [grant_id, "nobody"])

    assert not outcome.success
    assert "refresh_accounts" in outcome.said
    assert states(instance) == {grant_id: "MATERIALIZED", "nobody": "FAILED"}


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("job", ["backfill", "refresh_accounts"])
def test_without_a_key_a_run_says_what_to_set_and_where(instance, job):
    instance.add_dynamic_partitions("mailboxes", ["a-grant"])

    outcome = run_job(instance, job, ["a-grant"] if job == "backfill" else [])

    assert not outcome.success
    assert "NYLAS_API_KEY is not set" in outcome.said
    assert "`.env`" in outcome.said


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"since": "yesterday"}, "since is 'yesterday': expected a date such as 2024-01-31"),
        ({"max_pages": 0}, "max_pages is 0: expected a whole number of at least 1"),
        ({"page_size": 201}, "page_size is 201: expected a whole number from 1 to 200"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(instance, config, said):
    instance.add_dynamic_partitions("mailboxes", ["a-grant"])

    outcome = run_job(instance, "backfill", ["a-grant"], **config)

    assert not outcome.success
    assert said in outcome.said
