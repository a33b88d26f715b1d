import json
from collections.abc import Callable
from pathlib import Path

from mail_pipeline.settings import Settings
from mail_pipeline.simulator import API_KEY
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline_tests.cli.conftest import Cli, Served


def test_what_is_planned_is_what_the_folders_report_and_no_request_is_sent(
    cli: Callable[..., Cli], served: Served, tmp_path: Path
):
    settings = Settings(api_key=API_KEY, api_uri=served.url, data=tmp_path / "data")
    refresh_grants(settings)
    refresh_folders(settings)
    before = len(served.simulator.requests)

    result = cli().invoke("plan", "--json")

    assert result.exit_code == 0
    said = json.loads(result.stdout)
    of = {row["partition"]: row for row in said["mailboxes"]}
    row = of[served.grant_id("microsoft")]
    assert (row["state"], row["messages"], row["pages"], row["took"]) == ("registered", 450, 3, None)
    assert of[served.grant_id("imap") + "/@recent"]["messages"] is None
    # Of the account that has to be connected again no folders could be listed.
    assert said["left"]["unknown"] == 2
    assert len(served.simulator.requests) == before


def test_what_is_done_shows_how_true_its_plan_was(cli: Callable[..., Cli], stored: Path, served: Served):
    filled = cli(MAIL_PIPELINE_DATA=str(stored))

    row = next(
        row
        for row in json.loads(filled.invoke("plan", "--json").stdout)["mailboxes"]
        if row["partition"] == served.grant_id("microsoft")
    )
    shown = filled.invoke("plan", "--grant", served.grant_id("microsoft")).stdout

    assert row["state"] == "complete"
    assert (row["messages"], row["took"]["messages"]) == (450, 450)
    assert row["pages"] <= row["took"]["pages"]
    assert "100%" in shown
    assert "Left: 0 mailboxes" in shown


def test_a_grant_nobody_knows_is_named(cli: Callable[..., Cli], stored: Path):
    result = cli(MAIL_PIPELINE_DATA=str(stored)).invoke("plan", "--grant", "nope", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "There is no mailbox of a grant nope"
