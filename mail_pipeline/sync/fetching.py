"""Asking the API for what notifications and sweeps left open, at the pace of each grant."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from mail_pipeline.errors import MailPipelineError, StopRun
from mail_pipeline.lake import queries
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import (
    Cancelled,
    GrantClient,
    MalformedPage,
    NotAllowed,
    NotFound,
    NylasClient,
    Page,
    ProviderUnavailable,
    Unsupported,
)
from mail_pipeline.settings import Settings
from mail_pipeline.subset import read_subsets
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline.sync.beside import store_beside
from mail_pipeline.sync.client import open_client
from mail_pipeline.sync.dead_letters import dead_letter_row
from mail_pipeline.sync.fetches import (
    FOLDERS,
    GRANTS,
    MISSING,
    Fetch,
    fetch_rows,
    waiting_fetches,
)
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import DeadLetter, read_messages
from mail_pipeline.sync.refusals import REFUSED_IN_A_ROW
from mail_pipeline.sync.scopes import Scope, Scopes, departures
from mail_pipeline.sync.streams import BY_KIND, EVENTS
from mail_pipeline.sync.streams.mail import find_message

_log = logging.getLogger(__name__)

_MARGIN = 0.1
"""Seconds. An answer's age is told a little too early, and it must not fall back into the second before."""
_PER_ROUND = 50
"""Messages of one grant asked for before notifications get another turn."""
_PATIENCE = 30.0
_TRIES = 3
"""Of one request whose answer has to be newer than it is."""
_Object = tuple[str | None, ...]
"""What is asked for at once."""


@dataclass(slots=True)
class _Answers:
    """What one grant's requests brought."""

    asked_at: float
    answered: list[Fetch] = field(default_factory=list)
    observations: dict[str, list[Observation]] = field(default_factory=dict)
    """By what the object is called."""
    left: dict[str, int] = field(default_factory=dict)
    """Messages that are there and not wanted, with the time."""
    dead: list[DeadLetter] = field(default_factory=list)
    stop: StopRun | None = None


def fetch_waiting(settings: Settings, lake: Lake, client: NylasClient | None = None) -> tuple[int, int]:
    """Ask for all that waits and can be reached; return how many requests were answered and are left."""
    fetched = 0
    with Fetcher(settings, lake, client) as fetcher:
        while True:
            done, waiting = fetcher.work()
            fetched += done
            if not done:
                return fetched, waiting


