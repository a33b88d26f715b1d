import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline_tests.cli.conftest import Cli

CONTENTS = "SELECT count(*) AS n, sum(hash(id, subject, body_hash)) AS h FROM messages"


@pytest.fixture
def filled(cli: Callable[..., Cli], lake: Path, tmp_path: Path) -> Cli:
    shutil.copytree(lake, tmp_path / "copy")
    return cli(MAIL_PIPELINE_DATA=str(tmp_path / "copy"))


def test_it_prints_what_it_did_and_changes_no_content(filled: Cli):
    before = filled.invoke("sql", CONTENTS, "--json").stdout

    result = filled.invoke("upkeep")

    assert result.exit_code == 0
    assert result.stdout.startswith("Checkpoints dropped: ")
    assert filled.invoke("sql", CONTENTS, "--json").stdout == before


def test_a_machine_gets_the_numbers(filled: Cli):
    said = json.loads(filled.invoke("upkeep", "--json", "--keep-days", "1").stdout)

    assert said["ok"] is True
    assert said["checkpoints_dropped"] > 0
    assert said["files"]["all_messages"] >= 1
    assert said["size_bytes"] > 0

    again = json.loads(filled.invoke("upkeep", "--json").stdout)
    assert again["checkpoints_dropped"] == 0


def test_without_a_lake_none_is_made(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("upkeep")

    assert result.exit_code == 1
    assert "There is no lake in" in result.stderr
    assert not (tmp_path / "data").exists()
