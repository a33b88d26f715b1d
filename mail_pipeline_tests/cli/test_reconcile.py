import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.progress import MailboxProgress, Slice, progress
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.cli.spoiled import spoil


def test_each_grant_is_told_of_with_what_differed(here: Cli, served: Served, copied: Path):
    microsoft, imap = served.grant_id("microsoft"), served.grant_id("imap")
    spoil(copied, microsoft)

    result = here.invoke("reconcile")

    assert result.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
    assert rows[microsoft] == ["microsoft", "450", "2", "1", "0"]
    assert rows[imap] == ["imap", "120", "0", "0", "0"]
    assert served.grant_id("ews") not in result.stdout
    assert "Fetched: 2; still to be fetched: 0. Gaps not repaired: 0." in result.stdout
    assert f"{microsoft}: done" in result.stderr


def test_a_machine_gets_one_object(here: Cli, served: Served):
    microsoft = served.grant_id("microsoft")

    result = here.invoke("reconcile", "--grant", microsoft, "--since", "2026-01-01", "--json")

    said = json.loads(result.stdout)
    [grant] = said.pop("grants")
    assert result.exit_code == 0
    assert said == {"ok": True, "beside_mail": [], "fetched": 0, "waiting": 0, "open_gaps": 0}
    assert 0 < grant.pop("listed") < 450
    assert grant == {
        "grant_id": microsoft,
        "provider": "microsoft",
        "unknown": 0,
        "changed": 0,
        "missing": 0,
        "error": None,
    }


def test_a_grant_that_is_left_out_fails_the_command_and_says_why(here: Cli, served: Served, copied: Path):
    microsoft = served.grant_id("microsoft")
    leases = Leases(copied)
    with Lake(copied) as lake, lake.locked():
        assert leases.take(microsoft) is not None

    result = here.invoke("reconcile", "--grant", microsoft, "--json")
    leases.close()

    said = json.loads(result.stdout)
    assert (result.exit_code, said["ok"]) == (1, False)
    assert "Another worker is at work" in said["grants"][0]["error"]
    assert f"{microsoft}: Another worker is at work on grant {microsoft}" in result.stderr


def test_a_stream_beside_the_mail_that_does_not_get_through_fails_the_command_and_says_why(
    here: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
):
    microsoft = served.grant_id("microsoft")
    monkeypatch.setattr("mail_pipeline.sync.reconcile._relist", lambda *_: [("contacts", failed(microsoft))])

    told = here.invoke("reconcile", "--grant", microsoft)
    said = json.loads(here.invoke("reconcile", "--grant", microsoft, "--json").stdout)

    assert told.exit_code == 1
    assert f"contacts of {microsoft} is failed: The owner said no. Ask again." in told.stdout
    assert said["ok"] is False
    assert said["beside_mail"] == [
        {
            "stream": "contacts",
            "grant_id": microsoft,
            "state": "failed",
            "error": "The owner said no. Ask again.",
        }
    ]


def failed(grant_id: str) -> MailboxProgress:
    stands = Checkpoint(
        partition_key=grant_id,
        grant_id=grant_id,
        stream="contacts",
        state="failed",
        reason="The owner said no",
        next_step="Ask again",
    )
    part = Slice(partition_key=grant_id, grant_id=grant_id, provider="microsoft")
    return progress(part, stands, started_at=0.0, now=1.0)


@pytest.mark.parametrize(
    "arguments", [["now"], ["--since", "yesterday"], ["--since"], ["--grant"], ["--all"]]
)
def test_bad_usage_is_explained(here: Cli, arguments: list[str]):
    result = here.invoke("reconcile", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_a_grant_nobody_knows_is_named(here: Cli):
    result = here.invoke("reconcile", "--grant", "nobody")

    assert result.exit_code == 1
    assert "There is no grant nobody" in result.stderr
    assert "Next: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("changed", "named"), [({"NYLAS_API_KEY": ""}, "is not set"), ({"NYLAS_API_KEY": "nyk_wrong"}, "refused")]
)
def test_without_a_key_that_works_nothing_is_done(
    cli: Callable[..., Cli], served: Served, copied: Path, changed: dict[str, str], named: str
):
    result = cli(**{**served.env, "MAIL_PIPELINE_DATA": str(copied), **changed}).invoke("reconcile", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False
    assert "NYLAS_API_KEY" in result.stderr
    assert "nyk_wrong" not in result.stdout + result.stderr


def test_without_a_lake_none_is_made(cli: Callable[..., Cli], served: Served, tmp_path: Path):
    result = cli(**served.env).invoke("reconcile", "--json")

    assert result.exit_code == 1
    assert "There is no lake in" in json.loads(result.stdout)["error"]
    assert not (tmp_path / "data").exists()
