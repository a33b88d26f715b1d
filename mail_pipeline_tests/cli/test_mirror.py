import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mail_pipeline import connect
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.deep import deep

SPECS = (
    MailboxSpec("ews", messages=30, body_mean=200, contacts=25, calendars=2, events=30),
    MailboxSpec("imap", messages=5, body_mean=200, contacts=3),
)


@pytest.fixture(scope="module")
def accounts() -> Iterator[Served]:
    simulator = Simulator(Fleet.generate(4, SPECS), limits=Limits.off())
    with simulator.serve() as url:
        yield Served(simulator, url)


@pytest.mark.parametrize("arguments", [[], ["--all", "--grant", "g"], ["--all", "--stream", "letters"]])
def test_bad_usage_is_explained_and_nothing_is_made(
    cli: Callable[..., Cli], tmp_path: Path, arguments: list[str]
):
    result = cli().invoke("mirror", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not (tmp_path / "data").exists()


def test_whole_accounts_are_mirrored_and_a_second_run_asks_for_nothing_but_calendars(
    cli: Callable[..., Cli], accounts: Served, tmp_path: Path
):
    command = cli(**accounts.env)
    first = command.run("mirror", "--all", "--json")
    asked = len(accounts.simulator.requests)
    unknown = command.run(
        "mirror", "--grant", "nobody", "--grant", accounts.grant_id("ews"), "--skip-refresh"
    )
    again = [entry.operation for entry in accounts.simulator.requests[asked:]]

    assert first.returncode == 0, first.stderr
    said = {(row["stream"], row["grant"]): row for row in json.loads(first.stdout)["grants"]}
    ews, imap = accounts.grant_id("ews"), accounts.grant_id("imap")
    truth = {stream: len(list(accounts.simulator.truth(ews, stream))) for stream in ("contacts", "events")}
    assert said["contacts", ews]["records"] == truth["contacts"]
    assert said["events", ews]["records"] == truth["events"]
    assert {said[stream, imap]["state"] for stream in ("calendars", "events")} == {"skipped"}
    with connect(tmp_path / "data") as lake:
        assert lake.execute("SELECT count(*) FROM events").fetchone() == (truth["events"],)
    assert unknown.returncode == 1
    assert "There is no grant nobody" in unknown.stdout
    assert set(again) <= {"grants", "calendars", "webhooks"}

    status = command.invoke("status").stdout
    assert f"contacts: 2 grants complete, {truth['contacts'] + 3:,} records" in status


@deep
def test_the_providers_threads_are_listed_only_where_named_and_their_cost_is_said_first(
    cli: Callable[..., Cli], accounts: Served
):
    command = cli(**accounts.env)
    filled = command.run("backfill", "--grant", accounts.grant_id("ews"))
    before = len(accounts.simulator.requests)
    listed = command.run("mirror", "--grant", accounts.grant_id("ews"), "--stream", "provider_threads")
    threads = len(list(accounts.simulator.truth(accounts.grant_id("ews"), "threads")))

    assert (filled.returncode, listed.returncode) == (0, 0), listed.stderr
    assert (
        f"About {threads} threads in {-(-threads // 20)} requests, 0 of Gmail's quota units." in listed.stderr
    )
    operations = [entry.operation for entry in accounts.simulator.requests]
    assert "threads" not in operations[:before]
    assert "threads" in operations[before:]
