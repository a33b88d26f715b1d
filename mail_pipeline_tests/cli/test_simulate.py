import json
import mailbox
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests

from mail_pipeline.simulator.delivery import signature
from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.simulator.receiver import MIRROR, receiving


@contextmanager
def simulator(cli: Cli, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run `simulate` and yield the variables it prints; it must end cleanly on SIGTERM."""
    with cli.start("simulate", "--port", "0", *arguments) as process:
        try:
            assert process.stdout is not None
            if "--json" in arguments:
                yield json.loads(process.stdout.readline())
            else:
                lines = [process.stdout.readline().strip() for _ in range(2)]
                yield dict(line.removeprefix("export ").split("=", 1) for line in lines)
        finally:
            process.terminate()
            rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in errors


def get(env: dict[str, Any], path: str, **parameters: Any) -> Any:
    answer = requests.get(
        env["NYLAS_API_URI"] + path,
        params=parameters,
        headers={"Authorization": f"Bearer {env['NYLAS_API_KEY']}"},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["data"]


def test_it_prints_the_two_variables_and_serves_the_mailboxes_asked_for(
    cli: Callable[..., Cli], tmp_path: Path
):
    log = tmp_path / "requests.jsonl"
    wanted = ("--mailbox", "google=7", "--mailbox", "imap=9", "--seed", "3", "--log", str(log))
    sizes = ("--contacts", "3", "--calendars", "1", "--events", "5")

    with simulator(cli(), *wanted, *sizes) as env:
        grants = get(env, "/v3/grants")
        [google] = [grant["id"] for grant in grants if grant["provider"] == "google"]
        messages = get(env, f"/v3/grants/{google}/messages", limit=50)
        truths = {
            stream: requests.get(f"{env['NYLAS_API_URI']}/simulator/truth/{google}/{stream}", timeout=30)
            for stream in ("contacts", "calendars", "events")
        }

    assert sorted(grant["provider"] for grant in grants) == ["google", "imap"]
    assert len(messages) == 7
    assert {stream: answer.content.count(b"\n") for stream, answer in truths.items()} == {
        "contacts": 3,
        "calendars": 1,
        "events": 5,
    }
    assert [json.loads(line)["operation"] for line in log.read_text().splitlines()] == ["grants", "messages"]


def test_a_machine_gets_them_as_an_object(cli: Callable[..., Cli]):
    with simulator(cli(), "--json", "--mailbox", "ews=1") as env:
        assert env["ok"] is True
        assert len(get(env, "/v3/grants")) == env["grants"] == 1


def test_the_same_seed_serves_the_same_mail(cli: Callable[..., Cli]):
    found = []
    for _ in range(2):
        with simulator(cli(), "--mailbox", "ews=1", "--seed", "5") as env:
            found.append(get(env, "/v3/grants"))

    assert found[0] == found[1]


def test_ones_own_mail_is_served_from_an_mbox_file(cli: Callable[..., Cli], tmp_path: Path):
    path = tmp_path / "inbox.mbox"
    message = EmailMessage()
    message["Subject"] = "Lunch?"
    message["From"] = "a@one.example"
    message["Date"] = "Thu, 01 Jan 2026 12:00:00 +0000"
    message["Message-ID"] = "<1@one.example>"
    message.set_content("At noon.")
    box = mailbox.mbox(path)
    box.add(message)
    box.close()

    with simulator(cli(), "--mbox", str(path)) as env:
        [grant] = get(env, "/v3/grants")
        [served] = get(env, f"/v3/grants/{grant['id']}/messages")

    assert served["subject"] == "Lunch?"


def test_faults_are_served_at_the_rate_asked_for(cli: Callable[..., Cli], tmp_path: Path):
    log = tmp_path / "requests.jsonl"

    arguments = ("--mailbox", "ews=1", "--faults", "1", "--log", str(log))
    with simulator(cli(), *arguments) as env, suppress(requests.RequestException, KeyError):
        get(env, "/v3/grants")

    assert [json.loads(line)["fault"] is not None for line in log.read_text().splitlines()] == [True]


def test_a_live_mailbox_changes_by_itself_and_webhooks_are_told(cli: Callable[..., Cli]):
    arguments = ("--mailbox", "ews=20", "--live", "200", "--webhook-secret", "s3cret")
    with receiving() as receiver, simulator(cli(), *arguments) as env:
        created = requests.post(
            f"{env['NYLAS_API_URI']}/v3/webhooks",
            json={"trigger_types": MIRROR, "webhook_url": receiver.url},
            headers={"Authorization": f"Bearer {env['NYLAS_API_KEY']}"},
            timeout=30,
        )
        receiver.wait_for(20)

    assert created.json()["data"]["webhook_secret"] == "s3cret"
    received = receiver.take()
    assert all(one.headers["x-nylas-signature"] == signature("s3cret", one.body) for one in received)
    assert "message.created" in {one.type for one in received}


def test_without_live_the_mail_stays_as_it_is(cli: Callable[..., Cli]):
    with receiving() as receiver, simulator(cli(), "--mailbox", "ews=20") as env:
        requests.post(
            f"{env['NYLAS_API_URI']}/v3/webhooks",
            json={"trigger_types": MIRROR, "webhook_url": receiver.url},
            headers={"Authorization": f"Bearer {env['NYLAS_API_KEY']}"},
            timeout=30,
        )
        [grant] = get(env, "/v3/grants")
        requests.post(
            f"{env['NYLAS_API_URI']}/simulator/provider/arrive", json={"grant_id": grant["id"]}, timeout=30
        )
        receiver.wait_for(1)

    assert receiver.types() == ["message.created"]


def test_a_taken_port_is_an_error_with_a_next_step(cli: Callable[..., Cli]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = cli().invoke("simulate", "--port", str(taken.getsockname()[1]))

    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mailbox", "gmail=3"], "'gmail=3': expected a provider and a number"),
        (["--mailbox", "google"], "expected a provider and a number"),
        (["--mailbox", "google=-1"], "expected a provider and a number"),
        (["--faults", "1.5"], "--faults"),
        (["--live", "-1"], "--live"),
        (["--mbox", "nowhere"], "does not exist"),
        (["--mailbox", "ews=1", "--mbox", "."], "do not go together"),
        (["--events", "5"], "need a --mailbox"),
        (["--mbox", "notes.txt"], "--mbox"),
    ],
)
def test_bad_usage_is_explained(cli: Callable[..., Cli], tmp_path: Path, arguments: list[str], said: str):
    (tmp_path / "notes.txt").write_text("Just a text.\n")

    result = cli().invoke("simulate", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
