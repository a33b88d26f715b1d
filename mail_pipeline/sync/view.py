"""What the API client may ask for and let out under a subset: the one place that all mail comes through."""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mail_pipeline.nylas import GrantClient, MessageQuery, Page
from mail_pipeline.nylas.native_search import refused_beside_search
from mail_pipeline.nylas.view import View, Views
from mail_pipeline.subset import Subset, Subsets
from mail_pipeline.subset.conflicts import check_grant
from mail_pipeline.subset.folders import Standing
from mail_pipeline.sync.account_records import read_folder
from mail_pipeline.sync.records import Unreadable, identity_of
from mail_pipeline.sync.roles import folder_role

_FRESH_SECONDS = 600.0
"""How long a list of folders is believed; one that is not in it has it listed anew at once."""
_NOT_SENT: dict[str, Any] = {"received_after": None, "received_before": None, "select": ()}


def views(subsets: Subsets) -> Views | None:
    """Return what gives a client its views; None where everything is wanted of every grant.

    It raises StopRun for a grant of which the file asks what its provider cannot do.
    """
    if subsets.everything:
        return None
    known: dict[str, View | None] = {}

    def view(grant_id: str, provider: str) -> View | None:
        if grant_id not in known:
            check_grant(subsets, grant_id, provider)
            subset = subsets.of(grant_id, provider)
            known[grant_id] = None if subset.everything else GrantView(subset)
        return known[grant_id]

    return view


class GrantView:
    """The view on one grant. Thread-safe."""

    def __init__(self, subset: Subset) -> None:
        """Take what is wanted; folders are listed when the first of them matters."""
        self._subset = subset
        self._lock = threading.Lock()
        self._standings: dict[str, Standing] = {}
        self._listed_at: float | None = None

    def query(self, query: MessageQuery) -> MessageQuery:
        """Return a list of messages within the subset.

        Bounds that the provider does not take beside the subset's search are left out: more is listed then.
        """
        subset = self._subset
        select = tuple(name for name in query.select if subset.keeps("message", name))
        after = query.received_after
        if subset.since is not None:
            # The API does not say whether its bound is among what it lists.
            after = max(subset.since - 1, after if after is not None else 0)
        query = replace(
            query,
            search_query_native=subset.search,
            received_after=after,
            select=select or subset.message_select(),
        )
        refused = refused_beside_search(subset.provider, query.parameters()) if subset.search else ()
        return replace(query, **{name: _NOT_SENT[name] for name in refused})

    def select(self, kind: str) -> tuple[str, ...]:
        """Return the fields to ask for of one object."""
        return self._subset.select(kind)

    def page(self, kind: str, page: Page, client: GrantClient, *, listed_in: str | None = None) -> Page:
        """Return an answer without records and fields that are not wanted."""
        subset = self._subset
        records, left_out = page.records, []
        if kind == "message" and (subset.folders or subset.since is not None):
            if subset.folders and listed_in is None:
                self._look_up(records, client)
            records = []
            for record in page.records:
                if subset.keeps_message(record, self._standing, listed_in=listed_in):
                    records.append(subset.only_wanted(record, self._standing))
                elif (identity := identity_of(record)) is not None:
                    left_out.append(identity)
        stripped = [subset.strip(kind, record) for record in records]
        return replace(page, records=stripped, left_out=tuple(left_out))

    def _standing(self, folder_id: str) -> Standing:
        known = self._standings.get(folder_id)
        if known is None:
            # Not in the provider's own list: some folders are hidden from it.
            role = folder_role(self._subset.provider, folder_id, folder_id, ())
            known = self._subset.folders.standing((folder_id,), role)
        return known

    def _look_up(self, records: Iterable[Any], client: GrantClient) -> None:
        """List the folders where the list is old, or lacks one that a record is in."""
        named = {
            folder
            for record in records
            if isinstance(record, dict) and isinstance(record.get("folders"), list)
            for folder in record["folders"]
            if isinstance(folder, str)
        }
        with self._lock:
            old = self._listed_at is None or time.monotonic() - self._listed_at > _FRESH_SECONDS
            if not named or not (old or named - self._standings.keys()):
                return
            folders = [
                folder for page in client.folders() for folder in _readable(page, self._subset.provider)
            ]
            standings = self._subset.folders.standings(folders)
            # What the list lacks is asked about once, not with each page.
            self._standings = {
                **{folder_id: self._standing(folder_id) for folder_id in named - standings.keys()},
                **standings,
            }
            self._listed_at = time.monotonic()


def _readable(page: Page, provider: str) -> Iterable[dict[str, Any]]:
    for record in page.records:
        try:
            row, _ = read_folder(record, provider)
            yield row
        except (Unreadable, RecursionError):
            # `folders` tells of it; its mail is judged by the folder's id.
            continue
