"""The one thread of a process that writes mail: it commits whatever pages the workers have ready.

A page alone is committed at once. Pages that come in while a commit is under way are committed together, so
groups form by themselves exactly when there is much to do.
"""

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from mail_pipeline.errors import StopRun, traced
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.upkeep import tidy
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Cancelled
from mail_pipeline.sync.beside import WrittenBeside
from mail_pipeline.sync.checkpoints import Checkpoint, checkpoint_rows, newest_checkpoints
from mail_pipeline.sync.dead_letters import dead_letter_row
from mail_pipeline.sync.fetches import fetch_rows
from mail_pipeline.sync.leases import LeaseLost, Leases
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import DeadLetter
from mail_pipeline.sync.streams.mail import MAIL
from mail_pipeline.sync.streams.stream import Key, Store, Stream

_log = logging.getLogger(__name__)

_GROUP_AT_MOST = 16
_TIDY_GROUPS = 64
_TIDY_PAGES = 256
"""What a merge of small files holds in memory grows with the pages that lie in them."""
WAITING_AT_MOST = 32
"""Pages fetched and not yet stored, in the whole process: what a crash costs, and bounded memory."""


@dataclass(slots=True)
class Write:
    """What a worker wants stored: a page, or, without rows, only where its mailbox stands."""

    partition_key: str
    changes: dict[str, Any]
    """Fields of the checkpoint to set; those of `growth` are added to."""
    growth: dict[str, int] = field(default_factory=dict)
    fresh: list[Observation] = field(default_factory=list)
    """Observations of messages that no page has shown before."""
    repeats: list[Observation] = field(default_factory=list)
    """Observations of messages that the lake may hold."""
    dead: list[DeadLetter] = field(default_factory=list)
    at: int = 0
    """When the page was observed."""
    ends_pass: bool = False
    """The list is at its end: what the pass did not see may be gone."""
    done: Future[Checkpoint] = field(default_factory=Future)


