import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail_pipeline.cli.secret_file import VARIABLE, add_secret, check_secret_file
from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Settings

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", [".env", "secret"])
def test_a_new_file_is_for_its_owner_alone(tmp_path: Path, name: str):
    before = os.umask(0)
    try:
        assert add_secret(tmp_path / name, "one") == 0
    finally:
        os.umask(before)
    assert mode(tmp_path / name) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [".env", "secret"])
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path, name: str):
    path = tmp_path / name
    add_secret(path, "one")
    path.chmod(0o644)
    assert add_secret(path, "two") == 1
    assert mode(path) == 0o600


def test_the_other_lines_of_an_env_file_stay_byte_for_byte(env: Path):
    before = "# Nylas\nexport NYLAS_API_KEY='nyk # x'\n\nnot a setting at all\nA=${B}\n"
    after = 'LAST="two\nlines"'
    env.write_text(f"{before}{VARIABLE}=old\n{after}")
    assert add_secret(env, "new") == 1
    assert env.read_text() == f"{before}{VARIABLE}=new,old\n{after}"


def test_an_env_file_without_the_line_gets_it_at_its_end(env: Path):
    env.write_text("NYLAS_API_KEY=nyk")
    add_secret(env, "new")
    assert env.read_text() == f"NYLAS_API_KEY=nyk\n{VARIABLE}=new\n"


def test_an_exported_line_stays_exported(env: Path):
    env.write_text(f"export {VARIABLE}=old\n")
    add_secret(env, "new")
    assert env.read_text() == f"export {VARIABLE}=new,old\n"


def test_other_files_hold_the_secrets_and_nothing_else(tmp_path: Path):
    path = tmp_path / "secret"
    add_secret(path, "one")
    assert path.read_text() == "one\n"
    assert add_secret(path, "two") == 1
    assert path.read_text() == "two,one\n"


def test_a_secret_that_is_there_already_is_there_once(env: Path):
    for secret in ("one", "two", "one"):
        add_secret(env, secret)
    assert dotenv_values(env)[VARIABLE] == "one,two"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(secrets, min_size=1, max_size=4, unique=True))
def test_whatever_a_secret_consists_of_the_receiver_reads_it_newest_first(env: Path, given):
    env.unlink(missing_ok=True)
    for secret in given:
        add_secret(env, secret)
    read = dotenv_values(env, interpolate=False)
    assert Settings.from_env({VARIABLE: read[VARIABLE] or ""}).webhook_secrets == tuple(reversed(given))


def test_a_link_stays_a_link(tmp_path: Path, env: Path):
    (tmp_path / "shared").mkdir()
    real = tmp_path / "shared" / "settings"
    real.write_text("A=1\n")
    env.symlink_to(real)
    add_secret(env, "new")
    assert env.is_symlink()
    assert real.read_text() == f"A=1\n{VARIABLE}=new\n"


def test_a_file_with_something_else_in_it_is_refused_and_stays(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, today\n")
    for use in (check_secret_file, lambda path: add_secret(path, "SECRET")):
        with pytest.raises(StopRun, match="something else") as caught:
            use(path)
        assert "diary" not in str(caught.value)
        assert "SECRET" not in str(caught.value)
    assert path.read_text() == "Dear diary, today\n"


def test_a_file_that_cannot_be_written_is_refused_before_there_is_a_secret(tmp_path: Path):
    for path in (tmp_path / "nowhere" / ".env", tmp_path):
        with pytest.raises(StopRun, match="cannot keep the secret"):
            check_secret_file(path)
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(StopRun, match="UTF-8"):
        check_secret_file(tmp_path / ".env")


def test_checking_changes_nothing(tmp_path: Path, env: Path):
    check_secret_file(env)
    check_secret_file(tmp_path / "secret")
    assert list(tmp_path.iterdir()) == []
    env.write_text("A=1\n")
    env.chmod(0o640)
    check_secret_file(env)
    assert (env.read_text(), mode(env)) == ("A=1\n", 0o640)
