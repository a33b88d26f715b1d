"""One grant's attachments: asked for one by one, stored, and what became of each written down."""

import hashlib
import logging
import mimetypes
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mail_pipeline.errors import MailPipelineError, SkipMailbox, traced
from mail_pipeline.lake.attachment_tables import FAILED, GONE, SKIPPED, STORED
from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.nylas import (
    GrantClient,
    MalformedPage,
    NotFound,
    ProviderUnavailable,
    TooLarge,
    Unsupported,
)
from mail_pipeline.sync.attachment_rows import Outcome, Recorder, Wanted
from mail_pipeline.sync.records import read_messages

_log = logging.getLogger(__name__)

_CACHED_SECONDS = 80 * 86_400
"""Nylas answers from its own cache for 90 days of IMAP mail (reference: nylas-api 3.6); short of its edge."""
_SILENT_IN_A_ROW = 3
"""One attachment that the provider does not bring is passed over; so many mean that it brings nothing now."""
_RECORDED_AT_ONCE = 1_000
_TRIES = 3
_LARGER_STEP = "Allow more: `mail-pipeline attachments fetch --max-size` with a larger size."
_GONE_STEP = "Nothing to do; `--retry-gone` asks once more."


class Budget:
    """The bytes that one call may fetch, shared by all grants. Thread-safe."""

    def __init__(self, total: int | None) -> None:
        """Take how many bytes; None for any number."""
        self._left = total
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take so many bytes, or tell that there are not so many left."""
        with self._lock:
            if self._left is None:
                return True
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Return what was taken and not used; negative where more was used than taken."""
        with self._lock:
            if self._left is not None:
                self._left += size


@dataclass(slots=True)
class Tally:
    """How far a grant's attachments are; grows while they are fetched."""

    wanted: int = 0
    told_bytes: int = 0
    """What the provider says of the size of all that are wanted."""
    states: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    """Fetched and stored now."""
    left_out: int = 0
    """Not asked for, since `total_size` was reached."""

    @property
    def done(self) -> int:
        """Return how many have their outcome."""
        return sum(self.states.values())


class _Message:
    """A message's attachments by their ids as far as they are known: of the lake, then of the provider."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = wanted
        self._read: Sequence[Mapping[str, Any]] | None = None

    def id_of(self, wanted: Wanted) -> str | None:
        if self._read is None:
            return wanted.id
        return match(wanted, self._read)

    def learn(self, attachments: Sequence[Mapping[str, Any]]) -> None:
        self._read = attachments


def match(wanted: Wanted, attachments: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id that an attachment has in its message as just read; None where it is not there.

    Of those with its name it is the one with its size, at its place or alone in that; else the one at its
    place; else the only one.
    """
    named = [
        (place, each)
        for place, each in enumerate(attachments)
        if (each["filename"] or None) == (wanted.filename or None)
    ]
    alike = [(place, each) for place, each in named if each["size"] == wanted.size]
    for choice in (_at(alike, wanted.position), alike, _at(named, wanted.position), named):
        if len(choice) == 1:
            identity = choice[0][1]["id"]
            return identity if isinstance(identity, str) else None
    return None


def _at(
    placed: Sequence[tuple[int, Mapping[str, Any]]], position: int
) -> Sequence[tuple[int, Mapping[str, Any]]]:
    return [(place, each) for place, each in placed if place == position]


def media_type(wanted: Wanted) -> str:
    """Return an attachment's media type in lower case, without parameters; by its name where it has none."""
    given = (wanted.content_type or "").partition(";")[0].strip().lower()
    return given or mimetypes.guess_type(wanted.filename or "")[0] or "application/octet-stream"


