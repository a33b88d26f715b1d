import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake.connection import connect
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.cli.spoiled import spoil


def test_each_message_that_differs_is_printed_and_fails_the_command(here: Cli, served: Served, copied: Path):
    microsoft, imap = served.grant_id("microsoft"), served.grant_id("imap")
    spoil(copied, microsoft)
    with connect(copied) as lake:
        before = lake.execute("SELECT * FROM all_messages ORDER BY ALL").fetchall()

    result = here.invoke("verify", "--grant", microsoft, "--grant", imap)

    assert result.exit_code == 1
    grants, _, messages = result.stdout.partition("grant  ")[2].partition("grant  ")
    counts = {line.split()[0]: line.split()[1:] for line in grants.splitlines()[1:] if line.strip()}
    assert counts[microsoft] == ["microsoft", "450", "2", "0", "0", "1"]
    assert counts[imap] == ["imap", "120", "0", "0", "0", "0"]
    kinds = [line.split()[1] for line in messages.splitlines() if line.startswith(microsoft)]
    assert sorted(kinds) == ["changed", "unknown", "unknown"]
    assert f"{imap}: done" in result.stderr
    with connect(copied) as lake:
        assert lake.execute("SELECT * FROM all_messages ORDER BY ALL").fetchall() == before


def test_a_machine_gets_one_object_with_every_message(here: Cli, served: Served, copied: Path):
    microsoft = served.grant_id("microsoft")
    spoil(copied, microsoft)

    said = json.loads(here.invoke("verify", "--grant", microsoft, "--json").stdout)

    [grant] = said.pop("grants")
    assert said == {"ok": False}
    assert (grant["grant_id"], grant["listed"], grant["error"]) == (microsoft, 450, None)
    assert {one["grant_id"] for one in grant["differences"]} == {microsoft}
    assert len({one["message_id"] for one in grant["differences"]}) == 3


def test_what_differs_is_mended_when_asked_for_and_compared_once_more(
    here: Cli, served: Served, copied: Path
):
    microsoft = served.grant_id("microsoft")
    spoil(copied, microsoft)

    repaired = here.invoke("verify", "--grant", microsoft, "--repair")
    again = here.invoke("verify", "--grant", microsoft, "--json")

    assert repaired.exit_code == 0
    before, after = repaired.stdout.split("After the repair:")
    assert f"{microsoft}   microsoft              450         2         0       0         1" in before
    assert f"{microsoft}   microsoft              450         0         0       0         0" in after
    assert json.loads(again.stdout)["ok"] is True


def test_a_mailbox_that_cannot_be_compared_fails_the_command_and_says_why(here: Cli, served: Served):
    ews = served.grant_id("ews")

    result = here.invoke("verify", "--grant", ews, "--repair", "--json")

    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"], said["repaired"]) == (1, False, said["grants"])
    assert "has expired" in said["grants"][0]["error"]
    assert f"{ews}: Grant {ews} has expired" in result.stderr


@pytest.mark.parametrize("arguments", [["now"], ["--since", "yesterday"], ["--repair", "all"], ["--grant"]])
def test_bad_usage_is_explained(here: Cli, arguments: list[str]):
    result = here.invoke("verify", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_without_a_lake_none_is_made(cli: Callable[..., Cli], served: Served, tmp_path: Path):
    result = cli(**served.env).invoke("verify", "--json")

    assert result.exit_code == 1
    assert "There is no lake in" in json.loads(result.stdout)["error"]
    assert not (tmp_path / "data").exists()
