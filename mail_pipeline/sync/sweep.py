"""A sweep: what a mailbox holds by the provider's own list, set against what the lake holds.

Nothing is concluded before the list has come to its end, so an interrupted sweep changes nothing. Where a
folder is refused, nothing is concluded of what may be in it, and the others are compared all the same. No
message is taken for gone because a list did not show it: it is asked for by itself, and only "not found" on
top of that counts. A list may skip what moves while it is read, and IMAP answers 404 for less.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mail_pipeline.errors import MailPipelineError, SkipMailbox, StopRun
from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.nylas import Cancelled, CursorRejected, GrantClient, MessageQuery, Unsupported
from mail_pipeline.sync.fetches import MESSAGE, MISSING, UNKNOWN, Fetch, fetch_rows
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.position import surely_reached
from mail_pipeline.sync.records import read_messages
from mail_pipeline.sync.refusals import REFUSED_IN_A_ROW, ends_the_grant
from mail_pipeline.sync.scopes import Scope
from mail_pipeline.sync.storing import MessageStore
from mail_pipeline.sync.streams.mail import MAIL

_LIGHT = ("id", "folders", "unread", "starred", "date")
"""What a sweep asks for beside what it wants whole: enough to tell what is new, gone or changed."""
_TOLD = ("unread", "starred", "folders")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one page shows; `whole` with everything in it."""

    at: int
    observations: list[Observation]
    unreadable: int
    whole: bool


@dataclass(slots=True)
class Swept:
    """What the provider listed; times are unix seconds of its clock."""

    grant_id: str
    since: int | None
    began_at: int
    by_folder: bool
    """Every folder there is was listed by itself, to its end, unless it is among the `refusals`."""
    pages: list[pa.Table] = field(default_factory=list)
    """What was seen, page by page, in Arrow: as Python's objects it would take four times the memory."""
    unreadable: int = 0
    """Records without a readable id: each may be any message that seems to be missing."""
    conclusive: bool = True
    """What was not listed tells anything: not so where nothing was asked for."""
    scope: Scope | None = None
    """What of the mailbox is wanted; None: all of it."""
    refusals: dict[str, MailPipelineError] = field(default_factory=dict)
    """Folders that could not be listed to their ends, and why."""

    @classmethod
    def nothing(cls, grant_id: str, at: int) -> "Swept":
        """Return the sweep of a grant of which no mail is wanted: it concludes nothing."""
        return cls(grant_id, None, at, by_folder=False, conclusive=False)

    def take(self, shown: _Shown, folder_id: str | None) -> None:
        """Take in a page of the list of a folder, or of the one without a folder."""
        self.unreadable += shown.unreadable
        self.pages.append(
            _table(
                [(each.id, folder_id, each.at, *map(each.fields.get, _TOLD)) for each in shown.observations]
            )
        )

    @property
    def seen(self) -> pa.Table:
        """Return each sighting: id, the folder listed, when, unread, starred, and all folders where told."""
        return pa.concat_tables([_table([]), *self.pages])

    @property
    def bound(self) -> int | None:
        """Return the oldest date that the list shows, by what was asked for and by what is wanted."""
        wanted = self.scope.subset.since if self.scope is not None else None
        return max((each for each in (self.since, wanted) if each is not None), default=None)

    @property
    def refusal(self) -> SkipMailbox | None:
        """Return what keeps it from being whole."""
        if not self.refusals:
            return None
        first = next(iter(self.refusals.values()))
        return SkipMailbox(
            f"Folders that could not be listed: {len(self.refusals):,}. {first.message}",
            next_step=first.next_step,
        )

    @property
    def listed(self) -> int:
        """Return how many messages were listed."""
        return int(pc.count_distinct(self.seen["id"]).as_py())


