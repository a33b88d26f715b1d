"""Forgetting a grant that is gone: all that was ever stored of it, in the lake and in what landed."""

from contextlib import ExitStack
from dataclasses import dataclass

from mail_pipeline.disk import disk_errors
from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import erasure_queries, queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.attachment_upkeep import forget_files
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync import apply
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.attachments import open_store
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.streams import leases_of

_UNNAMED = frozenset({"notifications", "written_beside"})
"""Tables whose rows stay and no longer say whose they are."""


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was there of a grant."""

    known: bool = True
    """Anything ever told of it, be it only that somebody worked on it once."""
    messages: int = 0
    files: int = 0
    """Attachments' files that no other grant has."""
    notifications: int = 0
    """Landed notifications that told of it."""


def ensure_gone(settings: Settings, grant_id: str) -> None:
    """Ask the API, where there is a key, whether a grant is gone. Raises StopRun where it is not.

    What is connected would be mirrored again. Raises what listing the grants raises.
    """
    if settings.api_key:
        refresh_grants(settings)
    with Lake(settings.data) as lake:
        grants = lake.table(queries.KNOWN_GRANTS).to_pylist()
    if any(row["id"] == grant_id and not row["gone"] for row in grants):
        raise StopRun(
            f"Grant {grant_id} is still connected, and would be mirrored again",
            next_step="Delete it at Nylas first; or leave all its streams out in mail_pipeline.toml and run "
            "`mail-pipeline upkeep --remove-excluded`.",
        )


def forget(settings: Settings, grant_id: str) -> ForgetReport:
    """Remove all that is stored of a grant; the earlier states of the tables are the caller's.

    Safe to interrupt and to repeat. Raises StopRun for a grant that is still connected, and RetryLater while
    something is at work on it or notifications are being applied.
    """
    ensure_gone(settings, grant_id)
    with ExitStack() as stack:
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        landing = stack.enter_context(Landing.open(settings))
        (stored,) = lake.column(erasure_queries.IS_STORED, {"grant": grant_id})
        if not stored and not leases.knows(grant_id):
            # Any other word may stand in what landed, and mean something else.
            return ForgetReport(known=False)
        stack.enter_context(leases.held(lake, grant_id, (apply.LEASE, *leases_of(grant_id))))
        files = _forget_files(settings, lake, grant_id)
        # What has landed first: an interrupted call leaves the tables to tell that it has to be repeated.
        notifications, forgotten = landing.forget(grant_id)
        with lake.transaction() as transaction:
            leases.check(grant_id)
            [(messages,)] = transaction.rows(erasure_queries.MESSAGES_OF_GRANT, [grant_id])
            _forget_rows(transaction, grant_id, forgotten)
    return ForgetReport(messages=messages, files=files, notifications=notifications)


def _forget_files(settings: Settings, lake: Lake, grant_id: str) -> int:
    store = open_store(settings)
    if store is None:
        return 0
    with disk_errors(store.place):
        return forget_files(lake, store, grant_id)


def _forget_rows(transaction: Transaction, grant_id: str, forgotten: list[int]) -> None:
    of_grant = text_table("grant_id", [grant_id])
    for table in erasure_queries.TABLES_OF_GRANTS:
        if table not in _UNNAMED:
            transaction.delete(table, of_grant)
    transaction.delete("all_grants", text_table("id", [grant_id]))
    transaction.change("notifications", erasure_queries.UNNAME_NOTIFICATIONS, [grant_id])
    transaction.change("written_beside", erasure_queries.UNNAME_BESIDE, [grant_id])
    transaction.change("dead_letters", erasure_queries.FORGET_DEAD_LETTERS_OF, {"grant": grant_id})
    numbers = text_table("number", map(str, forgotten))
    transaction.change("dead_letters", erasure_queries.FORGET_LETTERS_OF_NOTIFICATIONS, forgotten=numbers)
