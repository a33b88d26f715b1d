"""Mail as the engine stores it, and the tables made from it, for the tests here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.mart_tables import FACTS, MARTS
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.merge import Observation
from mail_pipeline.sync.records import Body
from mail_pipeline.sync.storing import MessageStore

MADE = tuple(table.name for table in (*FACTS, *MARTS))
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
HOUR = 3600
ROLES = {"INBOX": "inbox", "SENT": "sent", "DRAFT": "drafts", "SPAM": "junk"}


def account(
    lake: Lake, grant_id: str = "g", email: str | None = "me@home.example", extra: str = "{}"
) -> None:
    """Store a grant, in place of what was stored of it."""
    with lake.transaction() as transaction:
        transaction.change("all_grants", "DELETE FROM all_grants WHERE id = ?", [grant_id])
        transaction.change(
            "all_grants",
            "INSERT INTO all_grants (id, provider, email, extra) VALUES (?, 'google', ?, ?)",
            [grant_id, email, extra],
        )


def folder(lake: Lake, folder_id: str, role: str | None, grant_id: str = "g") -> None:
    """Store a folder, in place of what was stored of it."""
    with lake.transaction() as transaction:
        transaction.change(
            "all_folders", "DELETE FROM all_folders WHERE grant_id = ? AND id = ?", [grant_id, folder_id]
        )
        transaction.change(
            "all_folders",
            "INSERT INTO all_folders (grant_id, id, role) VALUES (?, ?, ?)",
            [grant_id, folder_id, role],
        )


def mailbox(lake: Lake, grant_id: str = "g", email: str | None = "me@home.example") -> None:
    """Store a grant with the folders of ROLES."""
    account(lake, grant_id, email)
    for folder_id, role in ROLES.items():
        folder(lake, folder_id, role, grant_id)


def message(identity: str, at: int = 1, **fields: Any) -> Observation:
    """Return an observation of a message; addresses may stand for people, text for a body."""
    given = {
        "thread_id": "t",
        "subject": "Hello",
        "date": MONDAY,
        "from": ["other@far.example"],
        "to": ["me@home.example"],
        "folders": ["INBOX"],
        **{name.rstrip("_"): value for name, value in fields.items()},
    }
    for role in ("from", "to", "cc", "bcc"):
        if role in given:
            given[role] = [each if isinstance(each, tuple) else ("", each) for each in given[role]]
    if isinstance(given.get("body"), str):
        given["body"] = Body.of(given["body"])
    return Observation(identity, at, given)


def sent(identity: str, **fields: Any) -> Observation:
    """Return an observation of a message the account has sent."""
    given: dict[str, Any] = {"from_": ["me@home.example"], "to": ["other@far.example"], "folders": ["SENT"]}
    return message(identity, **{**given, **fields})


def store(lake: Lake, *observations: Observation, grant_id: str = "g") -> None:
    """Store observations as the engine does."""
    with lake.transaction() as transaction:
        found = MessageStore(transaction)
        found.merge({grant_id: observations})
        found.flush()


def erase(lake: Lake, tables: Iterable[str], grant_id: str | None = None) -> None:
    """Remove all rows of some tables, or those of a grant, without leaving a trace."""
    with lake.transaction() as transaction:
        for table in tables:
            _erase(transaction, table, grant_id)


def _erase(transaction: Transaction, table: str, grant_id: str | None) -> None:
    where = "" if grant_id is None else " WHERE grant_id = ?"
    transaction.change(table, f"DELETE FROM {table}{where}", [] if grant_id is None else [grant_id])


def contents(lake: Lake) -> dict[str, list[str]]:
    """Return all rows of the tables made from mail."""
    with connect(lake.data) as connection:
        return {name: sorted(map(repr, connection.sql(f"FROM {name}").fetchall())) for name in MADE}


def asked(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connect(lake.data) as connection:
        return connection.execute(query).fetchall()