class GrantFetch:
    """The attachments of one grant, fetched by as many threads as its provider takes requests at once."""

    def __init__(
        self,
        grant_id: str,
        *,
        client: GrantClient,
        per_folder: bool,
        recorder: Recorder,
        store: FileStore,
        budget: Budget,
        largest: int,
        grant_exists: Callable[[], object],
        tally: Tally,
    ) -> None:
        """`grant_exists` raises NotFound where the grant itself is gone."""
        self._grant_id = grant_id
        self._client = client
        self._per_folder = per_folder
        self._recorder = recorder
        self._store = store
        self._budget = budget
        self._largest = largest
        self._grant_exists = grant_exists
        self._tally = tally
        self._lock = threading.Lock()
        self._messages: Iterator[_Message] = iter(())
        self._ended: BaseException | None = None
        self._silent_in_a_row = 0
        self._exists = False

    def run(self, wanted: Sequence[Wanted]) -> None:
        """Fetch these, in this order, and write down what became of each.

        Raises what ends the whole grant: it is rejected or gone, throttled, or does not answer; and whatever
        stops the run.
        """
        too_large = [each for each in wanted if (each.size or 0) > self._largest]
        for start in range(0, len(too_large), _RECORDED_AT_ONCE):
            self._record([self._skipped(each) for each in too_large[start : start + _RECORDED_AT_ONCE]])
        rest = (each for each in wanted if (each.size or 0) <= self._largest)
        self._messages = (_Message(list(group)) for _, group in groupby(rest, lambda each: each.message_id))
        threads = self._client.pace.in_flight
        with ThreadPoolExecutor(threads, thread_name_prefix="attachment") as pool:
            for _ in range(threads):
                pool.submit(self._work)
        if self._ended is not None:
            raise self._ended

    def _work(self) -> None:
        while (message := self._next()) is not None:
            try:
                for wanted in message.wanted:
                    if self._ended is None:
                        self._fetch(wanted, message)
            except BaseException as error:
                with self._lock:
                    self._ended = self._ended or error

    def _next(self) -> _Message | None:
        with self._lock:
            return None if self._ended is not None else next(self._messages, None)

    def _fetch(self, wanted: Wanted, message: _Message) -> None:
        told = wanted.size or 0
        if not self._budget.take(told):
            with self._lock:
                self._tally.left_out += 1
            return
        used = 0
        try:
            for _ in range(_TRIES):
                outcome = self._outcome(wanted, message)
                used += outcome.size or 0
                # Else the file was removed since, by somebody who knew of nobody that needs it.
                if self._record([outcome]):
                    return
            error = MailPipelineError("Its file was stored, and was not there a moment later")
            self._record([self._failed(wanted, error)])
        finally:
            self._budget.give_back(told - used)

    def _record(self, outcomes: Sequence[Outcome]) -> bool:
        if outcomes and not self._recorder.record(self._grant_id, outcomes):
            return False
        with self._lock:
            for each in outcomes:
                self._tally.states[each.state] = self._tally.states.get(each.state, 0) + 1
                self._tally.bytes += each.size or 0
        return True

    def _outcome(self, wanted: Wanted, message: _Message) -> Outcome:
        try:
            outcome = self._asked(wanted, message)
        except TooLarge:
            outcome = self._skipped(wanted)
        except (Unsupported, MalformedPage) as error:
            outcome = self._failed(wanted, error)
        except ProviderUnavailable as error:
            with self._lock:
                self._silent_in_a_row += 1
                if self._silent_in_a_row >= _SILENT_IN_A_ROW:
                    raise
            return self._failed(wanted, error)
        except (MailPipelineError, OSError):
            raise
        except Exception as error:
            _log.error("An attachment of grant %s stopped by an unexpected %s", self._grant_id, traced(error))
            step = "The log has its traceback; please report it. The next fetch tries it again."
            outcome = self._failed(
                wanted, SkipMailbox(f"An unexpected {type(error).__name__} stopped it", next_step=step)
            )
        with self._lock:
            self._silent_in_a_row = 0
        return outcome

    def _asked(self, wanted: Wanted, message: _Message) -> Outcome:
        identity = message.id_of(wanted)
        if identity and (outcome := self._downloaded(wanted, identity)):
            return outcome
        # Ids may change from fetch to fetch; those of its other attachments are then known as well.
        reason = "Neither it nor its message is found at the provider"
        if self._read_again(wanted, message):
            reason = "Its message does not have it any more"
            identity = message.id_of(wanted)
            if identity and (outcome := self._downloaded(wanted, identity)):
                return outcome
        self._confirm_grant()
        return self._ended_as(wanted, GONE, reason, _GONE_STEP)

    def _downloaded(self, wanted: Wanted, identity: str) -> Outcome | None:
        """Fetch and store it under this id; None where the provider does not find it so."""
        for query_imap in self._doors(wanted):
            with self._store.spool() as file:
                try:
                    got = self._client.download(
                        identity,
                        wanted.message_id,
                        file,
                        most=self._largest,
                        query_imap=query_imap,
                        size=wanted.size,
                        media_type=media_type(wanted),
                    )
                except NotFound:
                    continue
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                self._store.put(file, sha256, got.size)
            return Outcome(wanted, STORED, self._largest, sha256, got.size)
        return None

    def _read_again(self, wanted: Wanted, message: _Message) -> bool:
        """Read the message for the ids its attachments have now; tell whether it is there."""
        for query_imap in self._doors(wanted):
            for folder_id in dict.fromkeys([wanted.folder_id, None]) if query_imap else [None]:
                try:
                    page = self._client.message(wanted.message_id, folder_id=folder_id, query_imap=query_imap)
                except NotFound:
                    continue
                found, dead = read_messages(page.records, at=page.observed_at)
                if not found:
                    raise MalformedPage(f"Its message cannot be read: {dead[0].reason}")
                attachments = found[0].fields.get("attachments")
                if attachments is None:
                    # Absent is not empty.
                    raise MalformedPage("Its message came without its attachments")
                message.learn(attachments)
                return True
        return False

    def _doors(self, wanted: Wanted) -> Sequence[bool]:
        """Return with which `query_imap` to ask, in order."""
        if not self._per_folder:
            return (False,)
        cached = wanted.date is not None and wanted.date > time.time() - _CACHED_SECONDS
        return (False, True) if cached else (True,)

    def _confirm_grant(self) -> None:
        """Make sure, once, that it is not the grant that is gone: all its attachments would seem to be."""
        if not self._exists:
            self._grant_exists()
            self._exists = True

    def _skipped(self, wanted: Wanted) -> Outcome:
        reason = f"It has more than the {self._largest:,} bytes allowed"
        return self._ended_as(wanted, SKIPPED, reason, _LARGER_STEP)

    def _failed(self, wanted: Wanted, error: MailPipelineError) -> Outcome:
        return self._ended_as(wanted, FAILED, error.message, error.next_step)

    def _ended_as(self, wanted: Wanted, state: str, reason: str, next_step: str) -> Outcome:
        return Outcome(wanted, state, self._largest, reason=reason, next_step=next_step)
