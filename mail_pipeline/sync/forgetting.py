"""Forgetting a grant that is gone: all that was ever stored of it, in the lake and in what landed."""

from contextlib import ExitStack
from dataclasses import dataclass

from mail_pipeline.errors import StopRun
from mail_pipeline.inbox.landing import Landing
from mail_pipeline.lake import erasure_queries, queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.attachment_upkeep import forget_files
from mail_pipeline.lake.disk import disk_errors
from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.lake.schema import STORED
from mail_pipeline.lake.transaction import Transaction
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.sync.accounts import refresh_grants
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.streams import leases_of

_UNNAMED = frozenset({"notifications", "written_beside"})
"""Tables whose rows stay and no longer say whose they are."""


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was there of a grant."""

    messages: int = 0
    files: int = 0
    """Attachments' files that no other grant has."""
    notifications: int = 0
    """Landed notifications that told of it."""


def forget(settings: Settings, grant_id: str) -> ForgetReport:
    """Remove all that is stored of a grant; the earlier states of the tables are the caller's.

    Safe to interrupt and to repeat, also when nothing is left of it. Raises StopRun for a grant that is still
    connected, since it would be mirrored again, and RetryLater while it is being listed.
    """
    with ExitStack() as stack:
        lake = stack.enter_context(Lake(settings.data))
        leases = Leases(settings.data)
        stack.callback(leases.close)
        landing = stack.enter_context(Landing.open(settings))
        _check_gone(settings, lake, grant_id)
        (known,) = lake.column(erasure_queries.IS_KNOWN, {"grant": grant_id})
        if not known:
            # Any other word may stand in what landed, and mean something else.
            return ForgetReport()
        with leases.held(lake, grant_id, leases_of(grant_id)):
            files = _forget_files(settings, lake, grant_id)
            # What has landed first: an interrupted call leaves the tables to tell that it has to be repeated.
            notifications = landing.forget(grant_id)
            with lake.transaction() as transaction:
                [(messages,)] = transaction.rows(erasure_queries.MESSAGES_OF_GRANT, [grant_id])
                _forget_rows(transaction, grant_id)
    return ForgetReport(messages, files, notifications)


def is_connected(lake: Lake, grant_id: str) -> bool:
    """Tell whether a grant is known and was there when the grants were last listed."""
    grants = lake.table(queries.KNOWN_GRANTS).to_pylist()
    return any(row["id"] == grant_id and not row["gone"] for row in grants)


def _check_gone(settings: Settings, lake: Lake, grant_id: str) -> None:
    if is_connected(lake, grant_id) and settings.api_key:
        # It may have been deleted since.
        refresh_grants(settings)
    if is_connected(lake, grant_id):
        raise StopRun(
            f"Grant {grant_id} is still connected, and would be mirrored again",
            next_step="Delete it at Nylas first; or leave all its streams out in mail_pipeline.toml and run "
            "`mail-pipeline upkeep --remove-excluded`.",
        )


def _forget_files(settings: Settings, lake: Lake, grant_id: str) -> int:
    if settings.attachments is None and not (settings.data / "attachments").exists():
        return 0
    store = FileStore.open(settings.data, settings.attachments)
    with disk_errors(store.place):
        return forget_files(lake, store, grant_id)


def _forget_rows(transaction: Transaction, grant_id: str) -> None:
    of_grant = text_table("grant_id", [grant_id])
    for table in STORED:
        if "grant_id" in table.column_names and table.name not in _UNNAMED:
            transaction.delete(table.name, of_grant)
    transaction.delete("all_grants", text_table("id", [grant_id]))
    transaction.change("notifications", erasure_queries.UNNAME_NOTIFICATIONS, [grant_id])
    transaction.change("written_beside", erasure_queries.UNNAME_BESIDE, [grant_id])
    transaction.change("dead_letters", erasure_queries.FORGET_DEAD_LETTERS_OF, {"grant": grant_id})
