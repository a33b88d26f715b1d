import os
import subprocess
import sys
from pathlib import Path

import pytest

from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.connection import catalog_path
from mail_pipeline_tests.cli.conftest import OWN

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(OWN):
            del os.environ[name]
    for name in ("workspace.yaml", "dagster.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_many_that_enter_a_new_data_folder_at_once_all_get_in(project: Path) -> None:
    enter = "from mail_pipeline.cli.workplace import find_workplace; input(); find_workplace().enter()"
    entering = [
        subprocess.Popen(
            [sys.executable, "-c", enter], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in entering:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in entering]

    assert [process.returncode for process in entering] == [0] * 4, errors


def make_lake(data: Path) -> None:
    catalog_path(data).parent.mkdir(parents=True)
    catalog_path(data).touch()


def test_a_folder_with_both_files_is_the_project_and_holds_the_data(project: Path):
    place = find_workplace()

    assert place.root == project
    assert place.data == project / "data"


@pytest.mark.parametrize("missing", ["workspace.yaml", "dagster.yaml"])
def test_elsewhere_the_checkout_the_package_is_installed_from_is_the_project(project: Path, missing: str):
    (project / missing).unlink()

    place = find_workplace()

    assert place.root == CHECKOUT
    assert place.data == CHECKOUT / "data"


def test_a_relative_data_folder_counts_from_the_current_one(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAIL_PIPELINE_DATA", "mine")
    monkeypatch.chdir(project / "elsewhere")

    assert find_workplace().data == project / "elsewhere" / "mine"


def test_the_env_file_is_read_and_the_environment_wins(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / ".env").write_text("NYLAS_API_KEY='from file'\nMAIL_PIPELINE_WORKERS=3\nALONE\n")
    monkeypatch.setenv("MAIL_PIPELINE_WORKERS", "5")

    settings = find_workplace().settings

    assert settings.api_key == "from file"
    assert settings.workers == 5


def test_an_empty_variable_wins_over_the_env_file_too(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / ".env").write_text("NYLAS_API_KEY=real\n")
    monkeypatch.setenv("NYLAS_API_KEY", "")

    assert find_workplace().settings.api_key == ""


def test_what_simulated_mail_does_without_is_not_taken_from_the_env_file_by_what_a_command_starts(
    project: Path,
):
    (project / ".env").write_text("MAIL_PIPELINE_DATABASE_URL=postgresql://me@host/real\n")

    find_workplace().for_simulation("http://127.0.0.1:1", "simulated").enter()

    assert find_workplace().settings.database_url is None


def test_white_space_around_a_folder_is_no_part_of_its_name(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAIL_PIPELINE_DATA", f" {project / 'mine'} ")
    assert find_workplace().data == project / "mine"
    monkeypatch.delenv("MAIL_PIPELINE_DATA")
    (project / ".env").write_text(f"MAIL_PIPELINE_DATA=' {project / 'other'} '\n")
    assert find_workplace().data == project / "other"


@pytest.mark.parametrize("line", ["NYLAS_API_KEY=a\0b", "NYLAS\0=a", "'A=B'=c"])
def test_an_env_file_with_what_no_variable_can_hold_is_named(project: Path, line: str):
    (project / ".env").write_text(f"MAIL_PIPELINE_WORKERS=3\n{line}\n")

    with pytest.raises(StopRun, match=r"\.env cannot be read .*NAME=value"):
        find_workplace()


def test_a_data_folder_in_the_env_file_counts_from_there(project: Path):
    (project / ".env").write_text("MAIL_PIPELINE_DATA=mine\n")

    assert find_workplace().data == project / "mine"


def test_an_address_in_the_env_file_is_refused_as_it_would_be_in_the_environment(project: Path):
    (project / ".env").write_text("MAIL_PIPELINE_DATA=s3://bucket/mail\n")

    with pytest.raises(StopRun, match="MAIL_PIPELINE_DATA is an address"):
        find_workplace()


def test_an_env_file_that_is_no_text_is_named(project: Path):
    (project / ".env").write_bytes(b"NYLAS_API_KEY=\xff\xfe\n")

    with pytest.raises(StopRun, match=r"\.env cannot be read .*UTF-8"):
        find_workplace()


def test_simulated_mail_never_lies_where_real_mail_does(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAIL_PIPELINE_DATA", str(project / "real"))
    monkeypatch.setenv("NYLAS_API_KEY", "real")

    place = find_workplace().for_simulation("http://127.0.0.1:1", "simulated")

    assert place.data == project / "real" / "demo"
    assert place.settings.api_key == "simulated"
    assert place.settings.api_uri == "http://127.0.0.1:1"


def test_with_a_key_nobody_is_shown_the_demo_for_their_own_mail(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    make_lake(project / "data" / "demo")
    monkeypatch.setenv("NYLAS_API_KEY", "real")

    assert find_workplace().for_reading().data == project / "data"


def test_without_a_lake_of_its_own_the_demos_is_read(project: Path):
    assert find_workplace().for_reading().data == project / "data"

    make_lake(project / "data" / "demo")
    assert find_workplace().for_reading().data == project / "data" / "demo"

    make_lake(project / "data")
    assert find_workplace().for_reading().data == project / "data"


def test_entering_tells_children_where_to_work(project: Path, monkeypatch: pytest.MonkeyPatch):

    home = find_workplace().for_simulation("http://127.0.0.1:1", "simulated").enter()

    assert home == project / "data" / "demo" / "dagster"
    assert (home / "dagster.yaml").is_file()
    assert os.environ["DAGSTER_HOME"] == str(home)
    assert os.environ["MAIL_PIPELINE_DATA"] == str(project / "data" / "demo")
    assert os.environ["NYLAS_API_URI"] == "http://127.0.0.1:1"
    assert os.environ["NYLAS_API_KEY"] == "simulated"


def test_a_file_in_the_place_of_the_data_folder_is_named(project: Path):
    (project / "data").touch()

    with pytest.raises(StopRun, match="a file stands in its way"):
        find_workplace().enter()


def test_the_configuration_file_of_the_project_is_found_from_anywhere_in_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    assert find_workplace().settings.config is None
    (project / "mail_pipeline.toml").touch()
    assert find_workplace().settings.config == project / "mail_pipeline.toml"


def test_a_configuration_file_named_in_the_env_file_lies_beside_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "mail_pipeline.toml").touch()
    (project / ".env").write_text("MAIL_PIPELINE_CONFIG=elsewhere/mine.toml\n")
    assert find_workplace().settings.config == project / "elsewhere" / "mine.toml"