@dataclass(frozen=True, slots=True)
class Differences:
    """In what the lake differs from the list, message by message."""

    unknown: list[tuple[str, str | None, bool]]
    """Listed and not held: the id, the folder to ask for it in, and whether it is held as deleted."""
    changed: list[tuple[str, int, Any, Any, Any]]
    """Listed with other flags or folders: what the list says of them, as in `Swept.seen`."""
    entered: list[tuple[str, str, int]]
    """Seen in a folder that the lake does not have them in, and when."""
    left: list[tuple[str, str]]
    """Not seen in a folder that the lake has them in."""
    missing: list[tuple[str, str | None]]
    """Held and not listed, and the folder to ask for them in."""


@dataclass(frozen=True, slots=True)
class Findings:
    """In what the lake differed from the list."""

    listed: int
    unknown: int
    changed: int
    missing: int


def sweep(
    grant: GrantClient,
    grant_id: str,
    folder_ids: Sequence[str],
    *,
    since: int | None,
    whole_since: int | None,
    scope: Scope | None = None,
) -> tuple[Swept, list[Observation]]:
    """List a grant's mail back to `since` (unix seconds; None: to the first message).

    Mail dated from `whole_since` on is listed with everything in it and comes back as observations, older
    mail by id, flags and folders. `folder_ids` are the folders to list one by one, where old mail is only
    reached that way; what is refused of them is in `Swept.refusals`. `scope` says what the list does not show
    since it is not wanted. Raises what the API raises of the grant.
    """
    whole: list[Observation] = []
    swept: Swept | None = None
    in_a_row: list[MailPipelineError] = []
    for folder_id in (None, *folder_ids):
        if swept is not None and folder_id is not None and len(in_a_row) == REFUSED_IN_A_ROW:
            swept.refusals[folder_id] = in_a_row[-1]
            continue
        try:
            for shown in _shown(grant, folder_id, since, whole_since):
                if swept is None:
                    swept = Swept(grant_id, since, shown.at, bool(folder_ids), scope=scope)
                swept.take(shown, folder_id)
                if shown.whole:
                    whole += shown.observations
            in_a_row.clear()
        except (StopRun, Cancelled):
            raise
        except MailPipelineError as error:
            if swept is None or folder_id is None or ends_the_grant(error):
                raise
            swept.refusals[folder_id] = error
            in_a_row.append(error)
    assert swept is not None  # A list has one page at least.
    return swept, whole


def compare(transaction: Transaction, swept: Swept, *, settled: bool = False) -> Differences:
    """Set what was listed against what the lake holds; nothing is written.

    With `settled` only by what the lake knew before the sweep began: what was observed since may have
    changed since.
    """
    table = swept.seen
    asked = {"grant": swept.grant_id, "since": swept.bound, "began": swept.began_at}
    seen = {"grant": swept.grant_id, "before": swept.began_at if settled else None}
    sure = swept.conclusive and not swept.unreadable
    missing = transaction.given(queries.SWEPT_MISSING, asked, swept=table) if sure else []
    left = transaction.given(queries.SWEPT_LEFT, asked, swept=table) if sure and swept.by_folder else []
    if (scope := swept.scope) is not None:
        # What is not wanted and stored all the same was not listed, and says nothing by that.
        missing = [row for row in missing if scope.holds(row[2], row[3])]
        left = [row for row in left if scope.wants_folder(row[1])]
    refused = swept.refusals.keys()
    left = [row for row in left if row[1] not in refused]
    missing = [row for row in missing if refused.isdisjoint(row[2] or ())]
    return Differences(
        unknown=transaction.given(queries.SWEPT_UNKNOWN, {"grant": swept.grant_id}, swept=table),
        changed=transaction.given(queries.SWEPT_CHANGED, seen, swept=table),
        entered=transaction.given(queries.SWEPT_ENTERED, seen, swept=table),
        left=left,
        missing=[(identity, folder) for identity, folder, *_ in missing],
    )


