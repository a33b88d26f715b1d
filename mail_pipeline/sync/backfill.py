"""Backfill: mailboxes listed to their first message."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.writer import Lake
from mail_pipeline.nylas import Limits
from mail_pipeline.settings import Settings
from mail_pipeline.subset import Subsets, read_subsets
from mail_pipeline.subset.conflicts import check_grant
from mail_pipeline.sync.checkpoints import FAILED, REGISTERED, SKIPPED, Checkpoint, newest_checkpoints
from mail_pipeline.sync.client import limits_of
from mail_pipeline.sync.partition_keys import split
from mail_pipeline.sync.plan import plan
from mail_pipeline.sync.pool import GrantWork, Task, open_pool
from mail_pipeline.sync.position import BackfillOptions, has_more
from mail_pipeline.sync.progress import MailboxProgress, Slice
from mail_pipeline.sync.scopes import Scopes
from mail_pipeline.sync.streams.mail import MAIL

__all__ = ["BackfillOptions", "MailboxProgress", "backfill"]


def backfill(
    keys: Sequence[str],
    *,
    settings: Settings,
    options: BackfillOptions | None = None,
    on_progress: Callable[[MailboxProgress], None] | None = None,
) -> Iterator[MailboxProgress]:
    """Backfill the mailboxes of these partitions and yield each one's last word as it ends.

    A mailbox ends complete, listing (stopped by `max_pages`), paused or failed; the last two say why and
    what to do, and the others go on. One that is complete already is not listed again unless `options` ask
    for it. `on_progress` is called from the caller's thread, about once a second for each mailbox at work.
    A grant that another process works on is waited for. Ending the iteration early stops all work; what is
    stored stays, and the next call goes on from there.

    Raises StopRun for what stops everything: no key, a wrong key or address, a full disk, a newer lake.
    """
    options = options or BackfillOptions()
    with open_pool(settings, options) as pool:
        wanted, subsets = list(dict.fromkeys(keys)), read_subsets(settings)
        grants, settled = _sort(pool.lake, wanted, options, limits_of(settings), subsets)
        yield from settled
        yield from pool.work(grants.values(), on_progress or (lambda _: None))


def _sort(
    lake: Lake, wanted: list[str], options: BackfillOptions, limits: Limits, subsets: Subsets
) -> tuple[Mapping[str, GrantWork], list[MailboxProgress]]:
    """Tell the mailboxes there is work for, by grant, from those whose outcome is known already."""
    table = text_table("partition_key", wanted)
    found = {row["partition_key"]: row for row in lake.table(queries.MAILBOXES, wanted=table).to_pylist()}
    grants: dict[str, GrantWork] = {}
    settled = []
    scopes = Scopes(lake, subsets)
    for key, checkpoint in _standing(lake, wanted, found).items():
        row = found.get(key)
        mailbox = _mailbox(key, row, options, limits)
        task = Task(mailbox, checkpoint, ids_before=checkpoint.ids_seen)
        scope = None
        if row is not None:
            check_grant(subsets, row["grant_id"], row["provider"])
            scope = scopes.of(row["grant_id"], row["provider"])
            task.part = replace(task.part, goal=scopes.goal(row["grant_id"], row["provider"]))
        if scope is not None and not scope.wants_mailbox(task.part.scope):
            settled.append(_left_out(task))
        elif row is None or not row["active"]:
            settled.append(_gone(task))
        elif not has_more(checkpoint, options, task.part.goal):
            settled.append(task.progress())
        else:
            grant_id = row["grant_id"]
            new = GrantWork(grant_id, row["provider"], MAIL.lease(grant_id))
            grants.setdefault(grant_id, new).tasks.append(task)
    return grants, settled


def _standing(lake: Lake, wanted: list[str], found: Mapping[str, dict[str, Any]]) -> dict[str, Checkpoint]:
    """Return where each mailbox stands; one never listed, or gone and returned, stands at its top."""
    begun = [key for key in wanted if key not in found or found[key]["updated_at"] is not None]
    stored = newest_checkpoints(lake, begun)
    standing = {}
    for key in wanted:
        row = found.get(key)
        grant_id = split(key)[0] if row is None else row["grant_id"]
        checkpoint = stored.get(key) or Checkpoint(partition_key=key, grant_id=grant_id)
        if row is not None and row["state"] == REGISTERED:
            # What changed while it was gone, nobody has told.
            checkpoint = replace(checkpoint, state=REGISTERED, subscribed=False)
        standing[key] = checkpoint
    return standing


def _mailbox(key: str, row: dict[str, Any] | None, options: BackfillOptions, limits: Limits) -> Slice:
    if row is None:
        return Slice(partition_key=key, grant_id=split(key)[0], provider="unknown")
    return Slice(
        partition_key=key,
        grant_id=row["grant_id"],
        provider=row["provider"],
        scope=row["folder_id"],
        scope_name=row["folder_name"],
        reported=row["reported"],
        # How much of it is newer than a date, nobody says.
        planned=plan(
            row["provider"],
            row["expected"],
            limits=limits,
            page_size=options.page_size,
            seconds_per_page=row["seconds_per_page"],
        )
        if options.since is None
        else None,
    )


def _left_out(task: Task) -> MailboxProgress:
    step = "Change mail_pipeline.toml and run the job refresh_accounts to have it mirrored."
    return _settled(task, SKIPPED, "The configuration file leaves it out", step)


def _gone(task: Task) -> MailboxProgress:
    reason = "There is no such mailbox: its grant or folder is unknown, or gone at the provider"
    step = "Run the job refresh_accounts, then take a partition key from the list of partitions."
    return _settled(task, FAILED, reason, step)


def _settled(task: Task, state: str, reason: str, next_step: str) -> MailboxProgress:
    task.checkpoint = replace(task.checkpoint, state=state, reason=reason, next_step=next_step)
    return task.progress()
