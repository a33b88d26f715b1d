"""What is wanted of each grant, with what the lake knows of its folders: which are in, and what has left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mail_pipeline.inbox.landing import Landed
from mail_pipeline.inbox.narrowing import narrowed
from mail_pipeline.lake import queries, subset_queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas.pacing import IMAP_FAMILY
from mail_pipeline.subset import Subset, Subsets
from mail_pipeline.subset.fields import STREAM_OF
from mail_pipeline.subset.folders import Standing
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.notifications import Notification
from mail_pipeline.sync.rows import keys
from mail_pipeline.sync.seen import SeenIds
from mail_pipeline.sync.widening import Goal


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a notification: it is taken as `notification`, or ignored for `reason`."""

    notification: Notification
    reason: str | None = None
    unsure: bool = False
    """Only the whole message tells whether it is wanted."""
    left: bool = False
    """Its message is not, or no longer, among what is wanted; the lake may hold it."""


@dataclass(frozen=True)
class Scope:
    """What is wanted of one grant."""

    grant_id: str
    subset: Subset
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """Where each folder that the lake knows stands."""

    def wants_folder(self, folder_id: str) -> bool:
        """Tell whether a folder that the lake knows is wanted."""
        return self.standings.get(folder_id, Standing.WANTED) is Standing.WANTED

    def wants_mailbox(self, folder_id: str | None) -> bool:
        """Tell whether a mailbox is wanted: one folder's, or the grant's where that is None."""
        return self.subset.wants("messages") and (folder_id is None or self.wants_folder(folder_id))

    def holds(self, folders: Iterable[str], date: datetime | None) -> bool:
        """Tell whether a message that the lake has in these folders, of this date, is wanted."""
        since = self.subset.since
        if since is not None and date is not None and date.timestamp() < since:
            return False
        return not self.subset.folders or self.subset.keeps_in(list(folders), self._standing)

    def judge(self, notification: Notification) -> Judgement:
        """Tell what becomes of a notification on a message: by its date and its folders."""
        subset, record = self.subset, notification.record
        date, folders = record.get("date"), record.get("folders")
        if subset.since is not None:
            if type(date) is not int:
                return Judgement(notification, unsure=True)
            if date < subset.since:
                return Judgement(notification, "It is older than what is wanted", left=True)
        if subset.folders:
            if isinstance(folders, list) and not all(isinstance(each, str) for each in folders):
                # Whoever reads it will name the field.
                return Judgement(notification)
            if not isinstance(folders, list) or any(each not in self.standings for each in folders):
                return Judgement(notification, unsure=True)
            if not subset.keeps_in(folders, self._standing):
                return Judgement(notification, "It is in no folder that is wanted", left=True)
        wanted = subset.only_wanted(record, self._standing)
        return Judgement(replace(notification, record=wanted))

    def _standing(self, folder_id: str) -> Standing:
        return self.standings.get(folder_id) or self.subset.folders.standing((folder_id,), None)


class Scopes:
    """The scopes of grants, each as the lake knew it when it was first asked for."""

    def __init__(self, lake: Lake, subsets: Subsets) -> None:
        """Ask the lake for nothing yet."""
        self._lake = lake
        self._subsets = subsets
        self._known: dict[str, Scope] = {}
        self._stored: dict[str, SeenIds] = {}

    def of(self, grant_id: str, provider: str) -> Scope:
        """Return what is wanted of a grant."""
        if grant_id not in self._known:
            subset = self._subsets.of(grant_id, provider)
            standings: Mapping[str, Standing] = {}
            if subset.folders:
                standings = subset.folders.standings(self._folders(grant_id))
            self._known[grant_id] = Scope(grant_id, subset, standings)
        return self._known[grant_id]

    def goal(self, grant_id: str, provider: str, kind: str = "message") -> Goal:
        """Return what the mailboxes of a grant, or its lists of another kind, are listed for."""
        scope = self.of(grant_id, provider)
        wanted = [each for each, standing in scope.standings.items() if standing is Standing.WANTED]
        listed_alone = len(wanted) == 1 and scope.subset.folders.wanted and provider not in IMAP_FAMILY
        only = wanted[0] if listed_alone and kind == "message" else None
        return Goal(scope.subset, lambda: self._folders(grant_id), only, kind)

    def _folders(self, grant_id: str) -> list[dict[str, Any]]:
        return self._lake.table(subset_queries.FOLDERS_TO_JUDGE, [grant_id]).to_pylist()

    def narrowed(self, landed: Landed, providers: Mapping[str, str]) -> Landed:
        """Return what landed without what is not wanted: it may have landed before the file said so."""
        return narrowed(landed, self._subsets, providers)

    def judge(self, notification: Notification, provider: str) -> Judgement:
        """Tell what becomes of a notification on a message, contact, calendar or event of a known grant."""
        scope = self.of(notification.grant_id, provider)
        stream = STREAM_OF.get(notification.kind)
        if stream is None:
            return Judgement(notification)
        if not scope.subset.wants(stream):
            if stream == "messages" and notification.action == "deleted" and self._is_stored(notification):
                # What is stored stays, and no list of mail would tell later that it is gone.
                return Judgement(notification)
            return Judgement(notification, f"{stream.capitalize()} of this grant are not wanted")
        if stream != "messages" or scope.subset.everything:
            return Judgement(notification)
        if scope.subset.search is not None and not self._is_stored(notification):
            return Judgement(notification, "Only a search tells whether it is wanted; a sweep will find it")
        if notification.action == "deleted":
            return Judgement(notification)
        return scope.judge(notification)

    def _is_stored(self, notification: Notification) -> bool:
        grant_id = notification.grant_id
        if grant_id not in self._stored:
            self._stored[grant_id] = SeenIds()
            self._stored[grant_id].add(
                self._lake.column(queries.MESSAGE_IDS, wanted=text_table("grant_id", [grant_id]))
            )
        return (notification.object_id or "") in self._stored[grant_id]


def departures(transaction: Transaction, scope: Scope, left: Mapping[str, int]) -> list[Observation]:
    """Return that messages are gone which the lake holds among what is wanted, and which have left that.

    `left` gives those that were seen outside, with the time (unix seconds). What the lake holds although the
    file no longer wants it is left alone.
    """
    if not left:
        return []
    found = transaction.matching(
        "all_messages", keys([(scope.grant_id, each) for each in left], id_column="id")
    )
    return [
        Observation(row["id"], left[row["id"]], gone=True)
        for row in found.select(["id", "folders", "date", "deleted_at"]).to_pylist()
        if row["deleted_at"] is None and scope.holds(row["folders"] or (), row["date"])
    ]