def store_sweep(transaction: Transaction, swept: Swept, whole: Sequence[Observation]) -> Findings:
    """Merge what differs, and put what has to be asked for into `fetches`."""
    found = compare(transaction, swept)
    listed_whole = {each.id for each in whole}
    observations = [
        *whole,
        *(_sighting(*row) for row in found.changed if row[0] not in listed_whole),
        *(Observation(identity, at, folder=folder) for identity, folder, at in found.entered),
    ]
    store = MessageStore(transaction)
    store.merge({swept.grant_id: observations})
    store.flush()
    seen = MessageStore(transaction)
    for folder_id, identities in _by_folder(found.left).items():
        seen.take_from_folder(
            folder_id, swept.began_at, [(swept.grant_id, identity) for identity in identities]
        )
        seen.flush()
    fetches = [
        *(
            Fetch(MESSAGE, swept.grant_id, identity, UNKNOWN, folder)
            for identity, folder, _ in found.unknown
            if identity not in listed_whole
        ),
        *(
            Fetch(MESSAGE, swept.grant_id, identity, MISSING, folder, swept.began_at)
            for identity, folder in found.missing
        ),
        *store.fetches,
    ]
    transaction.append("fetches", fetch_rows(fetches))
    changed = {row[0] for row in found.changed} | {row[0] for row in found.entered}
    return Findings(swept.listed, len(found.unknown), len(changed), len(found.missing))


def _shown(
    grant: GrantClient, folder_id: str | None, since: int | None, whole_since: int | None
) -> Iterator[_Shown]:
    """Yield what each page of a list shows."""
    # The API does not say whether its bounds are among what it lists: two lists overlap by two seconds.
    parts: list[tuple[int | None, int | None, tuple[str, ...]]] = [(since, None, _LIGHT)]
    if whole_since is not None:
        parts = [(whole_since, None, ())]
        if since is None or since < whole_since:
            parts.append((since, whole_since + 1, _LIGHT))
    for after, before, select in parts:
        query = MessageQuery(
            folder_id=folder_id,
            query_imap=folder_id is not None,
            received_after=None if after is None else after - 1,
            received_before=before,
            select=select,
        )
        yield from _pages(grant, query)


def _pages(grant: GrantClient, query: MessageQuery) -> Iterator[_Shown]:
    """Yield what each page shows; where a cursor is not accepted any more, go on by time."""
    cursor: str | None = None
    reached: int | None = None
    seen: set[str] = set()
    while True:
        try:
            page = grant.messages(query, cursor=cursor)
        except (CursorRejected, Unsupported):
            # Nobody says how each provider refuses a cursor; without one the answer means what it says.
            if cursor is None or reached is None or reached + 1 == query.received_before:
                raise
            query, cursor = replace(query, received_before=reached + 1), None
            seen.clear()
            continue
        observations, dead = read_messages(page.records, at=page.observed_at, folder=query.folder_id)
        unreadable = sum(not letter.stored for letter in dead)
        yield _Shown(page.observed_at, observations, unreadable, whole=not query.select)
        if page.next_cursor is None:
            return
        if page.next_cursor in seen:
            raise SkipMailbox(
                "The API gave the same cursor twice, so its list would never end",
                next_step="Run reconcile again later.",
            )
        cursor = page.next_cursor
        seen.add(cursor)
        if dates := MAIL.dates(observations):
            reached = surely_reached(dates)


def _table(sightings: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns: Sequence[Sequence[Any]] = list(zip(*sightings, strict=True)) or [[]] * 6
    names: dict[str, pa.DataType] = {
        "id": pa.string(),
        "folder_id": pa.string(),
        "at": pa.int64(),
        "unread": pa.bool_(),
        "starred": pa.bool_(),
        "folders": pa.list_(pa.string()),
    }
    return pa.table(
        {name: array(column, kind) for (name, kind), column in zip(names.items(), columns, strict=True)}
    )


def _sighting(
    identity: str, at: int, unread: bool | None, starred: bool | None, folders: list[str] | None
) -> Observation:
    told: Mapping[str, Any] = {"unread": unread, "starred": starred, "folders": folders}
    return Observation(identity, at, {name: value for name, value in told.items() if value is not None})


def _by_folder(left: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for identity, folder_id in left:
        found.setdefault(folder_id, []).append(identity)
    return found
