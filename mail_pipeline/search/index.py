"""The search index: a SQLite file with a full-text table (FTS5), beside the lake and made from it alone.

A document is a message as it was indexed. `words` holds where each word stands and no text; the texts lie
apart, compressed, as taking a document out of `words` needs them again, and snippets come from them.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

FORMAT = 2
"""Raised when documents are made otherwise, by the tables here or by the text of a body; the index is then
made anew."""

_TABLES = """
PRAGMA user_version = {format};
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, likeness INTEGER NOT NULL, grant_id TEXT NOT NULL, id TEXT NOT NULL
);
CREATE UNIQUE INDEX documents_by_key ON documents (grant_id, id);
CREATE TABLE texts (number INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE refreshes (lake TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    subject, body, content = '', tokenize = "unicode61 remove_diacritics 2"
);
"""
_LIKENESSES = "SELECT number, likeness FROM documents"
_NUMBER = "SELECT number FROM documents WHERE grant_id = ? AND id = ?"
_TEXT = "SELECT text FROM texts WHERE number = ?"
_TEXT_OF = "SELECT text FROM texts JOIN documents USING (number) WHERE grant_id = ? AND id = ?"
_FORGET_WORDS = "INSERT INTO words (words, rowid, subject, body) VALUES ('delete', ?, ?, ?)"
_FORGET_TEXT = "DELETE FROM texts WHERE number = ?"
_FORGET_DOCUMENT = "DELETE FROM documents WHERE number = ?"
_ADD_DOCUMENT = "INSERT INTO documents (likeness, grant_id, id) VALUES (?, ?, ?)"
_ADD_TEXT = "INSERT INTO texts (number, text) VALUES (?, ?)"
_ADD_WORDS = "INSERT INTO words (rowid, subject, body) VALUES (?, ?, ?)"
_SHOWN = """
CREATE VIRTUAL TABLE shown USING fts5 (subject, body, tokenize = "unicode61 remove_diacritics 2")
"""
_SHOW = "INSERT INTO shown (rowid, subject, body) VALUES (?, ?, ?)"
_SNIPPETS = """
SELECT rowid, snippet(shown, 0, ?, ?, '…', 64), snippet(shown, 1, ?, ?, '…', 24)
FROM shown WHERE shown MATCH ?
"""
_CACHE_KIB = 64 * 1024
_BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Document:
    """A message to be indexed. `likeness` tells one state of a message from every other, in 63 bits."""

    grant_id: str
    id: str
    likeness: int
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Snippet:
    """Subject and an extract of the body, with the words that were looked for marked."""

    subject: str
    body: str


def index_path(data: Path) -> Path:
    """Return where the index of a data folder lies."""
    return data / "search" / "index.sqlite"


class SearchIndex:
    """An open index, from `opened` or `reading`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection that is in no transaction."""
        self._connection = connection

    def likenesses(self) -> Iterator[tuple[int, int]]:
        """Yield number and likeness of every document."""
        yield from self._connection.execute(_LIKENESSES)

    def lake(self) -> str | None:
        """Return the lake's state at the last whole refresh; None before the first."""
        found = self._connection.execute("SELECT lake FROM refreshes").fetchone()
        return None if found is None else str(found[0])

    def count(self) -> int:
        """Return how many documents there are."""
        return int(self._connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    def remove(self, numbers: Iterable[int]) -> None:
        """Take documents out, in one transaction."""
        with self._transaction():
            for number in numbers:
                self._remove(number)

    def put(self, documents: Sequence[Document]) -> None:
        """Put documents in, each in the place of an older one of its message, in one transaction."""
        with self._transaction():
            for document in documents:
                if found := self._connection.execute(_NUMBER, (document.grant_id, document.id)).fetchone():
                    self._remove(found[0])
                self._add(document)

    def refreshed(self, lake: str) -> None:
        """Write down that the index holds what the lake held in this state, or later."""
        with self._transaction():
            self._connection.execute("DELETE FROM refreshes")
            self._connection.execute("INSERT INTO refreshes (lake) VALUES (?)", (lake,))

    def compact(self) -> None:
        """Merge all of `words`, so that those of documents taken out lie nowhere in the file any more."""
        self._connection.execute("INSERT INTO words (words) VALUES ('optimize')")

    def snippets(
        self, terms: str, messages: Sequence[tuple[str, str]], marks: tuple[str, str]
    ) -> dict[tuple[str, str], Snippet]:
        """Return snippets of messages that the index holds and that match the terms, by grant and id."""
        with closing(sqlite3.connect(":memory:")) as shown:
            shown.execute(_SHOWN)
            for number, key in enumerate(messages):
                if found := self._connection.execute(_TEXT_OF, key).fetchone():
                    shown.execute(_SHOW, (number, *_unpacked(found[0])))
            rows = shown.execute(_SNIPPETS, (*marks, *marks, terms)).fetchall()
        return {messages[number]: Snippet(subject, " ".join(body.split())) for number, subject, body in rows}

    def _add(self, document: Document) -> None:
        subject, body = _clean(document.subject), _clean(document.body)
        key = (document.likeness, document.grant_id, document.id)
        number = self._connection.execute(_ADD_DOCUMENT, key).lastrowid
        self._connection.execute(_ADD_TEXT, (number, _packed(subject, body)))
        self._connection.execute(_ADD_WORDS, (number, subject, body))

    def _remove(self, number: int) -> None:
        (text,) = self._connection.execute(_TEXT, (number,)).fetchone()
        self._connection.execute(_FORGET_WORDS, (number, *_unpacked(text)))
        self._connection.execute(_FORGET_TEXT, (number,))
        self._connection.execute(_FORGET_DOCUMENT, (number,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


@contextmanager
def opened(data: Path) -> Iterator[SearchIndex]:
    """Open the index of a data folder for writing, making it where there is none of this format.

    The caller sees to it that only one does. Raises sqlite3.DatabaseError where the file is damaged.
    """
    path = index_path(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            known = _format(connection)
        if known not in (0, FORMAT):
            discard(data)
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may cost the last transactions, which the next refresh makes again.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Words of a deleted message are not left lying in free pages.
        connection.execute("PRAGMA secure_delete = ON")
        if _format(connection) == 0:
            connection.executescript(f"BEGIN;{_TABLES.format(format=FORMAT)}COMMIT;")
        yield SearchIndex(connection)


@contextmanager
def reading(data: Path) -> Iterator[SearchIndex]:
    """Open the index of a data folder for reading, beside who writes.

    Raises sqlite3.DatabaseError where there is none of this format, or the file is damaged.
    """
    address = f"{index_path(data).resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, timeout=_BUSY_SECONDS, uri=True)) as connection:
        connection.execute("PRAGMA query_only = ON")
        if _format(connection) != FORMAT:
            raise sqlite3.DatabaseError("The search index is of another format")
        yield SearchIndex(connection)


def discard(data: Path) -> None:
    """Remove the index with all its words; the next refresh makes it anew. Nothing may be writing to it."""
    path = index_path(data)
    # The log first: left behind, it might be taken for the next file's.
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _clean(text: str) -> str:
    # SQLite would end the text there.
    return text.replace("\0", " ")


def _packed(subject: str, body: str) -> bytes:
    return zlib.compress(f"{subject}\0{body}".encode())


def _unpacked(text: bytes) -> tuple[str, str]:
    subject, _, body = zlib.decompress(text).decode().partition("\0")
    return subject, body
