"""What is stored and no longer wanted by the configuration file: told, and on request removed for good."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import duckdb

from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.inbox.narrowing import narrowed
from mail_pipeline.lake import queries, subset_queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.connection import records
from mail_pipeline.lake.rows import table_of
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.settings import Settings
from mail_pipeline.subset import Subset, Subsets, read_subsets
from mail_pipeline.subset.fields import KINDS
from mail_pipeline.subset.folders import Standing
from mail_pipeline.sync.checkpoints import MESSAGES, checkpoint_rows, newest_checkpoints
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.merge import RecordState
from mail_pipeline.sync.narrowing import lessened
from mail_pipeline.sync.rows import ROLES
from mail_pipeline.sync.scopes import Scope, Scopes
from mail_pipeline.sync.storing import MessageStore
from mail_pipeline.sync.streams import RECORD_STREAMS, leases_of

_BATCH = 2_000
_Item = TypeVar("_Item")
_COLUMNS = {
    "body": "body_bytes",
    "snippet": "snippet",
    "subject": "subject",
    "attachments": "attachment_count",
    "thread_id": "thread_id",
    "unread": "unread",
    "starred": "starred",
}
"""Fields of messages by the column that shows whether there is one."""


@dataclass(slots=True)
class RemovalReport:
    """What was removed, in rows of messages and of the other streams."""

    messages: int = 0
    """Gone whole: of an excluded folder, or too old."""
    narrowed: int = 0
    """Messages of which fields were removed, or addresses hashed."""
    records: int = 0
    """Contacts, calendars, events and threads removed or narrowed."""
    letters: int = 0
    """Dead letters narrowed."""
    notifications: int = 0
    """Landed notifications narrowed."""


def stored_excluded(connection: duckdb.DuckDBPyConnection, subsets: Subsets) -> tuple[int, int]:
    """Return how many messages are stored that are not wanted, and how many others with more than is wanted.

    What a search would not find is not among them: only the provider can tell.
    """
    outside = more = 0
    for grant in records(connection.execute(queries.KNOWN_GRANTS)):
        subset = subsets.of(grant["id"], grant["provider"])
        if not subset.everything:
            parameters = _asked(connection, grant["id"], subset)
            [found] = connection.execute(subset_queries.STORED_EXCLUDED, parameters).fetchall()
            outside += found[0]
            more += found[1]
    return outside, more


def remove_excluded(settings: Settings) -> RemovalReport:
    """Remove what is stored and not wanted from the tables of mail and from what landed.

    What was made of it, and the tables' earlier states, are the caller's. Safe to interrupt and to repeat.
    Raises RetryLater where a grant is being listed, StopRun for a wrong file.
    """
    report = RemovalReport()
    subsets = read_subsets(settings)
    if subsets.everything:
        return report
    with ExitStack() as stack:
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        landing = stack.enter_context(Landing.open(settings))
        grants = lake.table(queries.KNOWN_GRANTS).to_pylist()
        for grant in grants:
            scopes = Scopes(lake, subsets)
            scope = scopes.of(grant["id"], grant["provider"])
            if not scope.subset.everything:
                _Remover(lake, leases, scopes, scope, report).work()
        providers = {grant["id"]: grant["provider"] for grant in grants}
        report.letters = _narrow_letters(lake, subsets, providers)
        report.notifications = landing.narrow(providers)
    return report


class _Remover:
    """Removes what is not wanted of one grant, under its leases."""

    def __init__(
        self, lake: Lake, leases: Leases, scopes: Scopes, scope: Scope, report: RemovalReport
    ) -> None:
        self._lake = lake
        self._leases = leases
        self._scopes = scopes
        self._scope = scope
        self._report = report

    def work(self) -> None:
        grant_id = self._scope.grant_id
        with self._leases.held(self._lake, grant_id, leases_of(grant_id)):
            # First: an interrupted call must not leave lists that seem to have brought what is removed.
            self._checkpoints()
            self._messages()
            self._records()

    def _messages(self) -> None:
        grant_id = self._scope.grant_id
        for ids in _batches(
            list(self._lake.column(queries.MESSAGE_IDS, wanted=text_table("grant_id", [grant_id])))
        ):
            with self._lake.transaction() as transaction:
                self._leases.check(grant_id)
                store = MessageStore(transaction)
                keys = {(grant_id, identity) for identity in ids}
                outside = store.forget(keys, lambda row: not self._holds(row))
                self._report.messages += len(outside)
                self._report.narrowed += store.rewrite(keys - outside, self._narrow)
                store.flush()

    def _holds(self, row: Mapping[str, Any]) -> bool:
        if not self._scope.subset.wants(MESSAGES):
            return False
        return self._scope.holds(row["folders"] or (), row["date"])

    def _narrow(self, state: RecordState) -> bool:
        """Take out of what is known of a message what is not wanted; tell whether there was any."""
        subset, before = self._scope.subset, (dict(state.fields), dict(state.folder_times))
        for name in [name for name in state.fields if not subset.keeps("message", name)]:
            del state.fields[name]
        state.times = {name: at for name, at in state.times.items() if subset.keeps("message", name)}
        if (hashing := subset.hashing) is not None:
            for role in ROLES:
                people = state.fields.get(role)
                if people:
                    state.fields[role] = [
                        (None, address and hashing.address(address)) for _, address in people
                    ]
        if subset.folders and subset.provider in IMAP_FAMILY:
            if folders := state.fields.get("folders"):
                state.fields["folders"] = [each for each in folders if self._scope.wants_folder(each)]
            state.folder_times = {
                folder: at for folder, at in state.folder_times.items() if self._scope.wants_folder(folder)
            }
        return (state.fields, state.folder_times) != before

    def _records(self) -> None:
        for stream in RECORD_STREAMS.values():
            with self._lake.transaction() as transaction:
                store = stream.store(transaction)
                self._report.records += store.rewrite(
                    self._scope.grant_id,
                    partial(self._scope.subset.strip, stream.kind),
                    keep=self._scope.subset.wants(stream.name),
                )
                store.flush()

    def _checkpoints(self) -> None:
        """Say of each list that only what is wanted stays of it; it then widens from that.

        Those of a stream that is not wanted are forgotten.
        """
        grant_id = self._scope.grant_id
        keys = list(self._lake.column(subset_queries.CHECKPOINT_KEYS, [grant_id]))
        with self._lake.transaction() as transaction:
            self._leases.check(grant_id)
            for stream in (MESSAGES, *RECORD_STREAMS):
                if not self._scope.subset.wants(stream):
                    # Those of events are named after calendars, which may be named after people.
                    transaction.change("checkpoints", subset_queries.FORGET_CHECKPOINTS, [grant_id, stream])
            standing = newest_checkpoints(self._lake, keys).values()
            kept = [each for each in standing if self._scope.subset.wants(each.stream)]
            less = lessened(kept, self._leases, self._scopes, self._scope, removed=True)
            transaction.append("checkpoints", checkpoint_rows(less))


def _narrow_letters(lake: Lake, subsets: Subsets, providers: Mapping[str, str]) -> int:
    """Take what is not wanted out of the raw records of dead letters; return of how many."""
    with lake.transaction() as transaction:
        rows = lake.table(subset_queries.ALL_DEAD_LETTERS).to_pylist()
        kept = [_narrow_letter(row, subsets, providers) for row in rows]
        changed = sum(bool(one["raw"] != other["raw"]) for one, other in zip(rows, kept, strict=True))
        if changed:
            transaction.change("dead_letters", subset_queries.FORGET_DEAD_LETTERS)
            transaction.append("dead_letters", table_of("dead_letters", kept))
    return changed


def _narrow_letter(row: dict[str, Any], subsets: Subsets, providers: Mapping[str, str]) -> dict[str, Any]:
    grant_id, raw = row["grant_id"] or "", row["raw"] or ""
    if row["object"] == "notification":
        text = narrowed(Delivery(0.0, {}, raw.encode()), subsets, providers).body.decode()
        return {**row, "raw": text}
    provider = providers.get(grant_id)
    subset = subsets.of(grant_id, provider) if provider else subsets.strictest(grant_id)
    try:
        record = json.loads(raw)
    except ValueError:
        record = None
    stripped = subset.strip(row["object"], record)
    if row["object"] not in KINDS or stripped == record:
        return row
    return {**row, "raw": json.dumps(stripped)}


def _asked(connection: duckdb.DuckDBPyConnection, grant_id: str, subset: Subset) -> dict[str, Any]:
    """Return the parameters of STORED_EXCLUDED."""
    folders = records(connection.execute(subset_queries.FOLDERS_TO_JUDGE, [grant_id]))
    standings = subset.folders.standings(folders)
    left_out = subset.left_out.get("message", frozenset())
    return {
        "grant": grant_id,
        "off": not subset.wants(MESSAGES),
        "since": subset.since,
        "copies": subset.provider in IMAP_FAMILY and bool(subset.folders),
        "some": bool(subset.folders.wanted),
        "wanted": [each for each, standing in standings.items() if standing is Standing.WANTED],
        "excluded": [each for each, standing in standings.items() if standing is Standing.EXCLUDED],
        "columns": [column for name, column in _COLUMNS.items() if name in left_out],
        "roles": [role for role in ROLES if role in left_out],
        "extra": sorted(left_out - _COLUMNS.keys() - set(ROLES)),
        "hashed": subset.hashing is not None,
    }


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
