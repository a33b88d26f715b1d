"""A notebook reads the lake that the commands write, wherever in the project it stands."""

from pathlib import Path

import pytest

import mail_pipeline
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun
from mail_pipeline.lake.writer import Lake
from mail_pipeline.project import folder_to_read
from mail_pipeline_tests.lake.letters import letters


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MAIL_PIPELINE_DATA", "MAIL_PIPELINE_CONFIG", "NYLAS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("workspace.yaml", "dagster.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "notebooks" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(data: Path, name: str) -> None:
    """Make a lake with one row that names it."""
    with Lake(data) as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters(name, 1))


def found() -> str:
    """Return the name of the lake that a notebook reads."""
    with mail_pipeline.connect() as connection:
        [(name,)] = connection.execute("SELECT grant_id FROM dead_letters").fetchall()
    return str(name)


def test_the_environment_names_the_data_folder(project: Path, monkeypatch: pytest.MonkeyPatch):
    make(project / "elsewhere", "mine")
    monkeypatch.setenv("MAIL_PIPELINE_DATA", "elsewhere")

    assert found() == "mine"


def test_so_does_the_env_file_from_where_it_lies(project: Path, monkeypatch: pytest.MonkeyPatch):
    make(project / "elsewhere", "mine")
    make(project / "data", "real")
    (project / ".env").write_text("MAIL_PIPELINE_DATA=elsewhere\n")
    monkeypatch.chdir(project / "notebooks" / "mine")

    assert found() == "mine"


def test_a_tilde_in_it_is_the_home_folder(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    make(tmp_path / "home" / "mail", "mine")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (project / ".env").write_text("MAIL_PIPELINE_DATA=~/mail\n")

    assert found() == "mine"


@pytest.mark.parametrize("inside", [".", "notebooks", "notebooks/mine"])
def test_a_notebook_anywhere_in_the_project_finds_its_lake(
    project: Path, monkeypatch: pytest.MonkeyPatch, inside: str
):
    make(project / "data" / "demo", "demo")
    monkeypatch.chdir(project / inside)
    assert found() == "demo"

    make(project / "data", "real")
    assert found() == "real"


@pytest.mark.parametrize("said", ["environment", ".env"])
def test_with_a_key_nobody_is_shown_the_demo_for_their_own_mail(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: str
):
    make(project / "data" / "demo", "demo")
    if said == ".env":
        (project / ".env").write_text("NYLAS_API_KEY=real\n")
    else:
        monkeypatch.setenv("NYLAS_API_KEY", "real")

    with pytest.raises(StopRun, match=f"no lake in {project / 'data'}"):
        mail_pipeline.connect()


@pytest.mark.parametrize("env_file", ["", "NYLAS_API_KEY=real\n", "MAIL_PIPELINE_DATA=mine\n"])
@pytest.mark.parametrize("lakes", [[], ["data"], ["data/demo"], ["data", "data/demo"], ["mine", "data"]])
def test_it_is_the_folder_that_commands_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, env_file: str, lakes: list[str]
):
    (project / ".env").write_text(env_file)
    for lake in lakes:
        Lake(project / lake).close()

    folder = folder_to_read()

    # Told last: a command sets what it reads for the processes it starts.
    with monkeypatch.context() as own:
        own.setattr("os.environ", {})
        assert find_workplace().for_reading().data == folder
