import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mail_pipeline.lake import schema
from mail_pipeline.simulator import API_KEY, Fleet, Latency, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.cli.test_doctor import make_newer, web_server
from mail_pipeline_tests.disks import small_disk

__all__ = ["web_server"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all", "--grant", "g"],
        ["--all", "g/INBOX"],
        ["--all", "--since", "yesterday"],
        ["--all", "--max-pages", "0"],
        ["--all", "--page-size", "201"],
    ],
)
def test_bad_usage_is_explained_and_nothing_is_made(
    cli: Callable[..., Cli], served: Served, tmp_path: Path, arguments: list[str]
):
    result = cli(**served.env).invoke("backfill", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not (tmp_path / "data").exists()


def test_without_a_key_it_says_where_to_get_one(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("backfill", "--all")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: NYLAS_API_KEY is not set.\nNext: ")
    assert "mail-pipeline demo" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_wrong_key_stops_the_run_and_is_not_shown(cli: Callable[..., Cli], served: Served):
    result = cli(**{**served.env, "NYLAS_API_KEY": "nyk_wrong"}).invoke("backfill", "--all", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False
    assert "NYLAS_API_KEY" in result.stderr
    assert "nyk_wrong" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_of_something_else_stops_the_run(cli: Callable[..., Cli], web_server: str):
    result = cli(NYLAS_API_KEY="nyk_any", NYLAS_API_URI=web_server).invoke("backfill", "--all")

    assert result.exit_code == 1
    assert "NYLAS_API_URI" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_where_nobody_answers_stops_the_run(cli: Callable[..., Cli]):
    result = cli(NYLAS_API_KEY="nyk_any", NYLAS_API_URI="http://127.0.0.1:9").invoke("backfill", "--all")

    assert result.exit_code == 1
    assert "NYLAS_API_URI" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("folder", ["/sys/mail", "in-the-way/data"])
def test_a_data_folder_that_cannot_be_made_is_named(
    cli: Callable[..., Cli], served: Served, tmp_path: Path, folder: str
):
    (tmp_path / "in-the-way").touch()

    result = cli(**served.env, MAIL_PIPELINE_DATA=folder).invoke("backfill", "--all")

    assert result.exit_code == 1
    assert folder in result.stderr
    assert "MAIL_PIPELINE_DATA" in result.stderr


def test_a_lake_of_a_newer_version_is_left_alone(cli: Callable[..., Cli], served: Served, data: Path):
    make_newer(data)

    result = cli(**served.env).invoke("backfill", "--all")

    assert result.exit_code == 1
    assert f"schema version is {schema.VERSION + 1}" in result.stderr
    assert "Next: Update mail_pipeline" in result.stderr


def test_each_mailbox_is_told_of_and_a_failed_one_fails_the_command_alone(
    cli: Callable[..., Cli], served: Served
):
    here = cli(**served.env)

    result = here.run("backfill", "--all")

    assert result.returncode == 1
    assert "\x1b" not in result.stdout + result.stderr
    microsoft, ews = served.grant_id("microsoft"), served.grant_id("ews")
    assert f"{microsoft} (microsoft): complete, 450 of 450 messages" in result.stderr
    [failed] = [line for line in result.stdout.splitlines() if line.startswith(f"{ews} is failed: ")]
    assert "reconnect" in failed.lower()
    assert "1 failed" in result.stdout
    assert "Messages stored: 570." in result.stdout

    again = here.invoke("backfill", "--skip-refresh", "--grant", microsoft)
    assert again.exit_code == 0
    assert again.stdout == "Nothing to do. Mailboxes: 1 complete. Messages stored: 570.\n"


def test_what_does_not_exist_is_named_and_the_rest_is_done(cli: Callable[..., Cli], served: Served):
    here = cli(**served.env)
    imap = served.grant_id("imap")

    result = here.invoke("backfill", "--json", f"{imap}/INBOX", f"{imap}/INBX", "--grant", "nobody")

    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert said["ok"] is False
    assert said["mailboxes"] == {"complete": 1}
    assert said["unknown"] == [f"{imap}/INBX (did you mean {imap}/INBOX?)", "nobody"]
    assert said["failures"] == []


@pytest.fixture
def odd() -> Iterator[tuple[Served, Door]]:
    """Serve two mailboxes whose accounts and folders come through a door."""
    specs = [MailboxSpec(each, messages=5, body_mean=300) for each in ("google", "imap")]
    simulator = Simulator(Fleet.generate(11, specs), limits=Limits.off())
    door = Door(simulator)
    with simulator.serve() as url:
        yield Served(simulator, url), door


def test_what_cannot_be_read_of_accounts_is_told_everywhere_and_is_no_success(
    cli: Callable[..., Cli], odd: tuple[Served, Door]
):
    accounts, door = odd
    google, imap = accounts.grant_id("google"), accounts.grant_id("imap")
    door.edit(lambda asked: asked.operation == "grants", lambda answer: answer["data"].append({"id": ""}))

    def spoil_folders(answer: dict[str, Any]) -> None:
        answer["data"][0]["total_count"] = "many"
        answer["data"].append({"name": "no id"})

    door.edit(lambda asked: asked.operation == "folders" and asked.grant_id == imap, spoil_folders)
    here = cli(**accounts.env)

    told = "1 accounts and 1 folders cannot be read"
    filled = here.invoke("backfill", "--all")
    assert (filled.exit_code, told in filled.stdout) == (1, True)
    assert "dead_letters" in filled.stdout
    assert "failed" not in filled.stdout
    again = json.loads(here.invoke("backfill", "--all", "--skip-refresh", "--json").stdout)
    assert (again["ok"], again["unread"]) == (False, {"accounts": 1, "folders": 1})
    assert again["mailboxes"].keys() == {"complete"}

    mirrored = here.invoke("mirror", "--all", "--skip-refresh")
    assert (mirrored.exit_code, told in mirrored.stdout) == (1, True)
    for command in ("status", "doctor"):
        assert told in here.invoke(command).stdout

    for name in ("backfill", "mirror"):
        assert here.invoke(name, "--skip-refresh", "--grant", google).exit_code == 0
        assert here.invoke(name, "--skip-refresh", "--grant", imap).exit_code == 1


def test_a_grant_that_can_have_no_partition_is_named_with_the_reason(
    cli: Callable[..., Cli], odd: tuple[Served, Door]
):
    accounts, door = odd

    def with_odd_ids(answer: dict[str, Any]) -> None:
        answer["data"] += [{"id": each, "provider": "google"} for each in ("a/b", "a b")]

    door.edit(lambda asked: asked.operation == "grants", with_odd_ids)
    here = cli(**accounts.env)

    filled = here.invoke("backfill", "--all", "--json")
    said = json.loads(filled.stdout)
    assert (filled.exit_code, said["ok"], sorted(said["unusable"])) == (1, False, ["a b", "a/b"])
    assert (said["mailboxes"].keys(), said["unknown"], said["failures"]) == ({"complete"}, [], [])
    for command, verb in (("backfill", "backfilled"), ("mirror", "mirrored")):
        asked = here.invoke(command, "--skip-refresh", "--grant", "a/b", "--grant", "a b")
        assert asked.exit_code == 1
        assert "There is no" not in asked.stdout
        for name in ("a/b", "a b"):
            assert f"{name} is not {verb}: no partition can have its key" in asked.stdout
    status = here.invoke("status").stdout
    for name in ("a/b", "a b"):
        assert f"{name} is registered: no partition can have its key" in status


def test_it_stops_after_the_pages_asked_for_and_goes_on_from_there(cli: Callable[..., Cli], served: Served):
    here = cli(**served.env)
    microsoft = served.grant_id("microsoft")
    asked = ("backfill", "--json", microsoft, "--page-size", "50")

    first = json.loads(here.invoke(*asked, "--max-pages", "2").stdout)
    second = json.loads(here.invoke(*asked, "--skip-refresh").stdout)

    assert first["ok"] is True
    assert first["mailboxes"] == {"listing": 1}
    assert 0 < first["messages_stored"] <= 100
    assert second["mailboxes"] == {"complete": 1}
    assert second["messages_stored"] == 450


def test_an_interrupt_keeps_what_is_stored_and_says_so(cli: Callable[..., Cli]):
    fleet = Fleet.generate(5, [MailboxSpec("microsoft", messages=400, body_mean=300)])
    simulator = Simulator(fleet, limits=Limits.off(), latency=Latency(base=0.2))
    with simulator.serve() as url:
        here = cli(NYLAS_API_URI=url, NYLAS_API_KEY=API_KEY)
        with here.start("backfill", "--all", "--page-size", "10", "--json") as process:
            assert process.stderr is not None
            for line in process.stderr:
                if " messages listed" in line and " 0 messages listed" not in line:
                    break
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)

    said = json.loads(out)
    assert process.returncode == 1
    assert said["interrupted"] is True
    assert 0 < said["messages_stored"] < 400
    assert "Traceback" not in errors


@pytest.mark.parametrize("size", ["100k", "500k", "900k"])
def test_a_disk_that_fills_up_under_dagster_is_told_as_one_that_is_full(
    cli: Callable[..., Cli], served: Served, tmp_path: Path, size: str
):
    with small_disk(tmp_path / "disk", size) as disk:
        ended = cli(**served.env, MAIL_PIPELINE_DATA=str(disk / "data")).run("backfill", "--all", "--json")

    assert ended.returncode == 1
    said = json.loads(ended.stdout)
    assert said["error"] == f"The disk that holds {disk / 'data'} is full; everything committed is safe"
    assert "Free some space" in said["next_step"]
