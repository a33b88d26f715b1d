"""Every SQL and Python snippet of every page runs as it stands, on one filled lake."""

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from dotenv import dotenv_values

import mail_pipeline
from mail_pipeline.settings import VARIABLES
from mail_pipeline.subset.file import read_file
from mail_pipeline_tests.docs.conftest import Project
from mail_pipeline_tests.docs.markdown import PAGES, Snippet, snippets, words

_LANGUAGES = {"sh", "sql", "python", "dotenv", "toml", "text"}
"""Text is what something prints, or a drawing; all else is run or read."""
_NOT_RUN: dict[str, int] = {}
"""Snippets that say they are not run, by page."""
_GIVEN = {"word": "lunch", "address": "ann@example.com"}
"""What a query may leave open."""
_ATTACHES = "ATTACH "
_QUERY = re.compile(r"(select|with|from) ", re.IGNORECASE)


def test_there_is_no_snippet_that_nobody_looks_at():
    assert {snippet.language for snippet in snippets()} <= _LANGUAGES
    skipped = Counter(snippet.page.name for snippet in snippets() if not snippet.runs)
    assert skipped == _NOT_RUN
    assert len(snippets("sql")) >= 10
    assert len(snippets("python")) >= 2


_QUERIES = sorted({word for page in PAGES for word in words(page) if _QUERY.match(word)})


def _plain_duckdb() -> duckdb.DuckDBPyConnection:
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


def _that_run(*languages: str, attach: bool = False) -> list[Snippet]:
    return [
        snippet
        for snippet in snippets(*languages)
        if snippet.runs and snippet.text.startswith(_ATTACHES) == attach
    ]


@pytest.fixture(scope="module")
def lake(project: Project) -> Iterator[duckdb.DuckDBPyConnection]:
    with mail_pipeline.connect(project.data) as connection:
        yield connection


@pytest.mark.parametrize("snippet", _that_run("sql", attach=True), ids=str)
def test_the_attach_lines_read_a_lake_in_any_duckdb_wherever_the_data_folder_was_moved(
    inside: Project, snippet: Snippet
):
    with _plain_duckdb() as connection:
        connection.execute(snippet.text)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (100,)
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("DELETE FROM all_messages")


@pytest.mark.parametrize("snippet", _that_run("sql"), ids=str)
def test_the_sql_runs(lake: duckdb.DuckDBPyConnection, snippet: Snippet):
    given = {name: text for name, text in _GIVEN.items() if f"${name}" in snippet.text}
    assert lake.execute(snippet.text, given).description


@pytest.mark.parametrize(
    "query", sorted({word for page in PAGES for word in words(page) if _QUERY.match(word)})
)
def test_each_query_in_the_text_runs(lake: duckdb.DuckDBPyConnection, query: str):
    # Of a query the text may show the gist alone.
    assert lake.execute(query.replace("SELECT …", "SELECT *")).description


@pytest.mark.parametrize("snippet", _that_run("python"), ids=str)
def test_the_python_runs(inside: Project, snippet: Snippet):
    exec(compile(snippet.text, str(snippet), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("snippet", _that_run("dotenv", "toml"), ids=str)
def test_what_is_set_can_be_set(tmp_path: Path, snippet: Snippet):
    if snippet.language == "toml":
        assert not read_file(str(snippet), snippet.text, b"key").everything
        return
    (tmp_path / ".env").write_text(snippet.text)
    named = dotenv_values(tmp_path / ".env")
    assert named
    assert set(named) <= {variable.name for variable in VARIABLES}