class Committer:
    """Stores writes in the order they are submitted, from the start; `close` it after use."""

    def __init__(self, lake: Lake, leases: Leases) -> None:
        """Take the lake and the leases under which this process may write."""
        self._lake = lake
        self._leases = leases
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._slots = threading.BoundedSemaphore(WAITING_AT_MOST)
        self._mutex = threading.Lock()
        self._closed = False
        self._standing: dict[str, Checkpoint] = {}
        self._streams: dict[str, Stream] = {}
        self._broken: dict[str, BaseException] = {}
        # Before any worker asks which messages the lake holds.
        self._beside = WrittenBeside(lake)
        self._thread = threading.Thread(target=self._run, name="committer")
        self._thread.start()

    def begin(self, checkpoint: Checkpoint, stream: Stream = MAIL) -> None:
        """Take over a slice of a stream where it stands, also after one of its writes has failed."""
        self._streams[checkpoint.partition_key] = stream
        self._standing[checkpoint.partition_key] = checkpoint
        self._broken.pop(checkpoint.partition_key, None)

    def submit(self, write: Write) -> Future[Checkpoint]:
        """Store a write soon; the future holds the checkpoint that was stored with it.

        The future raises LeaseLost where another worker has taken the grant over, and whatever the lake
        raises. So do then all later writes of the mailbox, for a page must not be stored without the one
        before it, until `begin` is called again. It raises Cancelled after `close`. Waits while too much is
        waiting.
        """
        self._slots.acquire()
        write.done.add_done_callback(lambda _: self._slots.release())
        with self._mutex:
            closed = self._closed
            if not closed:
                self._queue.put(write)
        if closed:
            # A worker may outlive this where an interrupt ended the wait for it: it must not wait for ever.
            write.done.set_exception(Cancelled("Nothing is stored any more: the work was told to stop"))
        return write.done

    def close(self) -> None:
        """Store what was submitted, then stop."""
        with self._mutex:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        held: Write | None = None
        closing = False
        groups = pages = 0
        while held is not None or not closing:
            group, held, closing = self._group(held, closing)
            if group:
                self._store(group)
                groups += 1
                pages += len(group)
                if groups >= _TIDY_GROUPS or pages >= _TIDY_PAGES:
                    self._tidy()
                    groups = pages = 0

    def _tidy(self) -> None:
        try:
            tidy(self._lake)
        except Exception as error:
            # Only queries get slower for it; what truly is wrong, the next commit tells.
            _log.warning("Could not merge small files of the lake: %s", traced(error))

    def _group(self, held: Write | None, closing: bool) -> tuple[list[Write], Write | None, bool]:
        group = [held] if held is not None else []
        while len(group) < _GROUP_AT_MOST and not closing:
            try:
                write = self._queue.get(block=not group)
            except queue.Empty:
                break
            if write is None:
                closing = True
            elif write.repeats and any(other.fresh and self._same_grant(write, other) for other in group):
                # Its repeats may be rows of this very group: they can be found only once it is stored.
                return group, write, closing
            else:
                group.append(write)
        return group, None, closing

    def _same_grant(self, one: Write, other: Write) -> bool:
        return self._grant(one) == self._grant(other)

    def _grant(self, write: Write) -> str:
        return self._standing[write.partition_key].grant_id

    def _store(self, group: Sequence[Write]) -> None:
        try:
            outcomes = self._commit(group)
        except Exception as error:
            if len(group) == 1 or isinstance(error, StopRun):
                outcomes = [error] * len(group)
            else:
                # One page must not take the others with it.
                for write in group:
                    self._store_alone(write)
                return
        for write, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Checkpoint):
                write.done.set_result(outcome)
            else:
                self._broken[write.partition_key] = outcome
                write.done.set_exception(outcome)

    def _store_alone(self, write: Write) -> None:
        known = self._standing[write.partition_key]
        try:
            found = newest_checkpoints(self._lake, [write.partition_key]).get(write.partition_key, known)
            if found.version > known.version:
                # The COMMIT did succeed and only its answer was lost; stored twice it would count twice.
                self._broken[write.partition_key] = LeaseLost(known.grant_id)
        except Exception as error:
            self._broken[write.partition_key] = error
        self._store([write])

    def _commit(self, group: Sequence[Write]) -> list[Checkpoint | BaseException]:
        standing: dict[str, Checkpoint] = {}
        with self._lake.transaction() as transaction:
            fences = self._fences(group)
            outcomes = [self._refusal(write, fences) for write in group]
            accepted = [write for write, refusal in zip(group, outcomes, strict=True) if refusal is None]
            self._beside.look(transaction)
            stores: dict[Stream, Store] = {}
            for write in accepted:
                stream = self._streams[write.partition_key]
                stores.setdefault(stream, stream.store(transaction))
            new: dict[int, int] = {}
            for stream, store in stores.items():
                new |= self._store_records(
                    store, [write for write in accepted if self._streams[write.partition_key] is stream]
                )
            # What could not be read on a pass is not missed by it.
            dead = [
                dead_letter_row(letter, write.at, self._grant(write), write.partition_key)
                for write in accepted
                for letter in write.dead
            ]
            transaction.append("dead_letters", arrow_table("dead_letters", dead))
            for position, write in enumerate(group):
                if outcomes[position] is not None:
                    continue
                key = write.partition_key
                checkpoint = standing.get(key, self._standing[key])
                checkpoint = _advanced(checkpoint, write, new[id(write)], fences[self._lease(write)])
                if write.ends_pass:
                    stores[self._streams[key]].end_pass(checkpoint)
                standing[key] = outcomes[position] = checkpoint
            for store in stores.values():
                store.flush()
                transaction.append("fetches", fetch_rows(store.fetches))
            transaction.append("checkpoints", checkpoint_rows(standing.values()))
        self._standing.update(standing)
        return [outcome for outcome in outcomes if outcome is not None]

    def _fences(self, group: Sequence[Write]) -> dict[str, int]:
        """Return the fencing number of each lease that is held; under the write lock none changes hands."""
        fences = {}
        for lease in {self._lease(write) for write in group}:
            with suppress(LeaseLost):
                fences[lease] = self._leases.check(lease)
        return fences

    def _refusal(self, write: Write, fences: Mapping[str, int]) -> Checkpoint | BaseException | None:
        if write.partition_key in self._broken:
            return self._broken[write.partition_key]
        return None if self._lease(write) in fences else LeaseLost(self._grant(write))

    def _lease(self, write: Write) -> str:
        return self._streams[write.partition_key].lease(self._grant(write))

    def _store_records(self, store: Store, writes: Sequence[Write]) -> dict[int, int]:
        """Store the records of writes and return how many each brought that the lake did not hold."""
        counts: dict[int, int] = {}
        merged: dict[str, list[Observation]] = {}
        doubtful: dict[int, set[Key]] = {}
        for write in writes:
            grant_id = self._grant(write)
            overtaken = [each for each in write.fresh if (grant_id, each.id) in self._beside]
            fresh = write.fresh if not overtaken else [each for each in write.fresh if each not in overtaken]
            counts[id(write)] = store.add(grant_id, fresh)
            again = [*write.repeats, *overtaken]
            merged.setdefault(grant_id, []).extend(again)
            doubtful[id(write)] = {store.key(grant_id, each) for each in again}
        new = set(store.merge(merged))
        for number, keys in doubtful.items():
            counts[number] += len(keys & new)
            # The next page may show it too, and it is new only once.
            new -= keys
        return counts


def _advanced(checkpoint: Checkpoint, write: Write, new: int, fence: int) -> Checkpoint:
    growth = {**write.growth, "messages": new, "dead_letters": len(write.dead), "version": 1}
    grown = {name: getattr(checkpoint, name) + by for name, by in growth.items()}
    return replace(checkpoint, **{**grown, **write.changes}, fence=fence, updated_at=int(time.time()))
