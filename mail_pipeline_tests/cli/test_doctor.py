import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from mail_pipeline.dagster_home import prepare_dagster_home
from mail_pipeline.lake import schema
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.cli.conftest import Cli, Served
from mail_pipeline_tests.disks import fill, small_disk


class _Page(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<html><body>Welcome to nginx!</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object):
        return


@pytest.fixture
def web_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def checks(cli: Cli, *, exit_code: int) -> dict[str, dict[str, str]]:
    result = cli.invoke("doctor", "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == exit_code, said
    assert said["ok"] is (exit_code == 0)
    return {check["name"]: check for check in said["checks"]}


def test_in_a_good_installation_all_is_well(cli: Callable[..., Cli], served: Served, stored: Path):
    found = checks(cli(**served.env, MAIL_PIPELINE_DATA=str(stored)), exit_code=0)

    assert {name for name, check in found.items() if check["verdict"] != "OK"} == set()
    assert set(found) == {
        "Python",
        "Packages",
        "DuckDB extensions",
        "Project",
        "Data folder",
        "Free space",
        "Lake",
        "Write lock",
        "Configuration",
        "Nylas address",
        "Nylas key",
        "Dagster home",
    }


def test_people_read_it_as_lines(cli: Callable[..., Cli]):
    result = cli().invoke("doctor")

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["WARN", "Nylas", "key", "NYLAS_API_KEY", "is", "not", "set"] in rows
    assert "Nylas key: Set it for real mail" in result.stdout


def test_nothing_is_made_by_looking(cli: Callable[..., Cli], tmp_path: Path):
    found = checks(cli(), exit_code=0)

    assert not (tmp_path / "data").exists()
    assert found["Data folder"]["message"].endswith("not made yet")
    assert found["Lake"]["message"].startswith("none yet")


def test_a_wrong_key_fails_and_says_where_to_get_one(cli: Callable[..., Cli], served: Served):
    found = checks(cli(**{**served.env, "NYLAS_API_KEY": "nyk_wrong"}), exit_code=1)

    assert found["Nylas address"]["verdict"] == "OK"
    assert found["Nylas key"]["verdict"] == "FAIL"
    assert "NYLAS_API_KEY" in found["Nylas key"]["next_step"]
    assert "nyk_wrong" not in str(found)


def test_an_address_of_something_else_fails(cli: Callable[..., Cli], web_server: str):
    found = checks(cli(NYLAS_API_KEY="nyk_any", NYLAS_API_URI=web_server), exit_code=1)

    assert found["Nylas address"]["verdict"] == "FAIL"
    assert "NYLAS_API_URI" in found["Nylas address"]["next_step"]
    assert found["Nylas key"]["verdict"] == "WARN"


@pytest.mark.parametrize("folder", ["/proc/mail", "in-the-way/data"])
def test_a_data_folder_that_cannot_be_written_fails(cli: Callable[..., Cli], tmp_path: Path, folder: str):
    (tmp_path / "in-the-way").touch()

    found = checks(cli(MAIL_PIPELINE_DATA=folder), exit_code=1)

    assert found["Data folder"]["verdict"] == "FAIL"
    assert "MAIL_PIPELINE_DATA" in found["Data folder"]["next_step"]


def test_a_lake_of_a_newer_version_fails(cli: Callable[..., Cli], data: Path):
    make_newer(data)

    found = checks(cli(), exit_code=1)

    assert found["Lake"]["verdict"] == "FAIL"
    assert f"version {schema.VERSION + 1}" in found["Lake"]["message"]
    assert found["Lake"]["next_step"].startswith("Update mail_pipeline")


def test_a_lake_that_does_not_open_fails(cli: Callable[..., Cli], data: Path):
    (data / "lake" / "catalog.sqlite").write_bytes(b"no database" * 1000)

    found = checks(cli(), exit_code=1)

    assert found["Lake"]["verdict"] == "FAIL"
    assert "catalog.sqlite does not open" in found["Lake"]["message"]


def test_what_is_wrong_with_a_lake_comes_with_its_own_next_step(cli: Callable[..., Cli], data: Path):
    (data / "lake" / "catalog.sqlite").write_bytes(b"no database" * 1000)

    found = checks(cli(), exit_code=1)

    assert "Put back the newest copy of the whole folder" in found["Lake"]["next_step"]
    assert "Restore the folder." not in str(found)


def test_on_a_read_only_disk_the_lake_and_the_history_are_not_called_broken(
    cli: Callable[..., Cli], served: Served, tmp_path: Path
):
    with small_disk(tmp_path / "disk", "40m") as disk:
        env = {**served.env, "MAIL_PIPELINE_DATA": str(disk / "data")}
        Lake(disk / "data").close()
        with dg.DagsterInstance.from_config(str(prepare_dagster_home(disk / "data"))):
            pass
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found = checks(cli(**env), exit_code=1)

    failed = [name for name, check in found.items() if check["verdict"] == "FAIL"]
    assert failed == ["Data folder"]
    assert "Move it away" not in str(found)
    assert "Restore the folder" not in str(found)


def test_on_a_full_disk_the_history_is_not_called_broken(
    cli: Callable[..., Cli], served: Served, tmp_path: Path
):
    with small_disk(tmp_path / "disk", "40m") as disk:
        Lake(disk / "data").close()
        with dg.DagsterInstance.from_config(str(prepare_dagster_home(disk / "data"))):
            pass
        for path in (disk / "data" / "dagster").rglob("*.db"):
            path.unlink()
        fill(disk)
        found = checks(cli(**served.env, MAIL_PIPELINE_DATA=str(disk / "data")), exit_code=1)

    assert [name for name, check in found.items() if check["verdict"] == "FAIL"] == ["Free space"]
    assert found["Dagster home"]["verdict"] == "WARN"
    assert "Move it away" not in str(found)


def test_an_address_that_was_not_asked_is_not_said_to_answer(cli: Callable[..., Cli], served: Served):
    found = checks(cli(**{**served.env, "NYLAS_API_KEY": "nyk_süß"}), exit_code=1)

    assert found["Nylas key"]["verdict"] == "FAIL"
    assert found["Nylas address"]["verdict"] == "WARN"
    assert "answers" not in found["Nylas address"]["message"]


def test_a_write_lock_that_stays_held_is_a_warning(cli: Callable[..., Cli], data: Path):
    with FileLock(data / "lake" / "write.lock", is_singleton=False):
        found = checks(cli(), exit_code=0)

    assert found["Write lock"]["verdict"] == "WARN"
    assert "held by another process" in found["Write lock"]["message"]


def test_a_broken_dagster_home_fails_and_is_not_mail(cli: Callable[..., Cli], tmp_path: Path):
    home = tmp_path / "data" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("storage: [this, is, not, it]\n")

    found = checks(cli(), exit_code=1)

    assert found["Dagster home"]["verdict"] == "FAIL"
    assert "no mail" in found["Dagster home"]["next_step"]


def make_newer(data: Path) -> None:
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.change(
            "schema_versions", "INSERT INTO schema_versions VALUES (?, now())", [schema.VERSION + 1]
        )


def test_a_mistake_in_the_configuration_file_is_told_with_its_line(cli: Callable[..., Cli], tmp_path: Path):
    config = tmp_path / "mine.toml"
    config.write_text("\nbodys = false\n")
    found = checks(cli(MAIL_PIPELINE_DATA=str(tmp_path), MAIL_PIPELINE_CONFIG=str(config)), exit_code=1)

    assert found["Configuration"]["verdict"] == "FAIL"
    assert "line 2, bodys: unknown key. Did you mean bodies?" in found["Configuration"]["message"]
