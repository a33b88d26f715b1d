"""Streams as the simulator serves them set against what the lake holds of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mail_pipeline.sync.mirror import mirror
from mail_pipeline.sync.position import BackfillOptions
from mail_pipeline.sync.progress import MailboxProgress
from mail_pipeline.sync.streams import RECORD_STREAMS
from mail_pipeline_tests.backfill.world import World

Record = dict[str, Any]
Key = tuple[str, ...]
"""Grant id, calendar id where the stream is events, id."""
LISTED = ("contacts", "calendars", "events", "provider_threads")
"""Every stream, those that others need first before them."""
ONLY_TOLD = frozenset({"occurrences", "cancelled_occurrences"})
"""Fields of events that notifications carry and no list."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Shown:
    """What of a stream can be seen, where, and how the columns follow from a served record."""

    truth: str
    operations: frozenset[str]
    """Of the request log: its lists."""
    key: tuple[str, ...]
    lists: frozenset[str]
    """Fields that are lists where they are there: null says the same as an empty one."""
    columns: Callable[[Record], Record]
    parts: Mapping[str, Callable[[Record], Iterator[Record]]]
    """Tables of parts, and the rows that follow from a record."""
    left_out: frozenset[str] = frozenset()


def _contact(record: Record) -> Record:
    names = [record[name] for name in ("given_name", "middle_name", "surname") if record.get(name)]
    company, nickname = record.get("company_name"), record.get("nickname")
    plain = (
        *("source", "given_name", "middle_name", "surname", "suffix", "nickname", "company_name"),
        *("job_title", "manager_name", "office_location", "birthday", "notes", "picture_url"),
    )
    return {name: record.get(name) for name in plain} | {
        "display_name": " ".join(names) or company or nickname or None,
        "groups": [group["id"] for group in record.get("groups") or []],
        "updated_at": _moment(record.get("updated_at")),
    }


def _calendar(record: Record) -> Record:
    names = (
        *("name", "description", "location", "timezone", "hex_color", "is_primary", "is_owned_by_user"),
        *("read_only", "owner_email"),
    )
    return {name: record.get(name) for name in names}


def _event(record: Record) -> Record:
    when = record["when"]
    if "time" in when:
        start = end = _moment(when["time"])
    elif "start_time" in when:
        start, end = _moment(when["start_time"]), _moment(when["end_time"])
    else:
        first, last = when.get("start_date", when.get("date")), when.get("end_date", when.get("date"))
        start, end = _midnight(first), _midnight(last)
    plain = (
        *("title", "description", "location", "status", "visibility", "busy", "read_only", "ical_uid"),
        *("master_event_id", "recurrence", "html_link"),
    )
    organizer, call = record.get("organizer") or {}, record.get("conferencing") or {}
    return {name: record.get(name) for name in plain} | {
        "all_day": "time" not in when and "start_time" not in when,
        "starts_at": start,
        "ends_at": end,
        "timezone": when.get("timezone", when.get("start_timezone")),
        "organizer_name": organizer.get("name"),
        "organizer_address": organizer.get("email"),
        "original_starts_at": _moment(record.get("original_start_time")),
        "conferencing_provider": call.get("provider"),
        "created_at": _moment(record.get("created_at")),
        "updated_at": _moment(record.get("updated_at")),
    }


def _thread(record: Record) -> Record:
    plain = ("subject", "snippet", "unread", "starred", "has_attachments", "has_drafts")
    dates = ("earliest_message_date", "latest_message_received_date", "latest_message_sent_date")
    return (
        {name: record.get(name) for name in plain}
        | {name: _moment(record.get(name)) for name in dates}
        | {name: record.get(name) for name in ("message_ids", "folders")}
    )


def _emails(record: Record) -> Iterator[Record]:
    for position, each in enumerate(record.get("emails") or []):
        yield {"position": position, "address": each["email"], "type": each["type"], **_told(each["email"])}


def _participants(record: Record) -> Iterator[Record]:
    for position, each in enumerate(record.get("participants") or []):
        plain = {name: each.get(name) for name in ("name", "status", "comment")}
        yield {"position": position, "address": each.get("email"), **plain, **_told(each.get("email"))}


def _told(address: str | None) -> Record:
    lower = address.strip().lower() if address is not None else None
    domain = lower.rpartition("@")[2] if lower and "@" in lower else None
    return {"address_canonical": lower or None, "domain": domain}


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else EPOCH + timedelta(seconds=seconds)


def _midnight(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)


