"""Asking in SQL: what is found, in which order, and that no text of people ever is SQL."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mail_pipeline import connect
from mail_pipeline.lake.writer import Lake
from mail_pipeline.search.index import index_path
from mail_pipeline.search.refresh import is_behind, refresh
from mail_pipeline_tests.search.letters import letter, store

LETTERS = {
    "title": ("Quarterly report", "See below."),
    "body": ("Numbers", "This is the quarterly report of the north, with all numbers in it."),
    "apart": ("Report", "The numbers of all quarters. Once more: quarterly, not yearly."),
    "other": ("Lunch", "Shall we have lunch?"),
    "accents": ("Résumé of Zoë Müller", "Ångström, naïve, señor; ЁЖИК"),
    "signs": ("Re: e-mail", "Write to ann.lee@mail.example.org about item #42 and C++ (50 %)."),
    "html": (
        "Invoice",
        "<html><head><style>.hidden{}</style></head><p>Total:&nbsp;<b>1</b>,200</p><td>paid</td>",
    ),
    "quoted": ('The "final" word', "it's; DROP TABLE x --"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    data = tmp_path_factory.mktemp("letters") / "data"
    with Lake(data) as lake:
        store(lake, [letter(identity, *texts) for identity, texts in LETTERS.items()])
    refresh(data)
    with connect(data) as connection:
        yield connection


def found(connection: duckdb.DuckDBPyConnection, words: str) -> list[str]:
    rows = connection.execute("SELECT id FROM search(?) ORDER BY score DESC, id", [words]).fetchall()
    return [identity for (identity,) in rows]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("quarterly report", ["title", "apart", "body"]),
        ('"quarterly report"', ["title", "body"]),
        ("“quarterly report”", ["title", "body"]),
        ("QUARTERLY", ["title", "apart", "body"]),
        ("quart*", ["title", "apart", "body"]),
        ('"the quarterly rep"*', ["body"]),
        ("lunch quarterly", []),
        ("resume zoe muller", ["accents"]),
        ("angstrom NAIVE senor", ["accents"]),
        ("e-mail", ["signs"]),
        ("ann.lee@mail.example.org", ["signs"]),
        ("ann@mail", []),
        ("c++ #42", ["signs"]),
        ("total 1,200", ["html"]),
        ("hidden", []),
        ("style", []),
        ("!!! lunch ???", ["other"]),
        ('lunch "', ["other"]),
        ('"shall we', ["other"]),
        ("final drop table x", ["quoted"]),
        ("NOT", ["apart"]),
        ("subject:lunch", []),
        ("lunch OR invoice", []),
    ],
)
def test_words_find(asked: duckdb.DuckDBPyConnection, words: str, expected: list[str]):
    assert found(asked, words) == expected


def test_a_subject_counts_more_than_a_body_and_a_rare_word_more_than_a_common_one(
    asked: duckdb.DuckDBPyConnection,
):
    scores = dict(asked.execute("SELECT id, score FROM search('quarterly')").fetchall())
    assert scores["title"] > scores["body"]
    (rare,) = asked.execute("SELECT max(score) FROM search('invoice')").fetchall()
    assert rare[0] > scores["title"]


def test_it_joins_like_a_table(asked: duckdb.DuckDBPyConnection):
    rows = asked.sql(
        "SELECT m.subject, s.score > 0 FROM search('quarterly report') s "
        "JOIN messages m USING (grant_id, id) ORDER BY s.score DESC LIMIT 1"
    )
    assert rows.fetchall() == [("Quarterly report", True)]
    assert asked.execute("SELECT count(*) FROM search('numbers') WHERE grant_id = 'other'").fetchall() == [
        (0,)
    ]


@given(st.text(max_size=30) | st.text(alphabet="ab \"*-:^(){}+'“”\0;\\%_é", max_size=30))
@example("' UNION SELECT 1 --")
@example('" OR 1')
@example("NEAR(a b, 2)")
@example("\0")
@example("a" * 100_000)
@example("a " * 20_000)
@example('"' * 999)
def test_no_words_are_more_than_words(asked: duckdb.DuckDBPyConnection, words: str):
    """Whatever is asked for, the answer is a set of messages, or a sentence on what was expected."""
    if asked.execute("SELECT search_terms(?)", [words]).fetchall() == [("",)]:
        assert not any(character.isascii() and character.isalnum() for character in words)
        with pytest.raises(
            duckdb.InvalidInputException, match="There is no word to look for: expected words"
        ):
            found(asked, words)
        return
    identities = found(asked, words)
    assert len(identities) == len(set(identities))
    assert set(identities) <= LETTERS.keys()


@given(st.sampled_from([word for texts in LETTERS.values() for text in texts for word in text.split()]))
def test_every_word_of_a_plain_text_finds_its_message(asked: duckdb.DuckDBPyConnection, word: str):
    if any(character.isalnum() for character in word) and "<" not in word:
        homes = {key for key, texts in LETTERS.items() if any(word in text.split() for text in texts)}
        assert homes <= set(found(asked, word))


def test_null_is_no_word(asked: duckdb.DuckDBPyConnection):
    with pytest.raises(duckdb.InvalidInputException, match="There is no word to look for"):
        asked.execute("SELECT * FROM search(NULL)")


def test_the_index_cannot_be_changed_through_a_reader(asked: duckdb.DuckDBPyConnection):
    with pytest.raises(duckdb.Error, match="read-only"):
        asked.execute("DELETE FROM search_index.documents")


def test_the_tables_people_list_are_still_the_lakes(asked: duckdb.DuckDBPyConnection):
    shown = {name for (name,) in asked.execute("SHOW TABLES").fetchall()}
    assert "messages" in shown
    assert "documents" not in shown
    assert asked.execute("SELECT count(*) > 0 FROM duckdb_columns() WHERE table_name = 'words'").fetchall()


def test_before_the_first_refresh_it_says_what_to_do(data: Path):
    with connect(data) as connection:
        with pytest.raises(duckdb.InvalidInputException, match="Run `mail-pipeline search`"):
            connection.execute("SELECT * FROM search('budget')").fetchall()
        assert connection.execute("SELECT count(*) FROM messages").fetchall() == [(0,)]


@pytest.mark.parametrize("contents", [b"", b"rubbish" * 1000])
def test_an_index_that_cannot_be_read_does_not_keep_anybody_from_the_tables(data: Path, contents: bytes):
    index_path(data).parent.mkdir()
    index_path(data).write_bytes(contents)
    with connect(data) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchall() == [(0,)]
        with pytest.raises(duckdb.InvalidInputException, match="Run `mail-pipeline search`"):
            connection.execute("SELECT * FROM search('budget')").fetchall()
    assert is_behind(data)
    assert index_path(data).read_bytes() == contents


def test_a_reader_sees_what_a_later_refresh_adds(data: Path):
    with Lake(data) as lake:
        store(lake, [letter("a", "Budget", "")])
        refresh(data)
        with connect(data) as connection:
            assert found(connection, "budget") == ["a"]
            store(lake, [letter("b", "Budget", "")])
            refresh(data)
            assert found(connection, "budget") == ["a", "b"]
