"""Bringing the marts up to the mail: what changed is looked up, what depends on it is made again.

All marts of a grant move together, in one transaction, so that they always agree with each other. They are
computed beside the writers, without the write lock, which is held for the writing only. What a refresh reads
may be newer than the snapshot it began with; whatever is, is looked at again by the next.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mail_pipeline.addresses import canonical
from mail_pipeline.errors import RetryLater
from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.upkeep import tidy_after
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import changes
from mail_pipeline.marts.marks import PATTERNS
from mail_pipeline.marts.reporting import DEFAULT, Reporting
from mail_pipeline.marts.tables import BUSINESS_CLOCK, MARTS, OWN_ADDRESSES, Mart

_CHUNK = 250_000
"""Messages whose facts are held in memory at once, where no single grant has more."""
_TRIES = 5
_TIDY_FILES = 40
_ALIASES = "email_aliases"


@dataclass(slots=True)
class MartReport:
    """What a refresh did, and how large the tables are after it."""

    grants: int = 0
    """Accounts in which something had changed."""
    messages: int = 0
    """Messages looked at."""
    written: dict[str, int] = field(default_factory=dict)
    """Rows written, by table."""
    removed: dict[str, int] = field(default_factory=dict)
    """Keys whose rows were taken away or replaced, by table."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table now."""


class _Overtaken(Exception):
    """Another refresh has written some of these grants meanwhile."""


def refresh_marts(data: Path, reporting: Reporting = DEFAULT) -> MartReport:
    """Bring all marts of a data folder up to its mail; costs what has changed.

    Where rules or settings have changed since, everything is made again. Safe to interrupt and to run twice
    at once. Raises RetryLater where others keep getting ahead of it, and as the lake does.
    """
    report = MartReport()
    with Lake(data) as lake, connect(data) as reader:
        for _ in range(_TRIES):
            try:
                _Refresh(lake, reader, reporting, report).run()
                break
            except _Overtaken:
                continue
        else:
            raise RetryLater(
                f"Another process kept refreshing the marts of {data}", next_step="Run it once more."
            )
        tidy_after(lake, "mart_watermarks", _TIDY_FILES)
        for table in ("own_addresses", *(mart.name for mart in MARTS)):
            (report.rows[table],) = lake.column(f"SELECT count(*) FROM {table}")
    return report


class _Refresh:
    def __init__(
        self, lake: Lake, reader: duckdb.DuckDBPyConnection, reporting: Reporting, report: MartReport
    ) -> None:
        self._lake = lake
        self._reader = reader
        self._report = report
        self._parameters: dict[str, Any] = {**reporting.parameters(), **PATTERNS}
        self._definition = _definition(self._parameters)
        reader.execute(BUSINESS_CLOCK)

    def run(self) -> None:
        [(snapshot, at)] = self._reader.execute(changes.SNAPSHOT).fetchall()
        self._reader.register("accounts", _accounts(self._reader.execute(changes.GRANTS).fetchall()))
        self._create("found", changes.CHANGES, {"definition": self._definition})
        self._reader.execute(changes.REDO_MISCOUNTED)
        for grants in _chunks(self._reader.execute(changes.WORK).fetchall()):
            self._create("chunk", changes.CHUNK, {"grants": grants})
            self._create("changed", changes.CHANGED)
            self._make(OWN_ADDRESSES)
            if self._reader.execute(changes.REDO_TURNED).fetchall():
                self._create("changed", changes.CHANGED)
                self._make(OWN_ADDRESSES)
            for mart in MARTS:
                self._make(mart)
            self._write(snapshot, at)
        self._reader.unregister("accounts")

    def _make(self, mart: Mart) -> None:
        """Make the tables `_touched`, `_new`, `_diff` and the view `_now` of a mart."""
        name, key = mart.name, ", ".join(mart.key)
        self._create(f"{name}_touched", mart.touched)
        self._reader.execute(f"CREATE OR REPLACE TEMP VIEW touched AS FROM {name}_touched")
        self._create(f"{name}_new", mart.rows, {each: self._parameters[each] for each in mart.parameters})
        self._create(f"{name}_was", f"FROM {name} SEMI JOIN touched USING ({key})")
        self._create(f"{name}_diff", changes.DIFF.format(name=name))
        self._reader.execute(
            f"CREATE OR REPLACE TEMP VIEW {name}_now AS "
            f"FROM {name} SEMI JOIN chunk USING (grant_id) ANTI JOIN {name}_touched USING ({key}) "
            f"UNION ALL FROM {name}_new"
        )

    def _write(self, snapshot: int, at: datetime) -> None:
        watermarks = self._reader.execute(
            changes.WATERMARKS, {"snapshot": snapshot, "at": at, "definition": self._definition}
        ).to_arrow_table()
        before = sorted(self._reader.execute(changes.WATERMARKS_BEFORE).fetchall())
        with self._lake.transaction() as transaction:
            chunk = self._table("SELECT grant_id FROM chunk")
            known = transaction.given(changes.WATERMARKS_NOW, chunk=chunk)
            if sorted(known) != before:
                raise _Overtaken
            for mart in (OWN_ADDRESSES, *MARTS):
                self._replace(transaction, mart)
            transaction.delete("mart_watermarks", chunk)
            transaction.append("mart_watermarks", watermarks)
        [(messages, grants)] = self._reader.execute(changes.COUNTS).fetchall()
        self._report.messages += messages
        self._report.grants += grants

    def _replace(self, transaction: Transaction, mart: Mart) -> None:
        names = {"name": mart.name, "key": ", ".join(mart.key)}
        gone = self._table(changes.GONE.format(**names))
        come = self._table(changes.COME.format(**names))
        transaction.delete(mart.name, gone)
        transaction.append(mart.name, come)
        for counts, rows in ((self._report.removed, gone), (self._report.written, come)):
            counts[mart.name] = counts.get(mart.name, 0) + rows.num_rows

    def _create(self, name: str, query: str, parameters: dict[str, Any] | None = None) -> None:
        self._reader.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}", parameters or {})

    def _table(self, query: str) -> pa.Table:
        return self._reader.execute(query).to_arrow_table()


def _chunks(work: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Deal out grants, given with how many messages are to be looked at."""
    chunk: list[str] = []
    size = 0
    for grant_id, messages in work:
        if chunk and size + messages > _CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(grant_id)
        size += messages
    if chunk:
        yield chunk


def _accounts(grants: Sequence[tuple[str, str | None, str | None]]) -> pa.Table:
    """Return the addresses the grants themselves tell of."""
    own: dict[tuple[str, str], str] = {}
    for grant_id, email, extra in grants:
        aliases = json.loads(extra).get(_ALIASES) if extra else None
        told = [(email, "grant"), *((alias, "alias") for alias in aliases or () if isinstance(alias, str))]
        for given, source in told:
            address, _ = canonical(given)
            if address:
                own.setdefault((grant_id, address), source)
    rows = [(*key, source) for key, source in own.items()]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table(
        {
            name: pa.array(values, pa.string())
            for name, values in zip(("grant_id", "address", "source"), columns, strict=True)
        }
    )


def _definition(parameters: dict[str, Any]) -> str:
    """Return what changes when anything changes that rows are a function of, besides mail."""
    rules = [BUSINESS_CLOCK, *((mart.touched, mart.rows) for mart in (OWN_ADDRESSES, *MARTS))]
    return hashlib.sha256(json.dumps([rules, parameters], sort_keys=True).encode()).hexdigest()[:16]
