"""Keeping `grants` and `folders` true to the provider: who is connected, and what folders they have."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mail_pipeline.errors import RetryLater, SkipMailbox
from mail_pipeline.lake import account_queries
from mail_pipeline.lake.rows import arrow_table, table_of, unix_seconds
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import CursorRejected, NylasClient, Page
from mail_pipeline.settings import Settings
from mail_pipeline.subset import Subset, Subsets, read_subsets
from mail_pipeline.subset.folders import Standing
from mail_pipeline.sync.account_records import SECRET_FIELDS, read_folder, read_grant
from mail_pipeline.sync.client import client_for
from mail_pipeline.sync.dead_letters import dead_letter_row
from mail_pipeline.sync.partition_keys import partition_key, slug, split
from mail_pipeline.sync.records import TOO_DEEP, DeadLetter, Unreadable, identity_of, raw

_Dead = tuple[str | None, DeadLetter, int]
"""The grant, what could not be read of it, and when that came, in unix seconds."""
_Rows = dict[Any, dict[str, Any]]
"""By grant, None for grants themselves, and id."""


@dataclass(frozen=True, slots=True)
class GrantsReport:
    """What a refresh of the grants found."""

    total: int
    valid: int
    new: int
    vanished: int
    returned: int
    unreadable: int
    by_provider: dict[str, int]


@dataclass(frozen=True, slots=True)
class FoldersReport:
    """What a refresh of the folders found."""

    listed: frozenset[str]
    """The grants whose folders came whole."""
    folders: int
    new: int
    vanished: int
    returned: int
    unreadable: int
    failed: dict[str, str]
    """Why those of a grant did not come, by grant."""

    @property
    def grants(self) -> int:
        """Return of how many grants the folders came whole."""
        return len(self.listed)


@dataclass(slots=True)
class _Comparison:
    """Rows to write after comparing what is stored with what the API lists."""

    changed: list[dict[str, Any]] = field(default_factory=list)
    new: int = 0
    vanished: int = 0
    returned: int = 0


def refresh_grants(settings: Settings, *, client: NylasClient | None = None) -> GrantsReport:
    """List all grants and bring `all_grants` up to date; a grant that is gone keeps its row.

    Nothing is written unless the whole list came. A grant of which a field cannot be read is stored without
    it; one whose id or provider cannot be read stays as it is. Either is among the dead letters until it can.
    Without a `client` one is opened.
    Raises StopRun for a missing or wrong key or address, and RetryLater while the API is out of reach.
    """
    settings.require_key()
    with Lake(settings.data) as lake, client_for(settings, client) as client:
        subsets = read_subsets(settings)
        listed: dict[Any, dict[str, Any]] = {}
        dead: list[_Dead] = []
        before = _stored_grants(lake)
        for page in client.grants():
            wanted = replace(page, records=[_wanted_of_grant(record, subsets) for record in page.records])
            rows = _read(wanted, lambda record: _grant(record, subsets, before), "grant", None, dead)
            listed |= {(None, row["id"]): row for row in rows}
        with lake.transaction() as transaction:
            stored = _stored_grants(lake)
            comparison = _compare(stored, listed, dead, _touched(before, stored))
            _write(transaction, "all_grants", ["id"], comparison.changed)
            _write_dead(lake, transaction, "grant", {None}, dead)
    return GrantsReport(
        total=len(listed),
        valid=sum(row["status"] == "valid" for row in listed.values()),
        new=comparison.new,
        vanished=comparison.vanished,
        returned=comparison.returned,
        unreadable=len(_unread(dead)),
        by_provider=dict(Counter(row["provider"] for row in listed.values())),
    )


def refresh_folders(
    settings: Settings, *, only: Collection[str] | None = None, client: NylasClient | None = None
) -> FoldersReport:
    """List the folders of every valid grant, or of those in `only`, and bring `all_folders` up to date.

    A folder keeps its partition key for ever, also when it is gone and returns. The folders of a grant whose
    list did not come whole stay as they are, and the grant is in `failed`. What cannot be read is treated as
    by `refresh_grants`. Raises like it.
    """
    settings.require_key()
    with Lake(settings.data) as lake, client_for(settings, client) as client:
        subsets = read_subsets(settings)
        grants = [
            row for row in lake.table(account_queries.ALL_GRANTS).to_pylist() if row["deleted_at"] is None
        ]
        grants = [row for row in grants if row["status"] == "valid" and (only is None or row["id"] in only)]
        before = _stored_folders(lake)
        with ThreadPoolExecutor(settings.workers, thread_name_prefix="folders") as pool:
            try:
                answers = list(pool.map(lambda grant: _folders(client, grant), grants))
            except BaseException:
                # Else an interrupt would wait for every grant's list.
                client.cancel()
                raise
        listed: dict[Any, dict[str, Any]] = {}
        dead: list[_Dead] = []
        failed: dict[str, str] = {}
        for grant, answer in zip(grants, answers, strict=True):
            if isinstance(answer, str):
                failed[grant["id"]] = answer
                continue
            for page in answer:
                rows = _read(
                    page, lambda record, of=grant: _folder(record, of, before), "folder", grant["id"], dead
                )
                listed |= {(row["grant_id"], row["id"]): row for row in rows}
        whole = {grant["id"] for grant in grants} - failed.keys()
        _mark_excluded(listed, {row["id"]: subsets.of(row["id"], row["provider"]) for row in grants})
        with lake.transaction() as transaction:
            now = _stored_folders(lake)
            stored = {key: row for key, row in now.items() if row["grant_id"] in whole}
            _name_partitions(stored, listed, {grant["id"] for grant in grants if grant["per_folder"]})
            comparison = _compare(stored, listed, dead, _touched(before, now))
            _write(transaction, "all_folders", ["grant_id", "id"], comparison.changed)
            _write_dead(lake, transaction, "folder", whole, dead)
    return FoldersReport(
        listed=frozenset(whole),
        folders=len(listed),
        new=comparison.new,
        vanished=comparison.vanished,
        returned=comparison.returned,
        unreadable=len(_unread(dead)),
        failed=failed,
    )


def _stored_grants(lake: Lake) -> _Rows:
    return {(None, row["id"]): row for row in lake.table(account_queries.ALL_GRANTS).to_pylist()}


def _stored_folders(lake: Lake) -> _Rows:
    return {(row["grant_id"], row["id"]): row for row in lake.table(account_queries.ALL_FOLDERS).to_pylist()}


def _touched(before: Mapping[Any, dict[str, Any]], now: Mapping[Any, dict[str, Any]]) -> set[Any]:
    """Return what another refresh has changed while a list was on its way: a notification may ask for one."""
    return {
        key
        for key in before.keys() | now.keys()
        if {**before.get(key, {}), "observed_at": None} != {**now.get(key, {}), "observed_at": None}
    }


def _folders(client: NylasClient, grant: dict[str, Any]) -> list[Page] | str:
    """Return all folder pages of a grant, or why they did not come."""
    try:
        with client.grant(grant["id"], grant["provider"]) as mailbox:
            return list(mailbox.folders())
    except (SkipMailbox, RetryLater, CursorRejected) as error:
        return str(error)


def _wanted_of_grant(record: object, subsets: Subsets) -> object:
    return _subset_of(record, subsets).strip("grant", record)


def _subset_of(record: object, subsets: Subsets) -> Subset:
    fields = record if isinstance(record, dict) else {}
    return subsets.of(str(fields.get("id")), str(fields.get("provider")))


def _grant(record: object, subsets: Subsets, stored: _Rows) -> tuple[dict[str, Any], str | None]:
    row, left_out = read_grant(record, lambda identity: stored.get((None, identity), {}))
    return {**row, "streams_off": sorted(_subset_of(record, subsets).off)}, left_out


def _mark_excluded(listed: Mapping[Any, dict[str, Any]], subsets: Mapping[str, Subset]) -> None:
    """Say of each listed folder whether the configuration file leaves it out."""
    by_grant: dict[str, list[dict[str, Any]]] = {}
    for (grant_id, _), row in listed.items():
        by_grant.setdefault(grant_id, []).append(row)
    for grant_id, rows in by_grant.items():
        standings = subsets[grant_id].folders.standings(rows)
        for row in rows:
            row["excluded"] = standings[row["id"]] is not Standing.WANTED


def _folder(record: object, grant: dict[str, Any], stored: _Rows) -> tuple[dict[str, Any], str | None]:
    grant_id = grant["id"]
    row, left_out = read_folder(
        record, grant["provider"], lambda identity: stored.get((grant_id, identity), {})
    )
    return {"grant_id": grant_id, **row}, left_out


def _read(
    page: Page, reader: Any, kind: str, grant_id: str | None, dead: list[_Dead]
) -> Iterable[dict[str, Any]]:
    for record in page.records:
        row = None
        try:
            row, reason = reader(record)
        except (Unreadable, RecursionError) as error:
            reason = str(error) if isinstance(error, Unreadable) else TOO_DEEP
        if reason is not None:
            kept = _without_secrets(record)
            letter = DeadLetter(kind, identity_of(kept), reason, raw(kept), stored=row is not None)
            dead.append((grant_id, letter, page.observed_at))
        if row is not None:
            yield {**row, "observed_at": page.observed_at}


def _without_secrets(record: object) -> object:
    if not isinstance(record, dict):
        return record
    return {name: value for name, value in record.items() if name not in SECRET_FIELDS}


def _name_partitions(
    stored: Mapping[Any, dict[str, Any]], listed: Mapping[Any, dict[str, Any]], per_folder: set[str]
) -> None:
    """Give each listed folder its partition key: the one it has, or a new one unique in its grant."""
    taken: dict[str, set[str]] = {}
    for (grant_id, _), row in stored.items():
        if row["partition_key"]:
            taken.setdefault(grant_id, set()).add(split(row["partition_key"])[1] or "")
    for key, row in listed.items():
        row["partition_key"] = stored[key]["partition_key"] if key in stored else None
        grant_id, folder_id = key
        if row["partition_key"] is None and grant_id in per_folder:
            in_use = taken.setdefault(grant_id, set())
            chosen = slug(folder_id, row["name"] or folder_id, in_use)
            in_use.add(chosen)
            row["partition_key"] = partition_key(grant_id, chosen)


def _compare(
    stored: Mapping[Any, dict[str, Any]],
    listed: Mapping[Any, dict[str, Any]],
    dead: Iterable[_Dead],
    touched: Collection[Any],
) -> _Comparison:
    """Compare by (grant, id); what may be among the records that could not be read has not vanished.

    What was `touched` since the list was begun stays as it is: the list may be older.
    """
    unread = {(grant_id, letter.object_id) for grant_id, letter, _ in _unread(dead)}
    now = int(time.time())
    result = _Comparison()
    for key, row in listed.items():
        if key in touched:
            continue
        known = stored.get(key)
        gone = known is not None and known["deleted_at"] is not None
        if known is not None:
            row["observed_at"] = max(row["observed_at"], unix_seconds(known["observed_at"]))
        row["returned_at"] = now if gone else known and known["returned_at"]
        row["deleted_at"] = None
        result.new += known is None
        result.returned += gone
        result.changed.append(row)
    for key, row in stored.items():
        spared = key in touched or key in unread or (key[0], None) in unread
        if key not in listed and row["deleted_at"] is None and not spared:
            result.vanished += 1
            result.changed.append({**row, "deleted_at": now})
    return result


def _write(transaction: Transaction, table: str, key: list[str], rows: list[dict[str, Any]]) -> None:
    batch = table_of(table, sorted(rows, key=lambda row: [row[name] for name in key]))
    transaction.delete(table, batch.select(key))
    transaction.append(table, batch)


def _unread(dead: Iterable[_Dead]) -> list[_Dead]:
    return [each for each in dead if not each[1].stored]


def _write_dead(
    lake: Lake, transaction: Transaction, kind: str, whole: Collection[str | None], dead: list[_Dead]
) -> None:
    """Keep of what was listed whole the dead letters that have come now, each as it came first."""
    stored = {
        _letter_key(row["grant_id"], row): row
        for row in lake.table(account_queries.DEAD_LETTERS_OF, [kind]).to_pylist()
        if row["grant_id"] in whole
    }
    listed = {_letter_key(grant_id, asdict(letter)): (grant_id, letter, at) for grant_id, letter, at in dead}
    if gone := [row for key, row in stored.items() if key not in listed]:
        rows = table_of("dead_letters", gone)
        transaction.change("dead_letters", account_queries.FORGET_DEAD_LETTERS, read_now=rows)
    new = [dead_letter_row(letter, at, of) for key, (of, letter, at) in listed.items() if key not in stored]
    transaction.append("dead_letters", arrow_table("dead_letters", new))


def _letter_key(grant_id: str | None, letter: Mapping[str, Any]) -> tuple[Any, ...]:
    # The same record comes again with every refresh, with other counts in it.
    told_by = letter["raw"] if letter["object_id"] is None else None
    return grant_id, letter["object_id"], letter["reason"], letter["stored"], told_by
