import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from mail_pipeline_tests.cli.conftest import Cli


@contextmanager
def receiver(cli: Cli, *arguments: str) -> Iterator[str]:
    """Run `receive` and yield the first line it prints; it must end cleanly on SIGTERM."""
    with cli.start("receive", "--port", "0", *arguments) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in errors


def test_it_prints_the_address_of_the_webhook_and_answers_there(cli: Callable[..., Cli]):
    with receiver(cli(NYLAS_WEBHOOK_SECRET="s")) as address:
        assert address.endswith("/webhooks/nylas")
        assert requests.get(address, params={"challenge": "abc"}, timeout=30).text == "abc"


def test_a_machine_gets_it_as_an_object(cli: Callable[..., Cli]):
    with receiver(cli(NYLAS_WEBHOOK_SECRET="s"), "--json") as line:
        said: dict[str, Any] = json.loads(line)
        assert said == {"ok": True, "url": said["url"], "webhook": f"{said['url']}/webhooks/nylas"}
        assert requests.get(f"{said['url']}/healthz", timeout=30).json() == {"ok": True, "reason": None}


def test_the_secret_is_nowhere_in_what_it_says(cli: Callable[..., Cli]):
    with cli(NYLAS_WEBHOOK_SECRET="hunter2").start("receive", "--port", "0", "--debug") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert requests.post(address, data=b"private words", timeout=30).status_code == 401
        numbers = requests.get(address.replace("/webhooks/nylas", "/metrics"), timeout=30).text
        process.terminate()
        _, errors = process.communicate(timeout=30)

    for words in ("hunter2", "private words"):
        assert words not in numbers + errors


def test_a_child_ends_with_its_parents_pipe(cli: Callable[..., Cli]):
    made = cli(NYLAS_WEBHOOK_SECRET="s")
    with subprocess.Popen(
        made.command("receive", "--port", "0", "--child"),
        cwd=made.cwd,
        env=made.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert b"/webhooks/nylas" in process.stdout.readline()
        process.communicate(timeout=30)

    assert process.returncode == 0


def test_a_taken_port_is_an_error_with_a_next_step(cli: Callable[..., Cli]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = cli().invoke("receive", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_bad_usage_is_explained(cli: Callable[..., Cli], port: str):
    result = cli().invoke("receive", "--port", port)

    assert result.exit_code == 2
    assert "--port" in result.stderr
