import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.cli.conftest import Cli, Served, fill
from mail_pipeline_tests.deep import deep

CONTENTS = "SELECT count(*) AS n, sum(hash(id, subject, body_hash)) AS h FROM messages"
NEWER = "INSERT INTO checkpoints SELECT * REPLACE (version + 1000 AS version) FROM checkpoints"


@pytest.fixture
def filled(cli: Callable[..., Cli], served: Served, tmp_path: Path) -> Cli:
    fill(tmp_path / "data", served)
    with Lake(tmp_path / "data") as lake, lake.transaction() as transaction:
        # However the pages were grouped: each mailbox has a checkpoint that a newer one supersedes.
        transaction.change("checkpoints", NEWER)
    return cli()


def test_it_tells_what_it_did_and_changes_no_content(filled: Cli):
    before = filled.invoke("sql", CONTENTS, "--json").stdout

    said = json.loads(filled.invoke("upkeep", "--json", "--keep-days", "1").stdout)

    assert said["ok"] is True
    assert said["checkpoints_dropped"] > 0
    assert said["files"]["all_messages"] >= 1
    assert said["size_bytes"] > 0
    assert filled.invoke("sql", CONTENTS, "--json").stdout == before

    again = filled.invoke("upkeep")
    assert again.exit_code == 0
    assert again.stdout.startswith("Checkpoints dropped: 0. Snapshots expired: ")


def test_without_a_lake_none_is_made(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("upkeep")

    assert result.exit_code == 1
    assert "There is no lake in" in result.stderr
    assert not (tmp_path / "data").exists()


@deep
def test_what_is_stored_and_excluded_is_told_and_removed_on_request(
    cli: Callable[..., Cli], filled: Cli, tmp_path: Path
):
    config = tmp_path / "mine.toml"
    config.write_text("bodies = false\n")
    mine = cli(MAIL_PIPELINE_CONFIG=str(config))
    before = json.loads(mine.invoke("status", "--json").stdout)["excluded"]
    assert before[0] == 0
    assert before[1] > 0
    assert "mail-pipeline upkeep --remove-excluded" in mine.invoke("status").stdout

    said = json.loads(mine.invoke("upkeep", "--json", "--remove-excluded").stdout)

    assert said["excluded"]["narrowed"] == before[1]
    assert json.loads(mine.invoke("status", "--json").stdout)["excluded"] == [0, 0]
    counted = mine.invoke("sql", "SELECT count(*) AS n FROM message_bodies", "--json")
    assert json.loads(counted.stdout) == [{"n": 0}]


@pytest.mark.parametrize("days", ["0", "-1", "36501", "9999999999"])
def test_days_that_no_calendar_has_are_bad_usage(filled: Cli, days: str):
    result = filled.invoke("upkeep", "--keep-days", days)

    assert result.exit_code == 2
    assert "1<=x<=36500" in result.stderr
