"""The landing table: every notification as it came, in the order in which it was stored."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import orjson
import sqlalchemy as sa

from mail_pipeline.errors import RetryLater
from mail_pipeline.inbox.databases import database_errors, open_database
from mail_pipeline.inbox.narrowing import is_forgotten, narrowed, without_grant
from mail_pipeline.inbox.silences import silences
from mail_pipeline.inbox.wal import WalCopier
from mail_pipeline.settings import Settings
from mail_pipeline.subset import EVERYTHING, Subsets, read_subsets

_BATCH = 500
"""Rows of one statement, and of one transaction of retention."""
_SLEPT_SECONDS = 300.0
"""A heartbeat comes every 15 s, unless the machine sleeps."""
_READ_AT_ONCE = 32 * 2**20
_LOCK = 7_526_417_308_291_164_001
"""The landing table among Postgres' advisory locks: any number that nobody else takes."""
_INSERT = "INSERT INTO notifications (received_at, headers, body) VALUES "

_Value = TypeVar("_Value")

_metadata = sa.MetaData()
_notifications = sa.Table(
    "notifications",
    _metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.Column("headers", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # Without it SQLite gives the numbers of removed rows again.
    sqlite_autoincrement=True,
)
_receivers = sa.Table(
    "receivers",
    _metadata,
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("started_at", sa.Double, primary_key=True),
    sa.Column("last_seen", sa.Double, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a sender: its body raw as sent, its headers by lower-case name.

    `received_at` is in unix seconds, by the clock of the receiver.
    """

    received_at: float
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Landed(Delivery):
    """A stored delivery. Numbers grow in the order of storing and are never given twice."""

    number: int


class Landing:
    """The table, open. Methods may be called from several threads, and by several processes at once.

    All raise RetryLater where the database is locked or out of reach, StopRun where the disk or the file is
    at fault.
    """

    def __init__(self, engine: sa.Engine, data: Path, subsets: Subsets = EVERYTHING) -> None:
        """Take an engine, the data folder that errors speak of, and what is wanted; `open` makes them."""
        self._subsets = subsets
        self._engine = engine
        self._data = data
        self._on_postgres = engine.dialect.name == "postgresql"
        self._place = "%s" if self._on_postgres else "?"
        self._wal = None if self._on_postgres else WalCopier(engine)

    @classmethod
    def open(cls, settings: Settings) -> "Landing":
        """Open the table of the settings' database, or of the data folder; make it where it is missing.

        Raises StopRun also where the configuration file is wrong: what is not wanted must not land.
        """
        subsets = read_subsets(settings)
        with database_errors(settings.data):
            if settings.database_url is None:
                settings.data.mkdir(parents=True, exist_ok=True)
            engine = open_database(settings.database_url, settings.data)
            landing = cls(engine, settings.data, subsets)
            try:
                landing._make_tables()
            except BaseException:
                landing.close()
                raise
        return landing

    def close(self) -> None:
        """Let go of the database."""
        if self._wal is not None:
            self._wal.close()
        self._engine.dispose()

    def __enter__(self) -> "Landing":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def store(self, deliveries: Sequence[Delivery]) -> None:
        """Store all of them in one transaction, or none; when this returns they outlive a loss of power.

        What is not wanted of them is left out before.
        """
        deliveries = [narrowed(each, self._subsets) for each in deliveries]
        rows = [(each.received_at, orjson.dumps(each.headers), each.body) for each in deliveries]
        with self._transaction() as connection:
            if self._on_postgres:
                # Readers go by "number greater than the last", so numbers must become visible in order.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            # One statement for many rows: SQLite's driver lets go of the interpreter at each statement, and
            # has to wait until the thread that answers requests lets go of it in turn.
            for batch in _batches(rows):
                values = tuple(value for row in batch for value in row)
                connection.exec_driver_sql(_insert(self._place, len(batch)), values)
        if self._wal is not None:
            self._wal.stored(sum(len(each.body) for each in deliveries))

    def after(self, number: int, *, limit: int, max_bytes: int) -> list[Landed]:
        """Return what was stored after this number, in order.

        At most `limit` rows with `max_bytes` of bodies in all, as sent; yet one row if there is any.
        """
        newer = (
            sa.select(_notifications.c.number, sa.func.length(_notifications.c.body))
            .where(_notifications.c.number > number)
            .order_by(_notifications.c.number)
            .limit(limit)
        )
        with self._transaction() as connection:
            sizes = [(int(found), int(size)) for found, size in connection.execute(newer)]
            last = _last_within(sizes, max_bytes)
            return _landed(connection, _notifications.c.number.between(number + 1, last))

    def get(self, numbers: Iterable[int]) -> list[Landed]:
        """Return the rows of these numbers that are there, in order."""
        wanted = sorted(set(numbers))
        with self._transaction() as connection:
            return [
                row
                for batch in _batches(wanted)
                for row in _landed(connection, _notifications.c.number.in_(batch))
            ]

    def newest(self) -> int:
        """Return the greatest number there is; where no row is left, the greatest ever given, 0 for none."""
        with self._transaction() as connection:
            newest = connection.scalar(sa.select(sa.func.max(_notifications.c.number)))
            if newest is None:
                newest = self._last_given(connection)
        return int(newest or 0)

    def last_given(self) -> int:
        """Return the greatest number ever given, also to a row that was removed since; 0 for none.

        On Postgres a transaction that failed may have taken it.
        """
        with self._transaction() as connection:
            return int(self._last_given(connection) or 0)

    def count(self) -> int:
        """Return how many rows there are."""
        with self._transaction() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(_notifications)) or 0

    def remove(self, *, up_to: int, received_before: float, keep: Collection[int] = ()) -> int:
        """Remove rows up to this number that came before this time; return how many.

        Those in `keep` stay. Works in small transactions, so that receivers hardly wait.
        """
        kept = frozenset(keep)
        removed = last = 0
        while True:
            old = (
                sa.select(_notifications.c.number)
                .where(
                    _notifications.c.number > last,
                    _notifications.c.number <= up_to,
                    _notifications.c.received_at < received_before,
                )
                .order_by(_notifications.c.number)
                .limit(_BATCH)
            )
            with self._transaction() as connection:
                numbers = list(connection.scalars(old))
                if not numbers:
                    return removed
                last = numbers[-1]
                going = [number for number in numbers if number not in kept]
                connection.execute(_notifications.delete().where(_notifications.c.number.in_(going)))
            removed += len(going)

    def narrow(self, providers: Mapping[str, str]) -> int:
        """Take what is not wanted out of what has landed, for good; return of how many.

        `providers` are those of the grants. On Postgres the old rows are gone with its next VACUUM FULL.
        """
        return self._rewrite(lambda each: narrowed(each, self._subsets, providers))

    def forget(self, grant_id: str) -> tuple[int, list[int]]:
        """Take out of what has landed, for good, all that tells of a grant.

        Return of how many, and the numbers of all that told of this or an earlier forgotten one: these stay,
        and that they came. On Postgres as `narrow` says.
        """
        forgotten: list[int] = []

        def change(landed: Landed) -> Landed:
            left = without_grant(landed, grant_id)
            if is_forgotten(left):
                forgotten.append(left.number)
            return left

        return self._rewrite(change), forgotten

    def _rewrite(self, change: Callable[[Landed], Landed]) -> int:
        changed = last = 0
        while batch := self.after(last, limit=_BATCH, max_bytes=_READ_AT_ONCE):
            last = batch[-1].number
            kept = [change(each) for each in batch]
            with self._transaction() as connection:
                for one, other in zip(batch, kept, strict=True):
                    if one.body != other.body:
                        changed += 1
                        connection.execute(
                            _notifications.update()
                            .where(_notifications.c.number == one.number)
                            .values(headers=orjson.dumps(other.headers), body=other.body)
                        )
        if not self._on_postgres:
            self._compact()
        return changed

    def _compact(self) -> None:
        """Leave nothing in SQLite's files of what rows held before, be it from a call that was killed."""
        with database_errors(self._data), self._engine.connect() as connection:
            bare = connection.execution_options(isolation_level="AUTOCOMMIT")
            bare.exec_driver_sql("VACUUM")
            busy, *_ = bare.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if busy:
            raise RetryLater(
                f"The landing table in {self._data} is being read, so its log still holds what is removed",
                next_step="Do this again.",
            )

    def beat(self, receiver: str, at: float, *, started: bool = False) -> None:
        """Note that a receiver stored, or could store, at this time (unix seconds).

        `started` begins a new stretch of time; without it the receiver's last one becomes longer, unless it
        ended minutes ago: a machine that slept received nothing meanwhile.
        """
        stretches = sa.select(sa.func.max(_receivers.c.started_at)).where(_receivers.c.receiver == receiver)
        longer = (
            _receivers.update()
            .where(
                _receivers.c.receiver == receiver,
                _receivers.c.started_at == stretches.scalar_subquery(),
                _receivers.c.last_seen < at,
            )
            .values(last_seen=at)
        )
        new = _receivers.insert().values(receiver=receiver, started_at=at, last_seen=at)
        last = sa.select(sa.func.max(_receivers.c.last_seen)).where(_receivers.c.receiver == receiver)
        with self._transaction() as connection:
            if not started:
                seen = connection.scalar(last)
                started = seen is not None and at - seen > _SLEPT_SECONDS
            connection.execute(new if started else longer)

    def silences(self, *, longer_than: float, until: float | None = None) -> list[tuple[float, float]]:
        """Return the times in which no receiver was up, as `inbox.silences.silences` promises."""
        stretches = sa.select(_receivers.c.started_at, _receivers.c.last_seen).order_by(
            _receivers.c.started_at
        )
        with self._transaction() as connection:
            up = [(float(start), float(end)) for start, end in connection.execute(stretches)]
        return silences(up, longer_than=longer_than, until=until)

    def _make_tables(self) -> None:
        with self._transaction() as connection:
            if self._on_postgres:
                # IF NOT EXISTS looks first and creates then; two receivers that start together would clash.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            for table in _metadata.sorted_tables:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    def _last_given(self, connection: sa.Connection) -> int | None:
        if not self._on_postgres:
            query = "SELECT seq FROM sqlite_sequence WHERE name = 'notifications'"
        else:
            # The sequence knows the numbers of transactions under way too; wait for those.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_LOCK)))
            query = (
                "SELECT pg_sequence_last_value(pg_get_serial_sequence('notifications', 'number')::regclass)"
            )
        last: int | None = connection.scalar(sa.text(query))
        return last

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with database_errors(self._data), self._engine.begin() as connection:
            yield connection


def _landed(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[Landed]:
    rows = connection.execute(
        sa.select(_notifications).where(condition).order_by(_notifications.c.number)
    ).all()
    return [Landed(row.received_at, orjson.loads(row.headers), row.body, row.number) for row in rows]


def _last_within(sizes: Sequence[tuple[int, int]], max_bytes: int) -> int:
    """Return the last of (number, size) with which all sizes so far fit; the first in any case."""
    total, last = 0, 0
    for number, size in sizes:
        total += size
        if last and total > max_bytes:
            break
        last = number
    return last


def _batches(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


@cache
def _insert(place: str, rows: int) -> str:
    return _INSERT + ", ".join([f"({place}, {place}, {place})"] * rows)
