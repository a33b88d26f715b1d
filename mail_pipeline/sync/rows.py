"""Message states as rows of the lake's tables, and back."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from mail_pipeline.addresses import canonical
from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.rows import arrow_table, unix_seconds
from mail_pipeline.sync.merge import RecordState
from mail_pipeline.sync.records import Body

ROLES = ("from", "to", "cc", "bcc", "reply_to")
STANDARD = frozenset(
    {"thread_id", "subject", "snippet", "body", "date", "unread", "starred", "folders", "attachments", *ROLES}
)
"""Fields with columns of their own; all others are kept together in `extra`."""

PARTS = ("message_bodies", "message_participants", "message_folders", "attachments")
"""Tables that hold parts of a message beside its row in all_messages."""

Key = tuple[str, str]
"""Grant id and message id."""

_TABLES = ("all_messages", *PARTS)
_LARGEST = 2**63 - 1
_DELETED = "id"  # in field_times: the time of the deletion; the id has no time of its own


class MessageRows:
    """Rows of messages, gathered table by table for Arrow."""

    def __init__(self) -> None:
        """Start without rows."""
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _TABLES}

    def add(self, grant_id: str, state: RecordState, parts: Iterable[str] = PARTS) -> None:
        """Add the message's row, and its rows in the tables named by `parts`."""
        self._rows["all_messages"].append(_message_row(grant_id, state))
        for part in parts:
            self._rows[part].extend(_PART_ROWS[part](grant_id, state))

    def tables(self) -> dict[str, pa.Table]:
        """Return an Arrow table for each table of the lake, empty ones too."""
        return {name: arrow_table(name, rows) for name, rows in self._rows.items()}


def keys(messages: Iterable[Key], *, id_column: str) -> pa.Table:
    """Return the keys of some messages, for looking up or deleting rows."""
    found = list(messages)
    return pa.table(
        {
            "grant_id": array([grant_id for grant_id, _ in found], pa.string()),
            id_column: array([identity for _, identity in found], pa.string()),
        }
    )


def part_keys(part: str, messages: Iterable[Key]) -> pa.Table:
    """Return the keys under which the table `part` holds parts of these messages."""
    return keys(messages, id_column="id" if part == "message_bodies" else "message_id")


def read_states(messages: pa.Table, participants: pa.Table, attachments: pa.Table) -> dict[Key, RecordState]:
    """Return what the lake knows of messages.

    A body comes back as its likeness, without its text.
    """
    states = {(row["grant_id"], row["id"]): _state(row) for row in messages.to_pylist()}
    for row in participants.sort_by("position").to_pylist():
        people = states[row["grant_id"], row["message_id"]].fields.setdefault(row["role"], [])
        people.append((row["name"], row["address"]))
    for row in attachments.sort_by("position").to_pylist():
        found = states[row["grant_id"], row["message_id"]].fields.setdefault("attachments", [])
        found.append({key: row[key] for key in _ATTACHMENT_FIELDS})
    for state in states.values():
        for name in (*ROLES, "attachments"):
            if name in state.times:
                state.fields.setdefault(name, [])
    return states


_ATTACHMENT_FIELDS = (
    "id",
    "filename",
    "content_type",
    "size",
    "is_inline",
    "content_id",
    "content_disposition",
)


def _message_row(grant_id: str, state: RecordState) -> tuple[Any, ...]:
    fields = state.fields
    senders = fields.get("from")
    name, address = senders[0] if senders else (None, None)
    attachments = fields.get("attachments")
    body = fields.get("body")
    extra = {key: value for key, value in fields.items() if key not in STANDARD}
    observed_at = state.observed_at
    return (
        grant_id,
        state.id,
        fields.get("thread_id"),
        fields.get("subject"),
        name,
        address,
        fields.get("date"),
        state.folders,
        fields.get("unread"),
        fields.get("starred"),
        fields.get("snippet"),
        None if attachments is None else bool(attachments),
        None if attachments is None else len(attachments),
        None if attachments is None else min(sum(item["size"] or 0 for item in attachments), _LARGEST),
        None if body is None else body.size,
        None if body is None else body.hash,
        json.dumps(extra, ensure_ascii=False, sort_keys=True) if extra else None,
        observed_at,
        _field_times(state, observed_at),
        json.dumps(state.folder_times, ensure_ascii=False, sort_keys=True) if state.folder_times else None,
        state.deleted_at if state.deleted else None,
        _remains(fields) if state.deleted else None,
    )


def _remains(fields: dict[str, Any]) -> str | None:
    """Return what the tables of parts held of a message that is gone, should it come back."""
    known = {name: fields[name] for name in (*ROLES, "attachments") if fields.get(name)}
    return json.dumps(known, ensure_ascii=False) if known else None


def _field_times(state: RecordState, observed_at: int) -> str | None:
    times = state.times
    exceptions: dict[str, int | None] = {name: None for name in STANDARD if name not in times}
    exceptions.update({name: at for name, at in times.items() if at != observed_at})
    if state.deleted_at is not None and not state.deleted:
        exceptions[_DELETED] = state.deleted_at
    return json.dumps(exceptions, sort_keys=True) if exceptions else None


def _state(row: dict[str, Any]) -> RecordState:
    state = RecordState(row["id"])
    fields = state.fields
    for name in ("thread_id", "subject", "snippet", "unread", "starred"):
        fields[name] = row[name]
    fields["folders"] = row["folders"]
    fields["date"] = unix_seconds(row["date"])
    if row["body_bytes"] is not None:
        fields["body"] = Body(None, row["body_bytes"], row["body_hash"])
    fields.update(json.loads(row["extra"] or "{}"))
    for name, value in json.loads(row["remains"] or "{}").items():
        fields[name] = value if name == "attachments" else [tuple(person) for person in value]
    observed_at = state.observed_at = unix_seconds(row["observed_at"])
    exceptions = json.loads(row["field_times"] or "{}")
    deleted_at = exceptions.pop(_DELETED, None)
    state.times = {
        name: exceptions.get(name, observed_at)
        for name in (*STANDARD, *fields)
        if exceptions.get(name, observed_at) is not None
    }
    state.fields = {name: value for name, value in fields.items() if name in state.times}
    state.folder_times = json.loads(row["folder_times"] or "{}")
    state.deleted_at = unix_seconds(row["deleted_at"]) if row["deleted_at"] else deleted_at
    return state


def _body_rows(grant_id: str, state: RecordState) -> list[tuple[Any, ...]]:
    body = state.fields.get("body")
    return [] if body is None or body.data is None else [(grant_id, state.id, body.data)]


def _participant_rows(grant_id: str, state: RecordState) -> list[tuple[Any, ...]]:
    if state.deleted:
        return []
    return [
        (grant_id, state.id, role, position, name, address, *canonical(address))
        for role in ROLES
        for position, (name, address) in enumerate(state.fields.get(role) or ())
    ]


def _folder_rows(grant_id: str, state: RecordState) -> list[tuple[Any, ...]]:
    return [] if state.deleted else [(grant_id, state.id, folder) for folder in state.folders]


def _attachment_rows(grant_id: str, state: RecordState) -> list[tuple[Any, ...]]:
    if state.deleted:
        return []
    return [
        (grant_id, state.id, position, *(item[key] for key in _ATTACHMENT_FIELDS))
        for position, item in enumerate(state.fields.get("attachments") or ())
    ]


_PART_ROWS = {
    "message_bodies": _body_rows,
    "message_participants": _participant_rows,
    "message_folders": _folder_rows,
    "attachments": _attachment_rows,
}
