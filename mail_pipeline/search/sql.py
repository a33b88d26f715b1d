"""How a connection to the lake asks the search index: `SELECT … FROM search('quarterly report')`.

The index is a SQLite file, and DuckDB's own SQLite reads it, so a search is a table like any other. Words get
into it as a bound parameter, and through no text of SQL.
"""

from pathlib import Path

import duckdb

from mail_pipeline.search.index import index_path

_TERMS = r"""
CREATE TEMP MACRO search_terms(words) AS array_to_string(
    list_transform(
        list_filter(
            regexp_extract_all(
                replace(translate(words, '“”„«»', repeat('"', 5)), chr(0), ' '), '"[^"]*"?\*?|[^\s"]+'
            ),
            lambda term: regexp_matches(term, '[\pL\pN]')
        ),
        lambda term: '"' || regexp_replace(term, '["*]', ' ', 'g') || '"'
            || CASE WHEN suffix(term, '*') THEN '*' ELSE '' END
    ),
    ' '
)
"""
"""What people type, as SQLite's full-text search wants it: every word and "phrase" quoted, prefix* kept."""

_SEARCH = """
CREATE TEMP MACRO search(words) AS TABLE
SELECT grant_id, id, score::DOUBLE AS score FROM sqlite_query('search_index',
    'SELECT grant_id, id, -bm25(words, 4.0, 1.0) AS score FROM words
     JOIN documents ON documents.number = words.rowid WHERE words MATCH ?',
    params => row(CASE WHEN search_terms(words) <> '' THEN search_terms(words)
        ELSE error('There is no word to look for: expected words, "a phrase" or a beginn* of one') END))
"""
"""A word in the subject counts four times as much as one in the body."""

_PROBE = "FROM sqlite_query('search_index', 'SELECT rowid FROM words LIMIT 0')"

# With a share of the words in it, so that it is an error to search and not to make the macro.
_NO_INDEX = """
CREATE TEMP MACRO search(words) AS TABLE
SELECT '' AS grant_id, '' AS id, 0::DOUBLE AS score FROM range(error(coalesce(left(words, 0), '') ||
    'There was no search index that can be read when this connection was opened. '
    'Run `mail-pipeline search` or the job refresh_search, then connect again')::BIGINT)
"""


def offer_search(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    """Give a connection the table function `search(words)`: grant_id, id and score of each message found.

    All words must be there, in the subject or the body, in any case and with or without accents; a higher
    score is a better hit. It sees the index as the last refresh left it. Attaches the index as
    `search_index`; where there is none, `search` says how to make it.
    """
    connection.execute(_TERMS)
    path = index_path(data)
    if path.exists():
        try:
            # ATTACH takes no parameters; the path is ours, quoted.
            quoted = str(path.resolve()).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS search_index (TYPE sqlite, READ_ONLY)")
            connection.execute(_PROBE).fetchall()
            connection.execute(_SEARCH)
        except duckdb.Error:
            # Damaged, or just being made: the tables must be open to questions all the same.
            connection.execute("DETACH DATABASE IF EXISTS search_index")
        else:
            return
    connection.execute(_NO_INDEX)
