import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.deep import deep

FAST = {"MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0", "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND": "240"}
PARTITIONS = """
query { assetNodeOrError(assetKey: {path: ["messages"]}) { ... on AssetNode {
    partitionStats { numPartitions numMaterialized numFailed } } } }
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("demo")
    # Beside a `.env` with a key that must not be used: the environment says there is none.
    for name in ("workspace.yaml", "dagster.yaml"):
        (folder / name).touch()
    (folder / ".env").write_text("NYLAS_API_KEY=nyk_real\nNYLAS_API_URI=http://127.0.0.1:9\n")
    return Cli(folder, {**FAST, "NYLAS_API_KEY": ""})


def lines_until(stream: Iterator[str], text: str) -> list[str]:
    found = []
    for line in stream:
        found.append(line.rstrip())
        if text in line:
            return found
    raise AssertionError(f"{text!r} did not come; what came: {found}")


def test_mailboxes_fill_while_the_ui_runs_and_ctrl_c_leaves_nothing_behind(demo: Cli):
    with demo.start("demo", "--json", "--port", "3100") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        begun = lines_until(process.stderr, "Listing accounts")
        [address] = [line for line in begun if line.startswith("The Dagster UI starts: ")]
        url = address.rpartition(" ")[2]
        said = json.loads(process.stdout.readline())
        wanted = f"The Dagster UI stays until Ctrl-C: {url}"
        told = lines_until(process.stderr, wanted)
        if f"The Dagster UI is up: {url}" not in told:
            lines_until(process.stderr, f"The Dagster UI is up: {url}")

        facts = demo.run("sql", "SELECT count(*) AS n FROM message_facts", "--json")
        partitions = requests.post(f"{url}/graphql", json={"query": PARTITIONS}, timeout=60).json()
        taken = demo.run("up", "--simulate")
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "Stopped." in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert len(family) >= 4

    assert said["ok"] is True
    assert said["mailboxes"] == {"complete": said["mailboxes"]["complete"]}
    # Mail arrives and is deleted meanwhile.
    assert 9_000 < said["messages_stored"] < 9_200
    assert said["data"] == str(demo.cwd / "data" / "demo")
    assert len(said["answers"]["Messages per mailbox"]) == 6

    # A notebook that is opened now finds something to plot.
    assert json.loads(facts.stdout)[0]["n"] > 9_000
    stats = partitions["data"]["assetNodeOrError"]["partitionStats"]
    assert stats["numFailed"] == 0
    assert stats["numMaterialized"] == said["mailboxes"]["complete"]
    assert stats["numPartitions"] >= stats["numMaterialized"]

    assert taken.returncode == 1
    assert f"runs already: {url}" in taken.stderr


@deep
def test_a_second_time_it_is_quick_and_changes_nothing(demo: Cli):
    before = demo.run("sql", "SELECT count(*), max(updated_at) FROM checkpoints", "--json")

    [stored] = json.loads(demo.run("sql", "SELECT count(*) AS n FROM messages", "--json").stdout)
    result = demo.run("demo", "--headless")

    assert result.returncode == 0
    nothing = rf"Nothing to do\. Mailboxes: \d+ complete\. Messages stored: {stored['n']:,}\.$"
    assert re.search(nothing, result.stdout)
    for question in ("Messages per mailbox", "Domains that write most", "Busiest hours (UTC)"):
        assert question in result.stdout.splitlines()
    assert "@" not in result.stdout
    assert "Dagster UI" not in result.stdout + result.stderr
    after = demo.run("sql", "SELECT count(*), max(updated_at) FROM checkpoints", "--json")
    assert after.stdout == before.stdout


def test_the_readers_find_the_demos_lake_by_themselves(demo: Cli):
    result = demo.run("status")

    assert result.returncode == 0
    assert f"Data folder: {demo.cwd / 'data' / 'demo'}" in result.stdout


@deep
def test_with_a_key_the_demo_is_on_real_mail(cli: Callable[..., Cli], tmp_path: Path):
    result = cli(NYLAS_API_KEY="nyk_wrong", NYLAS_API_URI="http://127.0.0.1:9").run("demo", "--headless")

    assert result.returncode == 1
    assert "NYLAS_API_KEY is set: real mail, from http://127.0.0.1:9." in result.stderr
    assert "NYLAS_API_URI" in result.stderr.partition("Error: ")[2]
    assert not (tmp_path / "data" / "demo").exists()
