"""Messages stored as the engine stores them, and the whole contents of an index."""

import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from mail_pipeline.lake.writer import Lake
from mail_pipeline.search.index import index_path
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import Body
from mail_pipeline.sync.storing import MessageStore

GRANT = "grant"


def letter(identity: str, subject: str, body: str, at: int = 1, **fields: Any) -> Observation:
    """Return an observation of a message with this subject and body."""
    return Observation(identity, at, {"subject": subject, "body": Body.of(body), **fields})


def store(lake: Lake, observations: Iterable[Observation], grant_id: str = GRANT) -> None:
    """Store observations in one transaction."""
    with lake.transaction() as transaction:
        messages = MessageStore(transaction)
        messages.merge({grant_id: list(observations)})
        messages.flush()


def contents(data: Path) -> list[tuple[Any, ...]]:
    """Return every document with its key, likeness and text, and every word with its place in one."""
    with closing(sqlite3.connect(index_path(data))) as index:
        index.execute("CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, words, instance)")
        documents = index.execute(
            "SELECT grant_id, id, likeness, text FROM documents JOIN texts USING (number)"
        )
        places = index.execute(
            "SELECT d.grant_id, d.id, p.term, p.col, p.offset FROM places p "
            "LEFT JOIN documents d ON d.number = p.doc"
        )
        found = [(*row, zlib.decompress(text)) for *row, text in documents]
        return sorted([*found, *places], key=repr)
