import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline import connect
from mail_pipeline.lake.connection import attach, open_duckdb
from mail_pipeline_tests.cli.conftest import Cli, Served

LARGEST = "40kB"


@pytest.fixture
def here(cli: Callable[..., Cli], served: Served, stored: Path, tmp_path: Path) -> Cli:
    """Work on a copy of the data folder with three mailboxes, of which two have a few small attachments."""
    shutil.copytree(stored, tmp_path / "data")
    with open_duckdb() as lake:
        attach(lake, tmp_path / "data", read_only=False)
        lake.execute("DELETE FROM attachments WHERE size > 50000")
    return cli(**served.env)


def count(data: Path, condition: str = "true") -> int:
    with connect(data) as lake:
        [(found,)] = lake.execute(f"SELECT count(*) FROM attachments WHERE {condition}").fetchall()
    return int(found)


def test_nothing_is_fetched_before_somebody_asks(here: Cli, tmp_path: Path):
    said = json.loads(here.invoke("attachments", "status", "--json").stdout)

    assert (said["ok"], said["files"], said["bytes"]) == (True, 0, 0)
    assert [each["waiting"] for each in said["grants"]] == [each["attachments"] for each in said["grants"]]
    assert not (tmp_path / "data" / "attachments").exists()


def test_a_fetch_tells_what_became_of_each_and_status_tells_it_afterwards(here: Cli, tmp_path: Path):
    data = tmp_path / "data"
    fetched = here.invoke("attachments", "fetch", "--max-size", LARGEST)

    skipped, all_there_are = count(data, "size > 40000"), count(data)
    assert fetched.exit_code == 0, fetched.output
    assert 0 < skipped < all_there_are
    assert fetched.stdout.startswith(f"Stored: {all_there_are - skipped} attachments, ")
    assert fetched.stdout.endswith(f", {skipped} skipped.\n")
    assert ": complete, " in fetched.stderr

    said = json.loads(here.invoke("attachments", "status", "--json").stdout)
    assert sum(each["stored"] for each in said["grants"]) == all_there_are - skipped
    assert sum(each["skipped"] for each in said["grants"]) == skipped
    assert sum(each["waiting"] for each in said["grants"]) == 0
    assert said["bytes"] == sum(each.stat().st_size for each in (data / "attachments").glob("??/*"))
    assert "Files: " in here.invoke("attachments", "status").stdout


def test_a_machine_gets_one_object(here: Cli, served: Served):
    microsoft = served.grant_id("microsoft")

    result = here.invoke("attachments", "fetch", "--grant", microsoft, "--type", "text/calendar", "--json")

    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"]) == (0, True)
    assert [each["grant_id"] for each in said["grants"]] == [microsoft]
    assert said["wanted"] == said["stored"] > 0
    assert {said["skipped"], said["gone"], said["failed"], said["left_out"]} == {0}
    assert said["bytes"] > 0


def test_a_grant_that_cannot_be_asked_fails_the_command_and_says_the_next_step(here: Cli, served: Served):
    ews = served.grant_id("ews")
    with open_duckdb() as lake:
        attach(lake, here.cwd / "data", read_only=False)
        lake.execute("INSERT INTO all_messages (grant_id, id) VALUES (?, 'm')", [ews])
        lake.execute(
            "INSERT INTO attachments (grant_id, message_id, position, id) VALUES (?, 'm', 0, 'a')", [ews]
        )

    result = here.invoke("attachments", "fetch", "--grant", ews)

    assert result.exit_code == 1
    assert f"{ews} is failed: " in result.stdout
    assert "reconnect" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fetch", "--max-size", "huge"],
        ["fetch", "--max-size", "-1"],
        ["fetch", "--since", "yesterday"],
        ["fetch", "superfluous"],
        ["status", "--max-size", "1"],
        ["nonsense"],
    ],
)
def test_bad_usage_is_explained(cli: Callable[..., Cli], arguments: list[str]):
    result = cli().invoke("attachments", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.parametrize("command", ["fetch", "status"])
def test_each_explains_itself_and_its_options(cli: Callable[..., Cli], command: str):
    result = cli().invoke("attachments", command, "--help")

    assert result.exit_code == 0
    assert "--json" in result.stdout
    for line in result.stdout.partition("Options:")[2].splitlines():
        if line.startswith("  -"):
            assert line.strip() != line.split()[0]


def test_a_size_may_be_written_as_people_do():
    from mail_pipeline.cli.attachments import _Size

    sizes = {"25MB": 25_000_000, "1.5 kb": 1_500, "512KiB": 524_288, "2g": 2 * 10**9, "7": 7, "0": 0}
    sizes[f"{10**20}G"] = 2**63 - 1
    assert {text: _Size().convert(text, None, None) for text in sizes} == sizes


@pytest.mark.parametrize("command", ["fetch", "status"])
def test_without_a_lake_none_is_made(cli: Callable[..., Cli], tmp_path: Path, command: str):
    result = cli(NYLAS_API_KEY="nyk_some").invoke("attachments", command)

    assert result.exit_code == 1
    assert "There is no lake in" in result.stderr
    assert not (tmp_path / "data").exists()


def test_without_a_key_nothing_is_done(cli: Callable[..., Cli]):
    result = cli().invoke("attachments", "fetch")

    assert result.exit_code == 1
    assert "NYLAS_API_KEY is not set" in result.stderr
