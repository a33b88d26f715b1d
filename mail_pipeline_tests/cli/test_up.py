import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.cli.test_demo import lines_until


def started(process: subprocess.Popen[str]) -> tuple[str, list[psutil.Process]]:
    """Wait until it has said where the UI will be; return that and all its children."""
    assert process.stderr is not None
    [*_, line] = lines_until(process.stderr, "The Dagster UI starts: ")
    return line.rpartition(" ")[2], psutil.Process(process.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_sigterm_ends_it_and_all_its_children(cli: Callable[..., Cli]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with cli().start("up", "--simulate", "--port", str(port)) as process:
            url, family = started(process)
            process.terminate()
            out, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out == ""
    assert errors.endswith("Stopped.\n")
    assert not url.endswith(f":{port}")
    assert len(family) >= 2
    assert_gone(family)


def test_a_child_that_is_killed_ends_it_and_is_named(cli: Callable[..., Cli], tmp_path: Path):
    with cli().start("up", "--simulate") as process:
        _, family = started(process)
        [simulator] = [each for each in family if "simulate" in each.cmdline()]
        os.kill(simulator.pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "Error: The simulator has ended by itself (killed by SIGKILL)" in errors
    assert f"Next: Its log is {tmp_path / 'data' / 'demo' / 'logs' / 'simulator.log'}." in errors
    assert "Traceback" not in errors
    assert_gone(family)


def test_what_a_hard_kill_left_running_is_ended_by_the_next_start(cli: Callable[..., Cli]):
    here = cli()
    with here.start("up", "--simulate") as process:
        _, orphans = started(process)
        process.kill()
    [dagster] = [each for each in orphans if "dagster" in each.cmdline()]
    assert dagster.is_running()

    with here.start("up", "--simulate") as process:
        _, family = started(process)
        assert_gone(orphans)
        process.terminate()
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert_gone(family)


@pytest.mark.parametrize("host", ["203.0.113.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_refused(cli: Callable[..., Cli], host: str):
    result = cli().invoke("up", "--host", host)

    assert result.exit_code == 1
    assert "NYLAS_API_KEY is not set: what is stored can be seen" in result.stderr
    assert f"Error: Nothing can listen on {host}" in result.stderr
    assert "--host" in result.stderr


def test_a_receiver_that_cannot_listen_says_why(cli: Callable[..., Cli]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Nothing is asked of the API before the receiver stands.
        here = cli(NYLAS_API_KEY="nyk_some", NYLAS_API_URI="http://127.0.0.1:9")
        result = here.invoke("up", "--receiver-port", str(port))

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Unexpected" not in result.stderr
