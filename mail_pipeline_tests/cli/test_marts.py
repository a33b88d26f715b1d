import json
from collections.abc import Callable
from pathlib import Path

from mail_pipeline_tests.cli.conftest import Cli, Served, fill

LEFT = "SELECT (SELECT count(*) FROM messages) - (SELECT count(*) FROM message_facts) AS missing"


def test_the_tables_for_analysts_hold_all_mail_afterwards_and_a_second_run_looks_at_none(
    cli: Callable[..., Cli], served: Served, tmp_path: Path
):
    fill(tmp_path / "data", served)

    said = json.loads(cli().invoke("marts", "--json").stdout)

    assert said["ok"] is True
    assert said["messages_changed"] == said["rows"]["message_facts"] > 0
    assert 0 < said["rows"]["message_texts"] <= said["rows"]["message_facts"]
    assert json.loads(cli().invoke("sql", LEFT, "--json").stdout) == [{"missing": 0}]
    again = cli().invoke("marts")
    assert again.exit_code == 0
    assert again.stdout.startswith("Messages looked at: 0, in 0 accounts. Bodies converted: 0.")


def test_without_a_lake_none_is_made(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("marts")

    assert result.exit_code == 1
    assert "There is no lake in" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_time_zone_that_is_none_is_named(cli: Callable[..., Cli], served: Served, tmp_path: Path):
    fill(tmp_path / "data", served)

    result = cli(MAIL_PIPELINE_TIME_ZONE="Mars").invoke("marts")

    assert result.exit_code == 1
    assert "MAIL_PIPELINE_TIME_ZONE is 'Mars'" in result.stderr
