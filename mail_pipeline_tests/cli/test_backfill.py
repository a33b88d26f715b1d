import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake import schema
from mail_pipeline.simulator import API_KEY, Fleet, Latency, Limits, MailboxSpec, Simulator
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