SHOWN: Mapping[str, Shown] = {
    "contacts": Shown(
        "contacts",
        frozenset({"contacts"}),
        ("grant_id", "id"),
        frozenset(("emails", "phone_numbers", "physical_addresses", "web_pages", "im_addresses", "groups")),
        _contact,
        {"contact_emails": _emails},
    ),
    "calendars": Shown("calendars", frozenset({"calendars"}), ("grant_id", "id"), frozenset(), _calendar, {}),
    "events": Shown(
        "events",
        frozenset({"events", "events_import"}),
        ("grant_id", "calendar_id", "id"),
        frozenset({"participants", "recurrence"}),
        _event,
        {"event_participants": _participants},
    ),
    "provider_threads": Shown(
        "threads",
        frozenset({"threads"}),
        ("grant_id", "id"),
        frozenset({"participants", "message_ids", "folders"}),
        _thread,
        {},
        left_out=frozenset({"latest_draft_or_message"}),
    ),
}
_NOT_KEPT = frozenset({"id", "grant_id", "object"})


def mirror_all(world: World, *streams: str, **options: Any) -> dict[tuple[str, str], MailboxProgress]:
    """Mirror these streams of every grant, or all, and return the last word by stream and grant."""
    return {
        (name, word.grant_id): word
        for name in streams or LISTED
        for word in mirror(
            RECORD_STREAMS[name],
            [mailbox.grant.id for mailbox in world.simulator.fleet],
            settings=world.settings(),
            options=BackfillOptions(**options),
        )
    }


def served(world: World, stream: str) -> dict[Key, Record]:
    """Return what the provider truly has of a stream: by key, as it should be seen in the lake."""
    shown = SHOWN[stream]
    found: dict[Key, Record] = {}
    for mailbox in world.simulator.fleet:
        for record in world.simulator.truth(mailbox.grant.id, shown.truth):
            whole = {"grant_id": mailbox.grant.id, **record}
            found[tuple(whole[name] for name in shown.key)] = as_shown(stream, record)
    return found


def as_shown(stream: str, record: Record) -> Record:
    """Return a served record as the lake should show it: every column, the record, its parts' rows."""
    shown = SHOWN[stream]
    kept = {
        name: [] if value is None and name in shown.lists else value
        for name, value in record.items()
        if name not in _NOT_KEPT | shown.left_out and not (name == "calendar_id" and stream == "events")
    }
    columns = shown.columns(record)
    for name in shown.lists & columns.keys():
        columns[name] = columns[name] or ([] if name in kept else None)
    if stream == "contacts":
        columns["groups"] = columns["groups"] or []
    parts = {table: list(rows(record)) for table, rows in shown.parts.items()}
    return {**columns, "record": json.dumps(kept, sort_keys=True), **parts}


def stored(world: World, stream: str) -> dict[Key, Record]:
    """Return what the view of a stream shows, with its parts; fails where a key is there twice."""
    shown = SHOWN[stream]
    rows = (
        world.connection.execute(f"SELECT * EXCLUDE observed_at FROM {stream}").to_arrow_table().to_pylist()
    )
    found: dict[Key, Record] = {}
    for row in rows:
        key = tuple(row.pop(name) for name in shown.key)
        record = json.loads(row["record"])
        kept = {name: value for name, value in record.items() if name not in ONLY_TOLD}
        row["record"] = json.dumps(kept, sort_keys=True)
        assert key not in found
        found[key] = row | {table: [] for table in shown.parts}
    for table in shown.parts:
        statement = f"SELECT * FROM {table} ORDER BY position"
        for row in world.connection.execute(statement).to_arrow_table().to_pylist():
            whole = {("id" if name in {"contact_id", "event_id"} else name): row[name] for name in row}
            key = tuple(whole.pop(name) for name in shown.key)
            if key in found:
                found[key][table].append(whole)
    return found


def wrong(ours: Mapping[Key, Record], theirs: Mapping[Key, Record]) -> dict[Key, Any]:
    """Return what is missing, too much or different, shortened to what differs, ten at most."""
    found: dict[Key, Any] = {}
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in ours or key not in theirs:
            found[key] = "missing" if key in theirs else "too much"
        elif ours[key] != theirs[key]:
            names = sorted(ours[key].keys() | theirs[key].keys())
            pairs = {name: (ours[key].get(name), theirs[key].get(name)) for name in names}
            found[key] = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if len(found) == 10:
            break
    return found


def assert_mirrored(world: World, *streams: str) -> None:
    """Hold these streams, or all, against the provider's truth, field by field."""
    for stream in streams or LISTED:
        assert wrong(stored(world, stream), served(world, stream)) == {}, stream
