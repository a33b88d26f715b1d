"""Mirror: contacts, calendars, events and provider's threads of grants, listed to their ends."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mail_pipeline.lake import queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.settings import Settings
from mail_pipeline.subset import Subsets, read_subsets
from mail_pipeline.subset.conflicts import check_grant
from mail_pipeline.sync.checkpoints import (
    COMPLETE,
    FAILED,
    LISTING,
    PAUSED,
    REGISTERED,
    SKIPPED,
    Checkpoint,
    newest_checkpoints,
)
from mail_pipeline.sync.fetching import fetch_waiting
from mail_pipeline.sync.pool import GrantWork, Pool, Task, open_pool
from mail_pipeline.sync.position import BackfillOptions, has_more
from mail_pipeline.sync.progress import MailboxProgress, Slice
from mail_pipeline.sync.streams import CALENDARS, EVENTS, RecordStream
from mail_pipeline.sync.widening import Goal

_WORST_FIRST = (FAILED, PAUSED, LISTING, REGISTERED, COMPLETE, SKIPPED)


def mirror(
    stream: RecordStream,
    grant_ids: Sequence[str],
    *,
    settings: Settings,
    options: BackfillOptions | None = None,
    on_progress: Callable[[MailboxProgress], None] | None = None,
) -> Iterator[MailboxProgress]:
    """List a stream of these grants and yield each grant's last word as it ends.

    A grant ends complete, listing (stopped by `max_pages`), paused, failed, or skipped where its provider has
    no such thing; what is complete is not listed again unless `options` ask for it, or more of it is wanted
    than it was listed for. A complete pass asks for each record that it did not show, and what then is not
    found gets its tombstone. Before events the calendars are listed, and then the events of each.

    Raises StopRun for what stops everything, as `backfill` does.
    """
    options = options or BackfillOptions()
    subsets = read_subsets(settings)
    tell = on_progress or (lambda _: None)
    with open_pool(settings, options) as pool:
        known = {row["id"]: row for row in pool.lake.table(queries.KNOWN_GRANTS).to_pylist()}
        wanted = list(dict.fromkeys(grant_ids))
        there = [known[grant_id] for grant_id in wanted if grant_id in known and not known[grant_id]["gone"]]
        for grant_id in wanted:
            if grant_id not in known or known[grant_id]["gone"]:
                yield _gone(grant_id)
        wanted_of = {each["id"] for each in there if _wants(subsets, each, stream)}
        for grant in there:
            if grant["id"] not in wanted_of:
                yield _left_out(grant)
        there = [grant for grant in there if grant["id"] in wanted_of]
        if stream is EVENTS:
            # One request a grant: without its calendars, those made since too, nothing of it can be listed.
            anew = BackfillOptions(full_resync=True, page_size=options.page_size)
            listed = _list(pool, subsets, CALENDARS, there, anew, tell)
            unlisted = {word.grant_id: word for word in listed if word.state != COMPLETE}
            yield from unlisted.values()
            there = [grant for grant in there if grant["id"] not in unlisted]
            # Those that are gone have no events to list.
            fetch_waiting(settings, pool.lake, pool.client)
        else:
            # Only of events is a part listed by time.
            options = replace(options, since=None)
        yield from _list(pool, subsets, stream, there, options, tell)
        fetch_waiting(settings, pool.lake, pool.client)


def _list(
    pool: Pool,
    subsets: Subsets,
    stream: RecordStream,
    grants: Iterable[dict[str, Any]],
    options: BackfillOptions,
    tell: Callable[[MailboxProgress], None],
) -> Iterator[MailboxProgress]:
    """List a stream of grants; yield one word on each, put together from those on its slices."""
    words: dict[str, dict[str, MailboxProgress]] = {}
    left: dict[str, set[str]] = {}
    works = []
    for grant in grants:
        grant_id, provider = grant["id"], grant["provider"]
        goal = Goal(subsets.of(grant_id, provider), kind=stream.kind)
        tasks = list(_tasks(pool.lake, stream, grant, goal))
        words[grant_id] = {task.part.partition_key: task.progress() for task in tasks}
        unfinished = [task for task in tasks if has_more(task.checkpoint, options, goal)]
        left[grant_id] = {task.part.partition_key for task in unfinished}
        if unfinished:
            works.append(GrantWork(grant_id, provider, stream.lease(grant_id), unfinished))
        else:
            yield _together(grant_id, provider, words[grant_id].values())

    def take(word: MailboxProgress) -> MailboxProgress:
        words[word.grant_id][word.partition_key] = word
        return _together(word.grant_id, word.provider, words[word.grant_id].values())

    for word in pool.work(works, lambda word: tell(take(word)), options):
        whole = take(word)
        left[word.grant_id].discard(word.partition_key)
        if left[word.grant_id]:
            tell(whole)
        else:
            yield whole


def _tasks(lake: Lake, stream: RecordStream, grant: dict[str, Any], goal: Goal) -> Iterator[Task]:
    grant_id = grant["id"]
    scopes: list[dict[str, Any]] = [{"id": scope} for scope in stream.scopes(grant["provider"])]
    if stream is EVENTS:
        scopes = lake.table(queries.GRANT_CALENDARS, [grant_id]).to_pylist()
    returned: dict[str, int] = {}
    parts = []
    for scope in scopes:
        part = Slice(
            partition_key=stream.slice_key(grant_id, scope["id"]),
            grant_id=grant_id,
            provider=grant["provider"],
            scope=scope["id"],
            scope_name=scope.get("name"),
            goal=goal,
        )
        parts.append(part)
        returned[part.partition_key] = max(grant["returned_at"] or 0, scope.get("gone_before") or 0)
    stored = newest_checkpoints(lake, [part.partition_key for part in parts])
    for part in parts:
        key = part.partition_key
        new = Checkpoint(partition_key=key, grant_id=grant_id, scope=part.scope, stream=stream.name)
        found = stored.get(key, new)
        if returned[key] > found.updated_at:
            # One that was gone and has returned: what its checkpoint says is of another time.
            found = replace(found, state=REGISTERED)
        yield Task(part, found, stream, ids_before=found.ids_seen)


def _together(grant_id: str, provider: str, words: Collection[MailboxProgress]) -> MailboxProgress:
    """Return one word on a grant: counts added up, the state of the slice that is worst off."""
    now = datetime.now(UTC)
    worst = min(words, key=lambda word: _WORST_FIRST.index(word.state), default=None)
    told = [word for word in words if word.reason is not None and not word.succeeded]
    skipped = [word for word in words if word.state == SKIPPED]
    state = SKIPPED if worst is None else worst.state
    said = (told or skipped)[:1] if told or len(skipped) == len(words) else []
    reason = said[0].reason if said else "Its provider has no such thing" if worst is None else None
    return MailboxProgress(
        partition_key=grant_id,
        grant_id=grant_id,
        provider=provider,
        folder_id=None,
        folder_name=None,
        state=state,
        cursor=None,
        pages=sum(word.pages for word in words),
        messages=sum(word.messages for word in words),
        ids_seen=sum(word.ids_seen for word in words),
        oldest=None,
        newest=None,
        reported=None,
        started_at=min((word.started_at for word in words), default=now),
        updated_at=max((word.updated_at for word in words), default=now),
        rate=sum(word.rate for word in words),
        eta_seconds=None,
        held_until=max((word.held_until for word in words if word.held_until), default=None),
        requests=sum(word.requests for word in words),
        body_bytes=sum(word.body_bytes for word in words),
        quota_units=sum(word.quota_units for word in words),
        dead_letters=sum(word.dead_letters for word in words),
        subscribed=all(word.subscribed for word in words),
        reason=reason,
        next_step=said[0].next_step if said else None,
    )


def _wants(subsets: Subsets, grant: dict[str, Any], stream: RecordStream) -> bool:
    check_grant(subsets, grant["id"], grant["provider"])
    return subsets.of(grant["id"], grant["provider"]).wants(stream.name)


def _left_out(grant: dict[str, Any]) -> MailboxProgress:
    word = _together(grant["id"], grant["provider"], ())
    return replace(
        word,
        state=SKIPPED,
        reason="The configuration file leaves it out",
        next_step="Change mail_pipeline.toml to have it mirrored.",
    )


def _gone(grant_id: str) -> MailboxProgress:
    word = _together(grant_id, "unknown", ())
    return replace(
        word,
        state=FAILED,
        reason="There is no such grant: it is unknown, or gone at the provider",
        next_step="Run the job refresh_accounts, then take a grant from the list of partitions.",
    )
