"""Checkpoints: where a mailbox stands, written in the same commit as the page that got it there."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import pyarrow as pa

from mail_pipeline.lake import queries
from mail_pipeline.lake.arrays import text_table
from mail_pipeline.lake.rows import arrow_table, unix_seconds
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.plan import Plan

MESSAGES = "messages"
"""The stream of mail; the others are named as their tables."""

REGISTERED = "registered"
LISTING = "listing"
COMPLETE = "complete"
SKIPPED = "skipped"
"""The provider does not serve it; asked again only when all of it is listed again."""
PAUSED = "paused"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One row of `checkpoints`, described there; times are unix seconds. `pass` is `round` here."""

    partition_key: str
    version: int = 0
    fence: int = 0
    grant_id: str
    scope: str | None = None
    state: str = REGISTERED
    round: int = 0
    cursor: str | None = None
    listed_before: int | None = None
    pages: int = 0
    messages: int = 0
    ids_seen: int = 0
    oldest: int | None = None
    newest: int | None = None
    since: int | None = None
    pass_started: int | None = None
    first_fetch: int | None = None
    last_fetch: int | None = None
    requests: int = 0
    body_bytes: int = 0
    quota_units: int = 0
    dead_letters: int = 0
    subscribed: bool = False
    reason: str | None = None
    next_step: str | None = None
    until: int | None = None
    updated_at: int = 0
    stream: str = MESSAGES
    planned_messages: int | None = None
    planned_pages: int | None = None
    planned_units: int | None = None
    planned_seconds: int | None = None
    subset: str | None = None
    adding: str | None = None
    reached: int | None = None

    @property
    def planned(self) -> Plan | None:
        """Return what the pass was expected to take when it began, where somebody could say."""
        told = (self.planned_messages, self.planned_pages, self.planned_units, self.planned_seconds)
        messages, pages, units, seconds = told
        if messages is None or pages is None or units is None or seconds is None:
            return None
        return Plan(messages=messages, pages=pages, quota_units=units, seconds=seconds)


def checkpoint_rows(checkpoints: Iterable[Checkpoint]) -> pa.Table:
    """Return checkpoints as rows to append."""
    return arrow_table("checkpoints", [astuple(each) for each in checkpoints])


def newest_checkpoints(lake: Lake, partition_keys: Iterable[str]) -> dict[str, Checkpoint]:
    """Return the newest checkpoint of each of these partitions that has one."""
    wanted = text_table("partition_key", partition_keys)
    if not wanted.num_rows:
        return {}
    found = lake.table(queries.NEWEST_CHECKPOINTS, wanted=wanted)
    found = found.rename_columns(["round" if name == "pass" else name for name in found.column_names])
    checkpoints = (
        Checkpoint(**{name: unix_seconds(value) for name, value in row.items()}) for row in found.to_pylist()
    )
    return {each.partition_key: each for each in checkpoints}
