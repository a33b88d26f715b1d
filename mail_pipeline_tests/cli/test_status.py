import json
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from mail_pipeline_tests.cli.conftest import Cli, Served


@pytest.fixture
def filled(cli: Callable[..., Cli], stored: Path) -> Cli:
    return cli(MAIL_PIPELINE_DATA=str(stored))


def test_every_mailbox_is_on_a_line_of_its_own(filled: Cli, served: Served):
    result = filled.invoke("status")

    lines = result.stdout.splitlines()
    [microsoft] = [line.split() for line in lines if line.strip().startswith(served.grant_id("microsoft"))]
    assert microsoft[1:5] == ["microsoft", "complete", "450", "450"]
    folders = [line for line in lines if line.strip().startswith(served.grant_id("imap") + "/")]
    assert len(folders) > 3
    assert any("/@recent" in line for line in folders)


def test_a_failed_mailbox_says_why_and_what_to_do_and_makes_exit_code_1(filled: Cli, served: Served):
    result = filled.invoke("status")

    assert result.exit_code == 1
    [said] = [line for line in result.stdout.splitlines() if " is failed" in line]
    assert said.startswith(served.grant_id("ews"))
    assert "reconnect" in said.lower()


def test_the_summary_counts_states_and_tells_how_fresh_it_is(filled: Cli):
    *_, counts, fresh = filled.invoke("status").stdout.splitlines()

    assert counts.startswith("Mailboxes: ")
    assert "1 failed" in counts
    assert counts.endswith("Messages stored: 570.")
    assert fresh.startswith("Newest page ")
    assert "s ago, accounts listed " in fresh


def test_a_machine_gets_one_object(filled: Cli, served: Served):
    result = filled.invoke("status", "--json")

    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert said["ok"] is False
    assert said["messages"] == 570
    [row] = [row for row in said["mailboxes"] if row["partition_key"] == served.grant_id("microsoft")]
    assert (row["state"], row["ids_seen"], row["reported"], row["running"]) == ("complete", 450, 450, False)
    assert datetime.fromisoformat(row["oldest"]) < datetime.fromisoformat(row["last_fetch"])


def test_elsewhere_than_on_a_terminal_there_are_no_escape_codes(filled: Cli):
    result = filled.run("status")

    assert result.returncode == 1
    assert "\x1b" not in result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) > 80


def test_watching_goes_on_until_interrupted_with_an_object_a_line(filled: Cli):
    with filled.start("status", "--watch", "--json") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)

    assert [json.loads(line)["messages"] for line in lines + rest.splitlines()][:2] == [570, 570]
    assert process.returncode == 1
    assert "Traceback" not in errors


@pytest.mark.usefixtures("data")
def test_without_a_failure_the_exit_code_is_0(cli: Callable[..., Cli]):
    result = cli().invoke("status")

    assert result.exit_code == 0
    assert "Mailboxes: none. Messages stored: 0." in result.stdout
    assert "Newest page never, accounts listed never." in result.stdout


def test_the_reader_may_stop_reading(filled: Cli):
    shell = " ".join(filled.command("status", "--json"))
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{shell} | head -c 10"],
        cwd=filled.cwd,
        env=filled.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == '{"ok":fals'
    assert "Traceback" not in ended.stderr


def test_watching_that_is_interrupted_before_its_first_reading_ends_in_peace(
    filled: Cli, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(_data: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mail_pipeline.cli.status.connect", interrupted)
    result = filled.invoke("status", "--watch")

    assert (result.exit_code, result.output) == (0, "")
