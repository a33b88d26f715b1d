"""A simulated provider and a data folder, and what the one serves set against what the other holds."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

import mail_pipeline
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import API_KEY, Simulator
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants
from mail_pipeline.sync.backfill import BackfillOptions, MailboxProgress, backfill
from mail_pipeline.sync.rows import ROLES, STANDARD

HASH_KEY = b"key of the tests"

Identity = tuple[str, str]
"""Grant id and message id."""


class Mail(NamedTuple):
    """A message as an analyst can see it, all tables taken together."""

    thread_id: str | None
    subject: str | None
    date: int | None
    folders: tuple[str, ...]
    unread: bool | None
    starred: bool | None
    snippet: str | None
    body: str | None
    """SHA-256 of its UTF-8; None where there is no body."""
    people: tuple[tuple[str, int, str | None, str | None], ...]
    """Role, position, name, address."""
    attachments: tuple[tuple[Any, ...], ...]
    extra: str
    """Unknown fields as JSON with sorted keys."""


@dataclass
class World:
    """A simulator that is being served, and the data folder its mail goes to."""

    simulator: Simulator
    url: str
    data: Path
    config: Path | None = None
    """The file that says what is mirrored."""
    _open: duckdb.DuckDBPyConnection | None = field(default=None, init=False)

    def settings(self, **changes: Any) -> Settings:
        """Return settings that do not slow a test down: no pause between pages, a large quota."""
        fast = {"google_units_per_second": 1e6, "min_page_interval": 0.0, "patience": 60.0}
        given: dict[str, Any] = {
            "api_key": API_KEY,
            "api_uri": self.url,
            "data": self.data,
            "config": self.config,
        }
        given |= {"hash_key": HASH_KEY, **fast, **changes}
        return Settings(**given)

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the same as environment variables, for another process."""
        return {
            "NYLAS_API_KEY": API_KEY,
            "NYLAS_API_URI": self.url,
            "MAIL_PIPELINE_DATA": str(self.data),
            "MAIL_PIPELINE_GOOGLE_UNITS_PER_SECOND": "1000000",
            "MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0",
            "MAIL_PIPELINE_PATIENCE": "60",
            **changes,
        }

    def register(self) -> list[str]:
        """Make grants and folders known and return the keys of all partitions."""
        refresh_grants(self.settings())
        refresh_folders(self.settings())
        return self.keys()

    def keys(self, grant_id: str | None = None) -> list[str]:
        """Return the partition keys there are, of one grant or of all."""
        found = self.ask("SELECT partition_key, grant_id FROM mailboxes WHERE active")
        return [key for key, grant in found if grant_id in {None, grant}]

    def backfill(
        self,
        keys: Iterable[str] | None = None,
        *,
        settings: Settings | None = None,
        on_progress: Callable[[MailboxProgress], None] | None = None,
        **options: Any,
    ) -> dict[str, MailboxProgress]:
        """Backfill these mailboxes, or all, to their ends and return the last word of each."""
        ended = backfill(
            self.keys() if keys is None else list(keys),
            settings=settings or self.settings(),
            options=BackfillOptions(**options),
            on_progress=on_progress,
        )
        return {each.partition_key: each for each in ended}

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the lake that stays open, as a notebook's does."""
        if self._open is None:
            self._open = mail_pipeline.connect(self.data)
        return self._open

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def ask(self, statement: str, parameters: object = ()) -> list[tuple[Any, ...]]:
        """Query the lake as a notebook would."""
        return self.connection.execute(statement, parameters).fetchall()

    def ledger(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `mailboxes` by partition key."""
        rows = self.connection.execute("SELECT * FROM mailboxes").to_arrow_table().to_pylist()
        return {row["partition_key"]: row for row in rows}

    def grant_id(self, provider: str) -> str:
        """Return the first grant of a provider."""
        grants = (mailbox.grant for mailbox in self.simulator.fleet)
        return next(grant.id for grant in grants if grant.provider == provider)

    def served(self) -> dict[Identity, Mail]:
        """Return every message of every grant as it truly is."""
        return {
            (mailbox.grant.id, message["id"]): as_mail(message)
            for mailbox in self.simulator.fleet
            for message in self.simulator.truth(mailbox.grant.id)
        }

    def stored(self) -> dict[Identity, Mail]:
        """Return every message of the lake; fails where a key is there twice."""
        rows = self.connection.execute(_STORED).to_arrow_table().to_pylist()
        found = {(row["grant_id"], row["id"]): _mail(row) for row in rows}
        assert len(found) == len(rows)
        return found

    def orphans(self) -> dict[str, int]:
        """Return how many rows of each table of parts belong to no message, or are there twice."""
        return {name: count for name, count in self.ask(_ORPHANS) if count}


@contextmanager
def world(simulator: Simulator, data: Path) -> Iterator[World]:
    """Serve a simulator for as long as the block lasts."""
    with simulator.serve() as url:
        found = World(simulator, url, data)
        try:
            yield found
        finally:
            found.close()


def differences(stored: dict[Identity, Mail], expected: dict[Identity, Mail]) -> dict[Identity, Any]:
    """Return what is missing, too much or different, shortened to what differs, ten at most."""
    found: dict[Identity, Any] = {}
    for key in stored.keys() | expected.keys():
        ours, theirs = stored.get(key), expected.get(key)
        if ours is None or theirs is None:
            found[key] = "missing" if ours is None else "too much"
        elif ours != theirs:
            pairs = zip(Mail._fields, ours, theirs, strict=True)
            found[key] = {name: (one, other) for name, one, other in pairs if one != other}
        if len(found) == 10:
            break
    return found


def as_mail(message: dict[str, Any]) -> Mail:
    """Return a served message as it should be seen in the lake."""
    body = message.get("body")
    extra = {name: value for name, value in message.items() if name not in STANDARD | _KEYS}
    return Mail(
        message.get("thread_id"),
        message.get("subject"),
        message.get("date"),
        tuple(sorted(message.get("folders") or ())),
        message.get("unread"),
        message.get("starred"),
        message.get("snippet"),
        None if body is None else digest(body),
        tuple(
            (role, position, person.get("name"), person.get("email"))
            for role in sorted(ROLES)
            for position, person in enumerate(message.get(role) or ())
        ),
        tuple(tuple(each.get(name) for name in _ATTACHMENT) for each in message.get("attachments") or ()),
        json.dumps(extra, sort_keys=True),
    )


def digest(body: str) -> str:
    """Return the SHA-256 of a body's bytes."""
    return hashlib.sha256(body.encode()).hexdigest()


def _mail(row: dict[str, Any]) -> Mail:
    people = sorted((p["role"], p["position"], p["name"], p["address"]) for p in row["people"] or ())
    attachments = sorted(row["attachments"] or (), key=lambda each: each["position"])
    body = row["body"]
    mail = Mail(
        row["thread_id"],
        row["subject"],
        None if row["date"] is None else int(row["date"].timestamp()),
        tuple(row["folders"]),
        row["unread"],
        row["starred"],
        row["snippet"],
        None if body is None else digest(body),
        tuple(people),
        tuple(tuple(each[name] for name in _ATTACHMENT) for each in attachments),
        json.dumps(json.loads(row["extra"] or "{}"), sort_keys=True),
    )
    assert row["folder_rows"] == row["folders"]
    # Null where the message has never come with the field.
    assert (row["attachment_count"] or 0) == len(attachments)
    assert bool(row["has_attachments"]) == bool(attachments)
    assert row["body_bytes"] == (None if body is None else len(body.encode()))
    return mail


_KEYS = {"id", "grant_id", "object"}
_ATTACHMENT = (
    "id",
    "filename",
    "content_type",
    "size",
    "is_inline",
    "content_id",
    "content_disposition",
)
_STORED = """
WITH people AS (
    SELECT grant_id, message_id AS id,
        list({'role': role, 'position': position, 'name': name, 'address': address}) AS people
    FROM message_participants GROUP BY ALL
), files AS (
    SELECT a.grant_id, a.message_id AS id, list(a) AS attachments FROM attachments a GROUP BY ALL
), places AS (
    SELECT grant_id, message_id AS id, list_sort(list(folder_id)) AS folder_rows
    FROM message_folders GROUP BY ALL
)
SELECT m.*, b.body, people, files.attachments, coalesce(folder_rows, []) AS folder_rows
FROM messages m
LEFT JOIN message_bodies b USING (grant_id, id)
LEFT JOIN people USING (grant_id, id)
LEFT JOIN files USING (grant_id, id)
LEFT JOIN places USING (grant_id, id)
"""
_ORPHANS = """
WITH parts AS (
    SELECT 'message_bodies' AS name, grant_id, id, '' AS part FROM message_bodies
    UNION ALL SELECT 'message_participants', grant_id, message_id, role || position FROM message_participants
    UNION ALL SELECT 'message_folders', grant_id, message_id, folder_id FROM message_folders
    UNION ALL SELECT 'attachments', grant_id, message_id, position::VARCHAR FROM attachments
)
SELECT name, count(*) FROM parts ANTI JOIN all_messages USING (grant_id, id) GROUP BY name
UNION ALL
SELECT name, count(*) - count(DISTINCT (grant_id, id, part)) FROM parts GROUP BY name
"""
