"""Keeping `message_texts` up to the bodies: what has no text of its body yet is converted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.upkeep import tidy_after
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import text_queries
from mail_pipeline.marts.plain import CONVERTER, plain

_BATCH = 2_000
"""Bodies held in memory at once, and texts written in one transaction."""
_TIDY_FILES = 40


@dataclass(slots=True)
class TextReport:
    """What a refresh of the texts did."""

    converted: int = 0
    removed: int = 0
    rows: int = 0
    """Texts there are now."""
    converter: str = CONVERTER


def refresh_texts(data: Path) -> TextReport:
    """Convert the bodies of a data folder that have no text yet, or an outdated one.

    Memory is bounded, and a batch that is stored is not converted again after a crash. Two at once take
    turns, batch by batch. Raises as the lake does.
    """
    report = TextReport()
    with Lake(data) as lake, connect(data) as reader:
        gone = reader.execute(text_queries.GONE).to_arrow_table()
        if gone.num_rows:
            with lake.transaction() as transaction:
                transaction.delete("message_texts", gone)
        report.removed = gone.num_rows
        reader.execute(text_queries.STALE, {"converter": CONVERTER})
        turn = WriteLock(data / "lake" / "texts.lock")
        for bodies in reader.execute(text_queries.BODIES).to_arrow_reader(_BATCH):
            # Else two would convert, and store, what neither finds stored.
            with turn.held():
                report.converted += _convert(lake, pa.Table.from_batches([bodies]))
        tidy_after(lake, "message_texts", _TIDY_FILES)
        (report.rows,) = lake.column("SELECT count(*) FROM message_texts")
    return report


def _convert(lake: Lake, bodies: pa.Table) -> int:
    """Store the texts of those bodies that have none still; return of how many."""
    bodies = lake.table(text_queries.STILL_STALE, {"converter": CONVERTER}, bodies=bodies)
    if not bodies.num_rows:
        return 0
    made = _texts(bodies)
    with lake.transaction() as transaction:
        there = set(transaction.given(text_queries.STILL_THERE, made=made))
        keys = zip(bodies["grant_id"].to_pylist(), bodies["message_id"].to_pylist(), strict=True)
        current = pa.array([key in there for key in keys], pa.bool_())
        known = bodies.filter(current).filter(pc.field("known"))
        transaction.delete("message_texts", known.select(["grant_id", "message_id"]))
        transaction.append("message_texts", made.filter(current))
    return len(there)


def _texts(bodies: pa.Table) -> pa.Table:
    found = [plain(body or "") for body in bodies["body"].to_pylist()]
    count = len(found)
    columns: list[Any] = [
        bodies["grant_id"],
        bodies["message_id"],
        pa.array([each.text for each in found], pa.string()),
        pa.array([each.quoted for each in found], pa.string()),
        pa.array([CONVERTER] * count, pa.string()),
        bodies["body_hash"],
    ]
    return pa.Table.from_arrays(columns, schema=TABLES["message_texts"].arrow)
