"""When less is wanted: checkpoints say so, so that what is left out is fetched should it be wanted again."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from mail_pipeline.errors import RetryLater
from mail_pipeline.lake import queries, subset_queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.subset import Subset, Subsets
from mail_pipeline.sync.checkpoints import MESSAGES, Checkpoint, checkpoint_rows, newest_checkpoints
from mail_pipeline.sync.leases import Leases
from mail_pipeline.sync.position import from_its_top, narrower, was_listed
from mail_pipeline.sync.scopes import Scope, Scopes
from mail_pipeline.sync.streams import STREAMS, leases_of
from mail_pipeline.sync.widening import Goal


def note_less(lake: Lake, leases: Leases, subsets: Subsets) -> None:
    """Record what is not wanted any more of what was ever listed; to be called before it is left out.

    A list of which nothing is wanted will begin at its top, should it be wanted again. A grant that another
    worker is at work on is left to the next call.
    """
    if subsets.everything:
        return
    grants = lake.table(queries.KNOWN_GRANTS).to_pylist()
    found = {row["id"]: subsets.of(row["id"], row["provider"]) for row in grants if not row["gone"]}
    concerned: dict[str, list[str]] = {}
    for row in lake.table(subset_queries.LISTED_SLICES).to_pylist():
        excluded, grant_id = row.pop("excluded"), row["grant_id"]
        if grant_id in found and (excluded or _lacks(Checkpoint(**row), found[grant_id])):
            concerned.setdefault(grant_id, []).append(row["partition_key"])
    scopes = Scopes(lake, subsets)
    for grant_id, keys in concerned.items():
        scope = scopes.of(grant_id, found[grant_id].provider)
        held = leases.held(lake, grant_id, leases_of(grant_id))
        with suppress(RetryLater), held, lake.transaction() as transaction:
            standing = newest_checkpoints(lake, keys).values()
            transaction.append("checkpoints", checkpoint_rows(lessened(standing, leases, scopes, scope)))


def lessened(
    standing: Iterable[Checkpoint], leases: Leases, scopes: Scopes, scope: Scope, *, removed: bool = False
) -> list[Checkpoint]:
    """Return the checkpoints of a grant to be written where these stand and less is wanted, or `removed`.

    The caller holds the grant's leases and the lake's write lock.
    """
    now = int(time.time())
    return [
        replace(
            less,
            version=each.version + 1,
            fence=leases.check(STREAMS[each.stream].lease(scope.grant_id)),
            updated_at=now,
        )
        for each in standing
        if (less := _less(each, scopes, scope, removed)) != each
    ]


def _lacks(checkpoint: Checkpoint, subset: Subset) -> bool:
    """Tell, without a look at its folders, whether there may be something to record of a list."""
    if not subset.wants(checkpoint.stream):
        return True
    return narrower(checkpoint, Goal(subset, kind=STREAMS[checkpoint.stream].kind)) != checkpoint


def _less(checkpoint: Checkpoint, scopes: Scopes, scope: Scope, removed: bool) -> Checkpoint:
    stream = STREAMS[checkpoint.stream]
    excluded = stream.name == MESSAGES and not scope.wants_mailbox(checkpoint.scope)
    if excluded or not scope.subset.wants(stream.name):
        return from_its_top(checkpoint) if was_listed(checkpoint) else checkpoint
    goal = scopes.goal(scope.grant_id, scope.subset.provider, stream.kind)
    return narrower(checkpoint, goal, by_time=stream.newest_first, removed=removed)
