import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline_tests.lake.letters import letters

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"^```(python|sql)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
QUERIES = re.findall(
    r'(?:`\(?|mail-pipeline sql ")((?:select|with) [^`"]+)', README.read_text(), re.IGNORECASE
)


def snippets(language: str) -> list[str]:
    found = [text for kind, text in SNIPPETS if kind == language]
    assert found
    return found


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project whose data folder was made elsewhere; it holds 100 dead letters."""
    with Lake(tmp_path / "before" / "data") as lake, lake.transaction() as transaction:
        transaction.append("dead_letters", letters("g", *range(100)))
    (tmp_path / "before").rename(tmp_path / "after")
    assert list((tmp_path / "after" / "data" / "lake" / "tables").rglob("*.parquet"))
    monkeypatch.chdir(tmp_path / "after")
    return tmp_path / "after"


def plain_duckdb() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that knows the two extensions and nothing of this package."""
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    for name in ("ducklake", "sqlite_scanner"):
        spec = importlib.util.find_spec(f"duckdb_extension_{name}")
        assert spec is not None
        assert spec.origin is not None
        [file] = Path(spec.origin).parent.rglob(f"{name}.duckdb_extension")
        connection.load_extension(str(file))
    return connection


@pytest.mark.parametrize("snippet", snippets("sql"))
def test_the_sql_reads_a_lake_in_any_duckdb_wherever_the_data_folder_was_moved(moved: Path, snippet: str):
    with plain_duckdb() as connection:
        connection.execute(snippet)
        assert connection.execute("SELECT count(DISTINCT object_id) FROM dead_letters").fetchone() == (100,)
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM dead_letters")


@pytest.mark.parametrize("snippet", snippets("python"))
def test_the_python_runs_as_it_stands(moved: Path, snippet: str):
    subprocess.run([sys.executable, "-W", "error", "-c", snippet], cwd=moved, check=True, timeout=120)


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_in_the_text_runs(moved: Path, query: str):
    with plain_duckdb() as connection:
        for snippet in snippets("sql"):
            connection.execute(snippet)
        assert connection.execute(query).description


def test_there_are_queries_in_the_text():
    assert len(QUERIES) >= 2
