"""What does the search index cost: to make, to keep up, to ask, and in bytes?

    python -m benchmarks.search [--messages 50000] [--known 1000000] [--json]

The lake is filled page by page with mail of 10 KB a message. `--known` is the size of a second lake, without
bodies, whose messages the index holds already: what a refresh costs there is what it costs to find out that
nothing has changed.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import duckdb
import orjson

from benchmarks.mail import Mailbox, letters
from mail_pipeline import connect
from mail_pipeline.lake.connection import tables_path
from mail_pipeline.lake.upkeep import upkeep
from mail_pipeline.lake.writer import Lake
from mail_pipeline.search import queries
from mail_pipeline.search.index import index_path, opened
from mail_pipeline.search.refresh import refresh
from mail_pipeline.sync.records import read_messages
from mail_pipeline.sync.storing import MessageStore

_NEW = 1_000
_PAGE = 1_000
_AT = 1_770_000_000
_FILL = """
INSERT INTO all_messages BY NAME SELECT 'grant-' || (n % 300) AS grant_id,
    'AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A' || md5(n::VARCHAR) AS id, 'Subject number ' || n AS subject,
    to_timestamp($at - 30 * n) AS date, hash(n) AS body_hash, to_timestamp($at) AS observed_at
FROM range($known) t(n)
"""
_KNOW = "INSERT INTO documents (grant_id, id, likeness) VALUES (?, ?, ?)"
_LIVE = "SELECT grant_id, id, likeness FROM live"
_BEST = """
SELECT m.date, m.subject, s.score FROM search(?) s JOIN messages m USING (grant_id, id)
ORDER BY s.score DESC LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One step: how many messages it was about, what it took, and the index after it."""

    step: str
    messages: int
    wall: float
    cpu: float
    index_mb: float


class _Steps:
    """Measures steps in a data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.figures: list[Figures] = []

    def measure(self, step: str, work: Callable[[], int]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        messages = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = index_path(self.data).stat().st_size
        self.figures.append(Figures(step, messages, wall, cpu, size / 1e6))


def measure(messages: int, known: int) -> list[Figures]:
    """Take the figures. Raises RuntimeError where a refresh did not index what it should."""
    with tempfile.TemporaryDirectory() as folder:
        steps = _Steps(Path(folder) / "data")
        _with_mail(steps, messages)
        size = sum(path.stat().st_size for path in tables_path(steps.data).rglob("*.parquet"))
        steps.figures.append(Figures("the lake itself", messages + _NEW, 0.0, 0.0, size / 1e6))
    with tempfile.TemporaryDirectory() as folder:
        steps.data = Path(folder) / "data"
        _with_knowledge(steps, known)
    return steps.figures


def _with_mail(steps: _Steps, messages: int) -> None:
    mailbox = Mailbox(0, messages + _NEW, letters())
    with Lake(steps.data) as lake:
        _store(lake, mailbox, range(_NEW, messages + _NEW, _PAGE))
        upkeep(lake)
        steps.measure("first refresh", lambda: _refreshed(steps.data, messages))
        _store(lake, mailbox, range(0, _NEW, _PAGE))
        steps.measure("after 1,000 new ones", lambda: _refreshed(steps.data, _NEW))
    for name, words in _questions(mailbox):
        with connect(steps.data) as connection:
            connection.execute(_BEST, ["warm up"]).fetchall()
            [(found,)] = connection.execute("SELECT count(*) FROM search(?)", [words]).fetchall()
            steps.measure(f"asking for {name}", partial(_ask, connection, words, found))


def _ask(connection: duckdb.DuckDBPyConnection, words: str, found: int) -> int:
    connection.execute(_BEST, [words]).fetchall()
    return found


def _with_knowledge(steps: _Steps, known: int) -> None:
    with Lake(steps.data) as lake, lake.transaction() as transaction:
        transaction.change("all_messages", _FILL, {"known": known, "at": _AT})
    with opened(steps.data), connect(steps.data) as reader:
        reader.execute(queries.LIVE)
        rows = reader.execute(_LIVE)
        with _plain(steps.data) as index:
            while batch := rows.fetchmany(10_000):
                index.executemany(_KNOW, batch)
    steps.measure(f"nothing new among {known:,}", lambda: _refreshed(steps.data, 0))


@contextmanager
def _plain(data: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(index_path(data))) as connection:
        yield connection
        connection.commit()


def _store(lake: Lake, mailbox: Mailbox, firsts: Sequence[int]) -> None:
    for first in firsts:
        observations, _ = read_messages(orjson.loads(mailbox.page(first, _PAGE)), at=_AT)
        with lake.transaction() as transaction:
            store = MessageStore(transaction)
            store.add(mailbox.grant_id, observations)
            store.flush()


def _refreshed(data: Path, expected: int) -> int:
    report = refresh(data)
    if report.indexed != expected or report.removed:
        raise RuntimeError(f"{report.indexed} indexed and {report.removed} removed, not {expected} and none")
    return report.indexed


def _questions(mailbox: Mailbox) -> Iterator[tuple[str, str]]:
    records = orjson.loads(mailbox.page(0, min(mailbox.messages, 300)))
    counts = Counter(word for record in records for word in set(record["subject"].lower().split()))
    ranked = [word for word, _ in counts.most_common()]
    yield "the most common word", ranked[0]
    yield "two common words", " ".join(ranked[:2])
    yield "a rare word", ranked[-1]
    yield "a phrase", f'"{" ".join(records[0]["snippet"].split()[:2])}"'
    yield "a beginning", f"{ranked[-1][:3]}*"


def table(figures: Sequence[Figures]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| step | messages | wall s | CPU s | index MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.step} | {each.messages:,} | {each.wall:.2f} | {each.cpu:.2f} | {each.index_mb:,.1f} |"
        for each in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=50_000, help="messages with bodies")
    parser.add_argument("--known", type=int, default=1_000_000, help="messages that are in the index already")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure(wanted.messages, wanted.known)
    print(json.dumps([asdict(each) for each in figures], indent=2) if wanted.json else table(figures))


if __name__ == "__main__":
    main()