class Fetcher:
    """Works the queue `fetches`; use it in a `with`. Nothing is sent before something waits."""

    def __init__(self, settings: Settings, lake: Lake, client: NylasClient | None = None) -> None:
        """Take the settings and the lake that has the queue; without a client one is opened when needed."""
        self._settings = settings
        self._lake = lake
        self._own = ExitStack()
        self._client = client
        self._out_of_reach: set[str | None] = set()
        self._put_off: set[_Object] = set()
        self._queue: dict[_Object, list[Fetch]] = {}

    def __enter__(self) -> "Fetcher":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections of a client of its own."""
        self._own.close()

    def work(self) -> tuple[int, int]:
        """Ask for some of what waits; return how many requests were answered and how many are left.

        A grant that is out of reach, or an object that its grant refuses, is not tried again by this object.
        Raises StopRun for a wrong key.
        """
        self._queue = _by_object(waiting_fetches(self._lake))
        waiting = list(map(_strictest, self._queue.values()))
        if not waiting or not self._settings.api_key:
            return 0, len(waiting)
        done = self._accounts([each for each in waiting if each.object in (GRANTS, FOLDERS)])
        done += self._objects([each for each in waiting if each.object not in (GRANTS, FOLDERS)])
        return done, len(waiting) - done

    def _accounts(self, waiting: Sequence[Fetch]) -> int:
        """Bring grants and folders up to date where that is asked for: from the API's own lists."""
        grants = self._in_reach(waiting, GRANTS)
        done = self._refresh(self._list_grants, grants) if grants else 0
        # That may have told that one is gone, or is connected again.
        folders, dropped = self._of_valid_grants(self._in_reach(waiting, FOLDERS), self._grants())
        return done + dropped + (self._refresh(self._list_folders, folders) if folders else 0)

    def _in_reach(self, waiting: Sequence[Fetch], of: str) -> list[Fetch]:
        return [each for each in waiting if each.object == of and each.grant_id not in self._out_of_reach]

    def _list_grants(self, asked: Sequence[Fetch]) -> Sequence[Fetch]:
        refresh_grants(self._settings, client=self._open())
        return asked

    def _list_folders(self, asked: Sequence[Fetch]) -> Sequence[Fetch]:
        only = {each.grant_id for each in asked if each.grant_id is not None}
        report = refresh_folders(self._settings, only=only, client=self._open())
        self._out_of_reach.update(report.failed)
        return [each for each in asked if each.grant_id in report.listed]

    def _refresh(self, refresh: Callable[[Sequence[Fetch]], Sequence[Fetch]], asked: Sequence[Fetch]) -> int:
        """Run a refresh that returns which of these requests it answered; return how many they are."""
        asked_at = time.time()
        try:
            answered = refresh(asked)
        except (StopRun, Cancelled):
            raise
        except MailPipelineError as error:
            _log.warning("Grants and folders could not be listed: %s", error.message)
            self._out_of_reach.update(each.grant_id for each in asked)
            return 0
        with self._lake.transaction() as transaction:
            self._forget(transaction, answered, asked_at)
        return len(answered)

    def _forget(self, transaction: Transaction, answered: Iterable[Fetch], asked_at: float) -> None:
        """Take requests, and all others of their objects that were read with them, out of the queue."""
        read = [one for each in answered for one in self._queue[_object(each)]]
        transaction.change("fetches", queries.FORGET_FETCHES, fetched=fetch_rows(read, asked_at))

    def _of_valid_grants(
        self, waiting: Sequence[Fetch], grants: Mapping[str, dict[str, Any]]
    ) -> tuple[list[Fetch], int]:
        """Return the requests that can be asked now, and how many were dropped: their grants are gone.

        One of a grant to be connected again is asked then.
        """
        there = {grant_id for grant_id, row in grants.items() if not row["gone"]}
        pointless = [each for each in waiting if each.grant_id not in there]
        if pointless:
            with self._lake.transaction() as transaction:
                self._forget(transaction, pointless, time.time())
        valid = {grant_id for grant_id in there - self._out_of_reach if grants[grant_id]["status"] == "valid"}
        return [each for each in waiting if each.grant_id in valid], len(pointless)

    def _grants(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self._lake.table(queries.KNOWN_GRANTS).to_pylist()}

    def _objects(self, waiting: Sequence[Fetch]) -> int:
        grants = self._grants()
        asked, dropped = self._of_valid_grants(waiting, grants)
        by_grant: dict[str, list[Fetch]] = {}
        for each in asked:
            if each.grant_id is not None and _object(each) not in self._put_off:
                by_grant.setdefault(each.grant_id, []).append(each)
        if not by_grant:
            return dropped
        client = self._open()
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="fetch") as pool:
            answers = pool.map(
                lambda item: (item[0], self._ask(client, grants[item[0]], item[1])), by_grant.items()
            )
            try:
                return dropped + sum(self._store(grants[grant_id], found) for grant_id, found in answers)
            except BaseException:
                # Else an interrupt would wait for every grant's requests.
                client.cancel()
                raise

    def _open(self) -> NylasClient:
        if self._client is None:
            # Whoever waits here keeps the mail of all others from being applied; the queue loses nothing.
            patience = min(self._settings.patience, _PATIENCE)
            self._client = self._own.enter_context(open_client(replace(self._settings, patience=patience)))
        return self._client

    def _ask(self, client: NylasClient, known: dict[str, Any], waiting: Sequence[Fetch]) -> _Answers:
        grant_id = known["id"]
        answers = _Answers(time.time())
        refused = 0
        try:
            with client.grant(grant_id, known["provider"]) as grant:
                for each in waiting[:_PER_ROUND]:
                    try:
                        for left in reversed(range(_TRIES)):
                            client.wait_until(each.not_before + _MARGIN)
                            if self._ask_one(grant, each, answers, imap=known["per_folder"], last=not left):
                                break
                        refused = 0
                    except (NotAllowed, ProviderUnavailable) as error:
                        # It may be the one object: those behind it must not wait for it.
                        self._put_off.add(_object(each))
                        refused += 1
                        if refused == REFUSED_IN_A_ROW:
                            raise
                        _log.warning("A %s of grant %s is put off: %s", each.object, grant_id, error.message)
        except StopRun as error:
            answers.stop = error
        except MailPipelineError as error:
            _log.warning("What is open of grant %s could not be asked for: %s", grant_id, error.message)
            self._out_of_reach.add(grant_id)
        return answers

    def _ask_one(
        self, grant: GrantClient, fetch: Fetch, answers: _Answers, *, imap: bool, last: bool
    ) -> bool:
        """Ask once; return False for an answer that may be too old, unless it is the last try."""
        found: list[Observation] = []
        try:
            for page, read in self._pages(grant, fetch, imap=imap):
                if page.observed_at < fetch.not_before and not last:
                    # A client that had not heard the provider's time could not wait for it.
                    return False
                observations, dead = read
                found += observations
                answers.dead += dead
                answers.left |= dict.fromkeys(page.left_out, page.observed_at)
        except NotFound:
            if fetch.reason == MISSING:
                # The second sign, after the sweep that did not see it: IMAP answers 404 for less.
                within = fetch.folder_id or "" if fetch.object == EVENTS.kind else ""
                found.append(Observation(fetch.object_id or "", fetch.not_before, gone=True, within=within))
        except (Unsupported, MalformedPage) as error:
            answers.dead.append(DeadLetter(fetch.object, fetch.object_id, f"fetch: {error.message}", "{}"))
        answers.observations.setdefault(fetch.object, []).extend(found)
        answers.answered.append(fetch)
        return True

    def _pages(
        self, grant: GrantClient, fetch: Fetch, *, imap: bool
    ) -> Iterator[tuple[Page, tuple[list[Observation], list[DeadLetter]]]]:
        """Yield the page of an object, read; an event without a calendar is looked for in each of them."""
        identity = fetch.object_id or ""
        stream = BY_KIND.get(fetch.object)
        if stream is None:
            page, folder = find_message(grant, identity, fetch.folder_id, imap=imap)
            # Asked for in one folder, it is told with the folders the server knows there, not with all.
            yield page, read_messages(page.records, at=page.observed_at, folder=folder)
        elif stream is not EVENTS or fetch.folder_id is not None:
            page = stream.one(grant, identity, fetch.folder_id)
            yield page, stream.read_records(page, fetch.folder_id or "")
        else:
            for calendar in self._lake.column(queries.GRANT_CALENDAR_IDS, [fetch.grant_id]):
                with suppress(NotFound, NotAllowed, Unsupported):
                    page = stream.one(grant, identity, calendar)
                    yield page, stream.read_records(page, calendar)

    def _store(self, known: dict[str, Any], answers: _Answers) -> int:
        """Store what was answered, and return how much that is; nothing of a grant forgotten since."""
        stored = 0
        if answers.answered:
            scope = self._scope(known) if answers.left else None
            with self._lake.transaction() as transaction:
                if transaction.rows(queries.IS_GRANT, [known["id"]]) == [(True,)]:
                    self._store_answers(transaction, known["id"], answers, scope)
                    stored = len(answers.answered)
        if answers.stop is not None:
            raise answers.stop
        return stored

    def _store_answers(
        self, transaction: Transaction, grant_id: str, answers: _Answers, scope: Scope | None
    ) -> None:
        if scope is not None:
            gone = departures(transaction, scope, answers.left)
            answers.observations.setdefault("message", []).extend(gone)
        self._forget(transaction, answers.answered, answers.asked_at)
        for kind, observations in answers.observations.items():
            store_beside(transaction, kind, {grant_id: observations}, answers.asked_at)
        dead = [dead_letter_row(each, answers.asked_at, grant_id) for each in answers.dead]
        transaction.append("dead_letters", arrow_table("dead_letters", dead))

    def _scope(self, known: dict[str, Any]) -> Scope:
        return Scopes(self._lake, read_subsets(self._settings)).of(known["id"], known["provider"])


def _object(fetch: Fetch) -> _Object:
    # A message is asked for once, whatever the folder; an event of each calendar by itself.
    calendar = fetch.folder_id if fetch.object == EVENTS.kind else None
    return fetch.object, fetch.grant_id, fetch.object_id, calendar


def _by_object(fetches: Iterable[Fetch]) -> dict[_Object, list[Fetch]]:
    found: dict[_Object, list[Fetch]] = {}
    for each in fetches:
        found.setdefault(_object(each), []).append(each)
    return found


def _strictest(fetches: Sequence[Fetch]) -> Fetch:
    """Return one request for all of an object: the one that may conclude most, not before any of them may."""
    chosen = max(fetches, key=lambda each: (each.reason == MISSING, each.not_before))
    return replace(chosen, not_before=max(each.not_before for each in fetches))
