import json
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.apply import LEASE
from mail_pipeline.sync.leases import Leases
from mail_pipeline_tests.cli.conftest import Cli, Served


@pytest.fixture
def here(cli: Callable[..., Cli], data: Path) -> Cli:
    """Run in a folder with an empty lake, and without a key."""
    return cli(MAIL_PIPELINE_DATA=str(data))


def land(data: Path, *types: str) -> None:
    bodies = [
        orjson.dumps({"type": each, "time": 1, "data": {"object": {"grant_id": "g", "id": "m"}}})
        for each in types
    ]
    with Landing.open(Settings(data=data)) as landing:
        landing.store([Delivery(time.time(), {}, body) for body in bodies])


def test_what_landed_is_applied_once_and_told_by_trigger(here: Cli, data: Path):
    land(data, "grant.updated", "grant.updated", "message.created")

    first = here.invoke("apply")
    second = here.invoke("apply")

    assert (first.exit_code, second.exit_code) == (0, 0)
    rows = [line.split() for line in first.stdout.splitlines()]
    assert ["grant.updated", "applied", "2"] in rows
    assert ["message.created", "dead", "1"] in rows
    assert "Applied up to notification 3. Fetched from the API: 0; still to be fetched: 1." in first.stdout
    assert "3 notifications, up to number 3" in first.stderr
    assert second.stdout == (
        "Applied up to notification 3. Fetched from the API: 0; still to be fetched: 1.\n"
    )


def test_a_machine_gets_one_object(here: Cli, data: Path):
    land(data, "message.created", "event.created")

    said = json.loads(here.invoke("apply", "--json").stdout)

    assert said == {
        "ok": True,
        "data": str(data),
        "applied_up_to": 2,
        "outcomes": [
            {"trigger": "event.created", "outcome": "dead", "count": 1},
            {"trigger": "message.created", "outcome": "dead", "count": 1},
        ],
        "mailboxes": 0,
        "fetched": 0,
        "waiting": 1,
    }


def test_some_are_applied_once_more(here: Cli, data: Path):
    land(data, "message.created", "event.created", "grant.updated")
    here.invoke("apply")

    for what, count in {"dead": 2, "event.created": 1, "3": 1, "99": 0, "everything": 3}.items():
        said = json.loads(here.invoke("apply", "--replay", what, "--json").stdout)
        assert sum(each["count"] for each in said["outcomes"]) == count
        assert said["applied_up_to"] == 3


def test_what_waits_is_fetched_where_there_is_a_key(cli: Callable[..., Cli], served: Served, data: Path):
    land(data, "grant.updated")

    said = json.loads(cli(**served.env, MAIL_PIPELINE_DATA=str(data)).invoke("apply", "--json").stdout)

    assert (said["fetched"], said["waiting"]) == (1, 0)


@pytest.mark.parametrize("arguments", [["now"], ["--replay"], ["--all"], ["--replay", "12x"]])
def test_bad_usage_is_explained(here: Cli, arguments: list[str]):
    result = here.invoke("apply", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_two_do_not_apply_at_once(here: Cli, data: Path):
    leases = Leases(data)
    with Lake(data) as lake, lake.locked():
        assert leases.take(LEASE) is not None

    result = here.invoke("apply", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False
    assert "Another process applies notifications at this moment" in result.stderr
    leases.close()
    assert here.invoke("apply").exit_code == 0


def test_a_landing_table_of_another_lake_is_refused(here: Cli, data: Path):
    land(data, "grant.updated")
    here.invoke("apply")
    (data / "inbox.sqlite").unlink()

    result = here.invoke("apply")

    assert result.exit_code == 1
    assert "older than the lake" in result.stderr
    assert "Next: Put back the inbox.sqlite" in result.stderr
    assert "Traceback" not in result.stderr
