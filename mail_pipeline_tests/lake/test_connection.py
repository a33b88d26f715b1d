import base64
import hashlib
import os
import shutil
from pathlib import Path

import duckdb
import pytest

import mail_pipeline
from mail_pipeline import asking
from mail_pipeline.errors import StopRun
from mail_pipeline.lake import connection
from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.extensions import EXTENSIONS, extension_file, is_as_installed
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import letters


def test_the_package_offers_connect_and_nothing_else():
    assert mail_pipeline.__all__ == ["connect"]
    # The lake's own, with the search beside it.
    assert mail_pipeline.connect is asking.connect


def test_a_reader_can_name_the_tables_at_once_and_get_frames(data: Path):
    with connect(data) as connection:
        assert list(connection.sql("select id, subject from messages").df().columns) == ["id", "subject"]


def test_a_reader_cannot_write(data: Path):
    with connect(data) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM dead_letters")


def test_a_reader_sees_a_commit_in_its_next_statement_and_not_in_its_transaction(lake: Lake):
    count = "SELECT count(*) FROM dead_letters"
    with connect(lake.data) as connection:
        connection.execute("BEGIN")
        assert connection.execute(count).fetchone() == (0,)
        with lake.transaction() as transaction:
            transaction.append("dead_letters", letters("g", 1))
        assert connection.execute(count).fetchone() == (0,)
        connection.execute("COMMIT")
        assert connection.execute(count).fetchone() == (1,)


def test_nothing_is_ever_downloaded(data: Path):
    with connect(data) as reader:
        wanted = [
            ("autoinstall_known_extensions",),
            ("autoload_known_extensions",),
            ("allow_unsigned_extensions",),
        ]
        values = [reader.execute("SELECT current_setting(?)", name).fetchone() for name in wanted]
    assert values == [(False,), (False,), (False,)]


def test_an_extension_that_is_not_its_wheels_own_has_its_signature_checked(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def copied(name: str) -> Path:
        return tmp_path / f"{name}.duckdb_extension"

    for name in EXTENSIONS:
        shutil.copy(extension_file(name), copied(name))
        assert is_as_installed(name, extension_file(name))
        assert not is_as_installed(name, copied(name))
    monkeypatch.setattr(connection, "extension_file", copied)
    connect(data).close()
    with copied("ducklake").open("r+b") as extension:
        extension.seek(-1_000, os.SEEK_END)
        extension.write(b"something else")

    with pytest.raises(duckdb.Error, match="signature"):
        connect(data)


def test_a_file_of_a_wheel_that_was_changed_is_not_trusted_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "package" / "ducklake.duckdb_extension"
    file.parent.mkdir()
    shutil.copy(extension_file("ducklake"), file)
    digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
    wheel = tmp_path / "duckdb_extension_ducklake-1.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text("Name: duckdb-extension-ducklake\nVersion: 1\n")
    (wheel / "RECORD").write_text(f"package/{file.name},sha256={digest},{file.stat().st_size}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert is_as_installed("ducklake", file)

    with file.open("r+b") as extension:
        extension.write(b"something else")

    assert not is_as_installed("ducklake", file)


def test_no_other_extension_can_be_loaded_unsigned(data: Path):
    for _ in range(2):
        with connect(data) as reader, pytest.raises(duckdb.Error, match="while database is running"):
            reader.execute("SET allow_unsigned_extensions = true")


def test_without_a_lake_the_folder_and_the_next_step_are_named(tmp_path: Path):
    with pytest.raises(StopRun, match=r"no lake in .*nowhere.*mail-pipeline demo"):
        connect(tmp_path / "nowhere")


def test_a_lake_that_was_moved_is_read_where_it_is_now(tmp_path: Path):
    with Lake(tmp_path / "before") as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1))
    (tmp_path / "before").rename(tmp_path / "after")
    with connect(tmp_path / "after") as connection:
        assert connection.execute("SELECT count(*) FROM dead_letters").fetchone() == (1,)
