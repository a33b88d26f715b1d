"""What is wanted of attachments, what became of it, and storing that: one row for each attachment."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mail_pipeline.errors import traced
from mail_pipeline.lake.attachment_tables import STORED
from mail_pipeline.lake.file_store import FileStore, path_of
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.upkeep import tidy_after
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.leases import LeaseLost, Leases

_log = logging.getLogger(__name__)

_TABLE = "attachment_files"
_TIDY_FILES = 64
_TIDY_COMMITS = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment as the lake knows it; of `attachment_queries.ATTACHMENTS_TO_FETCH`."""

    message_id: str
    position: int
    id: str | None
    filename: str | None
    content_type: str | None
    size: int | None
    date: int | None
    known: bool
    folder_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attachment."""

    wanted: Wanted
    state: str
    largest: int
    sha256: str | None = None
    size: int | None = None
    reason: str | None = None
    next_step: str | None = None
    at: float = field(default_factory=time.time)


@dataclass(slots=True)
class _Entry:
    grant_id: str
    outcomes: Sequence[Outcome]
    done: Future[bool] = field(default_factory=Future)


class Recorder:
    """Writes outcomes down, from several threads: those that come during a commit are committed together."""

    def __init__(self, lake: Lake, leases: Leases, store: FileStore) -> None:
        """Take the lake, the leases under which this process may write, and where the files lie."""
        self._lake = lake
        self._leases = leases
        self._store = store
        self._waiting: list[_Entry] = []
        self._mutex = threading.Lock()
        self._committing = threading.Lock()
        self._commits = 0

    def record(self, grant_id: str, outcomes: Sequence[Outcome]) -> bool:
        """Return once the outcomes are committed; False where a file was removed before, and none is.

        Raises LeaseLost where another worker has taken the grant over, and whatever the lake raises.
        """
        entry = _Entry(grant_id, outcomes)
        with self._mutex:
            self._waiting.append(entry)
        with self._committing:
            # Whoever comes here first commits for all who wait.
            with self._mutex:
                group, self._waiting = self._waiting, []
            if group:
                self._commit(group)
        return entry.done.result()

    def _commit(self, group: Sequence[_Entry]) -> None:
        try:
            answers = self._write(group)
        except BaseException as error:
            for entry in group:
                entry.done.set_exception(error)
            return
        for entry, answer in zip(group, answers, strict=True):
            if isinstance(answer, bool):
                entry.done.set_result(answer)
            else:
                entry.done.set_exception(answer)
        self._commits += 1
        if self._commits % _TIDY_COMMITS == 0:
            self._tidy()

    def _tidy(self) -> None:
        try:
            tidy_after(self._lake, _TABLE, _TIDY_FILES)
        except Exception as error:
            # Only queries get slower for it; what truly is wrong, the next commit tells.
            _log.warning("Could not merge small files of the lake: %s", traced(error))

    def _write(self, group: Sequence[_Entry]) -> list[bool | LeaseLost]:
        with self._lake.transaction() as transaction:
            # Files are removed under the write lock, so what is there now stays there.
            there = self._store.present(
                {each.sha256: each.size or 0 for entry in group for each in entry.outcomes if each.sha256}
            )
            answers = [self._answer(entry, there) for entry in group]
            accepted = [entry for entry, answer in zip(group, answers, strict=True) if answer is True]
            known = [
                (entry.grant_id, each.wanted.message_id, each.wanted.position)
                for entry in accepted
                for each in entry.outcomes
                if each.wanted.known
            ]
            transaction.delete(_TABLE, _keys(known))
            rows = [_row(entry.grant_id, each) for entry in accepted for each in entry.outcomes]
            transaction.append(_TABLE, arrow_table(_TABLE, rows))
        return answers

    def _answer(self, entry: _Entry, there: set[str]) -> bool | LeaseLost:
        try:
            self._leases.check(entry.grant_id)
        except LeaseLost as error:
            return error
        return all(each.state != STORED or each.sha256 in there for each in entry.outcomes)


def _keys(rows: Sequence[tuple[str, str, int]]) -> pa.Table:
    return pa.table(
        {
            "grant_id": pa.array([grant_id for grant_id, _, _ in rows], pa.string()),
            "message_id": pa.array([message_id for _, message_id, _ in rows], pa.string()),
            "position": pa.array([position for _, _, position in rows], pa.int32()),
        }
    )


def _row(grant_id: str, outcome: Outcome) -> tuple[Any, ...]:
    wanted = outcome.wanted
    return (
        grant_id,
        wanted.message_id,
        wanted.position,
        outcome.state,
        outcome.sha256,
        outcome.size,
        None if outcome.sha256 is None else path_of(outcome.sha256),
        wanted.filename,
        wanted.size,
        outcome.largest,
        outcome.reason,
        outcome.next_step,
        outcome.at,
    )
