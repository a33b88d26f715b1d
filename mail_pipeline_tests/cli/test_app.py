import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import Checkpoint, checkpoint_rows
from mail_pipeline_tests.cli.conftest import Cli

COMMANDS = [
    "demo",
    "up",
    "plan",
    "backfill",
    "mirror",
    "marts",
    "apply",
    "reconcile",
    "verify",
    "attachments",
    "status",
    "sql",
    "search",
    "receive",
    "webhook",
    "upkeep",
    "forget",
    "simulate",
    "doctor",
]

MODULES = """
import importlib, sys
import mail_pipeline.cli
importlib.import_module("mail_pipeline.cli." + sys.argv[1])
print(*sys.modules)
"""

THREADS = """
import os, sys
import mail_pipeline.cli
imported = "numpy" in sys.modules
mail_pipeline.cli.main(["sql", "--help"], standalone_mode=False)
print(imported, os.environ["OPENBLAS_NUM_THREADS"])
"""


def test_the_help_names_every_command_and_the_exit_codes(cli: Callable[..., Cli]):
    result = cli().invoke("--help")

    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout
    assert "Exit codes: 0 done, 1 something failed" in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize(
    "command",
    [
        *(command for command in COMMANDS if command not in {"attachments", "webhook"}),
        *("attachments fetch", "attachments status"),
        *("webhook create", "webhook status", "webhook activate", "webhook rotate", "webhook delete"),
    ],
)
def test_every_command_explains_itself_and_each_of_its_options(cli: Callable[..., Cli], command: str):
    result = cli().invoke(*command.split(), "--help")

    assert result.exit_code == 0
    usage, _, options = result.stdout.partition("Options:")
    assert len(usage.splitlines()) > 3
    for line in options.splitlines():
        if line.startswith("  -"):
            assert line.strip() != line.split()[0]
    assert "--debug" in options


def test_the_version_is_the_installed_one(cli: Callable[..., Cli]):
    result = cli().invoke("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("mail-pipeline, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["status", "--nonsense"],
        ["status", "superfluous"],
        ["demo", "--port", "seventy"],
        ["up", "--port", "70000"],
        ["upkeep", "--keep-days", "0"],
        ["doctor", "--watch"],
    ],
)
def test_bad_usage_is_exit_code_2_with_a_hint(cli: Callable[..., Cli], arguments: list[str]):
    result = cli().invoke(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--help" in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_needs_dagster_to_start(command: str):
    found = subprocess.run(
        [sys.executable, "-c", MODULES, command], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "dagster" not in found
    if command in {"status", "sql"}:
        assert not {"pyarrow", "pandas", "requests", "sqlalchemy", "starlette"} & set(found)


def test_a_command_and_its_children_start_no_threads_for_algebra():
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "False 1", "numpy reads it when it is imported"


def test_an_error_is_a_message_and_a_next_step_and_no_traceback(cli: Callable[..., Cli], tmp_path: Path):
    result = cli().invoke("status")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"Error: There is no lake in {tmp_path / 'data'}.",
        "Next: Run `mail-pipeline demo` or `mail-pipeline backfill --all` first, "
        "or set MAIL_PIPELINE_DATA to the folder that has one.",
    ]


def test_a_machine_gets_the_error_as_an_object(cli: Callable[..., Cli]):
    result = cli().invoke("status", "--json")

    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["ok"] is False
    assert said["error"].startswith("There is no lake in")
    assert "mail-pipeline demo" in said["next_step"]
    assert result.stderr.startswith("Error: There is no lake in")


def test_debug_shows_the_traceback(cli: Callable[..., Cli]):
    result = cli().invoke("status", "--debug")

    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "Error: There is no lake in" in result.stderr


def test_an_unexpected_error_is_named_without_its_text(cli: Callable[..., Cli], tmp_path: Path):
    with Lake(tmp_path / "data") as lake, lake.transaction() as transaction:
        transaction.append("checkpoints", checkpoint_rows([Checkpoint(partition_key="g", grant_id="g")]))
    for file in (tmp_path / "data" / "lake" / "tables" / "main" / "checkpoints").iterdir():
        file.unlink()

    result = cli().invoke("status")

    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("Error: Unexpected duckdb.")
    assert "No such file" not in result.stderr
    assert "Next: Run it again with --debug" in result.stderr
    assert "No such file" in cli().invoke("status", "--debug").stderr


def test_a_setting_that_cannot_be_right_is_named(cli: Callable[..., Cli]):
    result = cli(MAIL_PIPELINE_WORKERS="many").invoke("status")

    assert result.exit_code == 1
    assert "MAIL_PIPELINE_WORKERS is 'many': expected a whole number of at least 1" in result.stderr
