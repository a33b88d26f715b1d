"""Storing observations of declared streams: merged into the records that the lake holds."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.rows import arrow_table, unix_seconds
from mail_pipeline.lake.table import Column, Table
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.sync.checkpoints import Checkpoint
from mail_pipeline.sync.fetches import DISPUTED, MISSING, Fetch
from mail_pipeline.sync.merge import Observation, RecordState

Key = tuple[str, ...]
Fields = dict[str, Any]
"""A record as read: the API's names, null lists as empty ones."""

_STATE_COLUMNS = ("record", "observed_at", "field_times", "deleted_at")
_DELETED = "id"  # in field_times: the time of a deletion that something newer has undone


@dataclass(frozen=True, slots=True)
class Part:
    """A table with one row per item of a list that records hold."""

    table: str
    object_column: str
    """The column that names the record; the grant's and the calendar's stand before it."""
    rows: Callable[[Fields], Iterator[tuple[Any, ...]]]
    """Yields, item by item, the values of the columns behind `object_column`."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one kind of record lies in the lake: one row each, and rows for the items of its lists.

    A column is filled by the field of its name, unless `values` says otherwise.
    """

    kind: str
    """What one of it is called."""
    table: Table
    within: str | None = None
    """Column of the calendar, where ids are unique only in it."""
    values: Mapping[str, Callable[[Fields], Any]] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    missed: str
    """Query for what a complete pass did not see; may name $grant, $scope, $began, $since, $partition."""

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Return the columns that name a record."""
        return ("grant_id", self.within, "id") if self.within else ("grant_id", "id")

    @property
    def field_columns(self) -> tuple[Column, ...]:
        """Return the columns of what the API says, without the key and what the merge needs to know."""
        return self.table.columns[len(self.key_columns) : -len(_STATE_COLUMNS)]


class RecordStore:
    """Gathers the rows of one stream in one transaction.

    Outdated rows are deleted at once, new ones come with `flush`; so a record must not be merged twice in one
    transaction.
    """

    def __init__(self, transaction: Transaction, layout: Layout) -> None:
        """Take the transaction that all of this belongs to."""
        self._transaction = transaction
        self._layout = layout
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self.fetches: list[Fetch] = []
        """What only the API can settle."""
        self.bare: set[Key] = set()
        """Records merged of which the lake held a tombstone and nothing else."""

    def key(self, grant_id: str, observation: Observation) -> Key:
        """Return the values of the key's columns."""
        return self._key(grant_id, observation.within, observation.id)

    def add(self, grant_id: str, observations: Iterable[Observation]) -> int:
        """Store records that the lake surely does not hold; return how many these are."""
        return len(self.merge({grant_id: observations}))

    def merge(self, observations: Mapping[str, Iterable[Observation]]) -> set[Key]:
        """Merge observations, by grant, into what the lake holds; return the keys it did not hold.

        An event may be reported gone without its calendar. That is kept as a tombstone of no calendar, and
        each event of that id which nothing newer has shown is asked for.
        """
        wanted = {
            self.key(grant_id, each): each.id for grant_id, found in observations.items() for each in found
        }
        if not wanted:
            return set()
        states = self._states({(key[0], identity) for key, identity in wanted.items()})
        known = {key: state for key, state in states.items() if key in wanted}
        before = {key: self._parts(state) for key, state in known.items()}
        self.bare |= {key for key, state in known.items() if not state.times}
        for grant_id, found in observations.items():
            for observation in found:
                key = self.key(grant_id, observation)
                states.setdefault(key, RecordState(observation.id)).observe(observation)
        outdated: dict[str, list[Key]] = {part.table: [] for part in self._layout.parts}
        for key in wanted:
            for table in self._add(key, states[key], before.get(key, {})):
                outdated[table].append(key)
        self._transaction.delete(self._layout.table.name, self._keys(known, self._layout.key_columns))
        for part in self._layout.parts:
            columns = (*self._layout.key_columns[:-1], part.object_column)
            self._transaction.delete(part.table, self._keys(outdated[part.table], columns))
        self._doubt(states)
        return wanted.keys() - known.keys()

    def end_pass(self, checkpoint: Checkpoint) -> None:
        """Ask for each record that a pass, complete now, did not see: only 404 on top of that means gone."""
        if checkpoint.pass_started is None:
            return
        told = {
            "grant": checkpoint.grant_id,
            "scope": checkpoint.scope,
            "began": checkpoint.pass_started,
            "since": checkpoint.since,
            "partition": checkpoint.partition_key,
        }
        statement = self._layout.missed
        missed = self._transaction.rows(
            statement, {name: value for name, value in told.items() if f"${name}" in statement}
        )
        # Not what this transaction has merged: its old rows are deleted, its new ones not there yet.
        for (identity,) in missed:
            key = self._key(checkpoint.grant_id, checkpoint.scope or "", identity)
            self._ask(key, MISSING, checkpoint.pass_started)

    def rewrite(self, grant_id: str, change: Callable[[Fields], Fields], *, keep: bool) -> int:
        """Change the fields of all records of a grant, or without `keep` delete them; return how many."""
        found = self._transaction.matching(self._layout.table.name, self._keys([(grant_id,)], ("grant_id",)))
        states = {
            tuple(row[name] for name in self._layout.key_columns): _state(row) for row in found.to_pylist()
        }
        changed = [key for key, state in states.items() if not keep or change(state.fields) != state.fields]
        self._transaction.delete(self._layout.table.name, self._keys(changed, self._layout.key_columns))
        for part in self._layout.parts:
            columns = (*self._layout.key_columns[:-1], part.object_column)
            self._transaction.delete(part.table, self._keys(changed, columns))
        for key in changed if keep else ():
            state = states[key]
            state.fields = change(state.fields)
            state.times = {name: at for name, at in state.times.items() if name in state.fields}
            list(self._add(key, state, {}))
        return len(changed)

    def flush(self) -> None:
        """Write all rows gathered."""
        for table, rows in self._rows.items():
            self._transaction.append(table, arrow_table(table, rows))
        self._rows = {}

    def _key(self, grant_id: str, within: str, identity: str) -> Key:
        return (grant_id, within, identity) if self._layout.within else (grant_id, identity)

    def _keys(self, keys: Iterable[Key], columns: tuple[str, ...]) -> pa.Table:
        values = list(zip(*keys, strict=True)) or [()] * len(columns)
        return pa.table(
            {name: array(column, pa.string()) for name, column in zip(columns, values, strict=True)}
        )

    def _states(self, wanted: Collection[tuple[str, str]]) -> dict[Key, RecordState]:
        """Return what is known of records of these grants and ids, whatever their calendars."""
        found = self._transaction.matching(
            self._layout.table.name, self._keys(wanted, ("grant_id", "id"))
        ).to_pylist()
        return {tuple(row[name] for name in self._layout.key_columns): _state(row) for row in found}

    def _parts(self, state: RecordState) -> dict[str, list[tuple[Any, ...]]]:
        if state.deleted:
            return {part.table: [] for part in self._layout.parts}
        return {part.table: list(part.rows(state.fields)) for part in self._layout.parts}

    def _add(
        self, key: Key, state: RecordState, before: Mapping[str, list[tuple[Any, ...]]]
    ) -> Iterator[str]:
        """Gather a record's rows; yield the tables of parts whose rows of it are outdated."""
        self._rows.setdefault(self._layout.table.name, []).append((*key, *self._row(state)))
        for table, rows in self._parts(state).items():
            if rows == before.get(table, []):
                continue
            if before.get(table):
                yield table
            self._rows.setdefault(table, []).extend((*key, *row) for row in rows)
        if state.disputed:
            self._ask(key, DISPUTED, max(state.observed_at, state.deleted_at or 0) + 1)

    def _doubt(self, states: Mapping[Key, RecordState]) -> None:
        if not self._layout.within:
            return
        for (grant_id, within, identity), state in states.items():
            nowhere = states.get((grant_id, "", identity))
            if not within or nowhere is None or nowhere.deleted_at is None or state.deleted:
                continue
            if state.observed_at <= nowhere.deleted_at:
                self._ask((grant_id, within, identity), MISSING, nowhere.deleted_at + 1)

    def _ask(self, key: Key, reason: str, not_before: int) -> None:
        within = key[1] if self._layout.within else None
        self.fetches.append(Fetch(self._layout.kind, key[0], key[-1], reason, within, not_before))

    def _row(self, state: RecordState) -> tuple[Any, ...]:
        fields, values = state.fields, []
        for column in self._layout.field_columns:
            given = self._layout.values.get(column.name)
            value = given(fields) if given else fields.get(column.name)
            values.append(value)
        times: dict[str, int] = {name: at for name, at in state.times.items() if at != state.observed_at}
        if state.deleted_at is not None and not state.deleted:
            times[_DELETED] = state.deleted_at
        return (
            *values,
            json.dumps(fields, ensure_ascii=False, sort_keys=True),
            state.observed_at,
            json.dumps(times, sort_keys=True) if times else None,
            state.deleted_at if state.deleted else None,
        )


def _state(row: Mapping[str, Any]) -> RecordState:
    state = RecordState(row["id"], json.loads(row["record"]))
    state.observed_at = unix_seconds(row["observed_at"])
    times = json.loads(row["field_times"] or "{}")
    undone = times.pop(_DELETED, None)
    state.times = {name: times.get(name, state.observed_at) for name in state.fields}
    state.deleted_at = unix_seconds(row["deleted_at"]) if row["deleted_at"] else undone
    return state
