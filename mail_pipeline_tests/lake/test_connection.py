from pathlib import Path

import duckdb
import pytest

import mail_pipeline
from mail_pipeline.errors import StopRun
from mail_pipeline.lake import connection
from mail_pipeline.lake.connection import connect, open_duckdb
from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import letters


def test_the_package_offers_connect_and_nothing_else():
    assert mail_pipeline.__all__ == ["connect"]
    assert mail_pipeline.connect is connect


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
    with connect(data) as connection:
        wanted = [
            ("autoinstall_known_extensions",),
            ("autoload_known_extensions",),
            ("allow_unsigned_extensions",),
        ]
        values = [connection.execute("SELECT current_setting(?)", name).fetchone() for name in wanted]
    assert values == [(False,), (False,), (False,)]


def test_an_extension_that_was_tampered_with_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torn = tmp_path / "torn.duckdb_extension"
    content = bytearray(connection._extension_file("ducklake").read_bytes())
    content[len(content) // 2] ^= 1
    torn.write_bytes(content)

    # DuckDB takes a name that is loaded already for done, so it has a name of its own.
    with open_duckdb() as opened, pytest.raises(duckdb.Error, match="signature"):
        opened.load_extension(str(torn))

    # As in a process that has not opened the lake before.
    monkeypatch.setattr(connection, "_signed_extensions", connection._signed_extensions.__wrapped__)
    monkeypatch.setattr(connection, "_extension_file", lambda name: torn)
    with pytest.raises(duckdb.Error, match="signature"):
        open_duckdb()


def test_without_a_lake_the_folder_and_the_next_step_are_named(tmp_path: Path):
    with pytest.raises(StopRun, match=r"no lake in .*nowhere.*mail-pipeline demo"):
        connect(tmp_path / "nowhere")


def test_the_environment_names_the_data_folder(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAIL_PIPELINE_DATA", str(data))
    with connect() as connection:
        assert connection.execute("SELECT count(*) FROM grants").fetchone() == (0,)


@pytest.mark.parametrize("inside", [".", "notebooks"])
def test_a_notebook_anywhere_in_the_project_finds_its_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
):
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "notebooks").mkdir()
    with Lake(tmp_path / "data" / "demo") as demo, demo.transaction() as transaction:
        transaction.append("dead_letters", letters("demo", 1))
    monkeypatch.chdir(tmp_path / inside)
    count = "SELECT count(*) FROM dead_letters"
    with connect() as connection:
        assert connection.execute(count).fetchone() == (1,)
    Lake(tmp_path / "data").close()
    with connect() as connection:
        assert connection.execute(count).fetchone() == (0,)


def test_a_lake_that_was_moved_is_read_where_it_is_now(tmp_path: Path):
    with Lake(tmp_path / "before") as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", 1))
    (tmp_path / "before").rename(tmp_path / "after")
    with connect(tmp_path / "after") as connection:
        assert connection.execute("SELECT count(*) FROM dead_letters").fetchone() == (1,)


def test_the_documented_attach_line_reads_the_lake_in_any_duckdb_with_the_extensions(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [statement] = [line for line in readme.splitlines() if line.startswith("ATTACH ")]
    monkeypatch.chdir(data.parent)
    with connect(data) as connection:
        connection.execute("USE memory; DETACH lake")
        connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM lake.messages").fetchone() == (0,)
