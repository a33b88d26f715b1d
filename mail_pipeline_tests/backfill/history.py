"""What a lake went through, commit by commit: DuckLake keeps every snapshot, `checkpoints` every step."""

import itertools
from typing import Any

from mail_pipeline_tests.backfill.world import World

_STEPS = "SELECT * FROM checkpoints ORDER BY partition_key, version"
_SNAPSHOTS = "SELECT snapshot_id FROM ducklake_snapshots('lake') WHERE schema_version > 0 ORDER BY ALL"
_COUNTS = """
WITH newest AS (
    SELECT * FROM checkpoints AT (VERSION => ?)
    QUALIFY row_number() OVER (PARTITION BY partition_key ORDER BY version DESC) = 1
), told AS (
    SELECT grant_id, sum(messages)::BIGINT AS messages FROM newest GROUP BY grant_id
), held AS (
    SELECT grant_id, count(*) AS messages, count(DISTINCT id) AS ids, count(body_bytes) AS with_body,
        sum(len(folders))::BIGINT AS folders
    FROM all_messages AT (VERSION => ?) GROUP BY grant_id
), bodies AS (
    SELECT grant_id, count(*) AS bodies FROM message_bodies AT (VERSION => ?) GROUP BY grant_id
), places AS (
    SELECT grant_id, count(*) AS places FROM message_folders AT (VERSION => ?) GROUP BY grant_id
)
SELECT grant_id, coalesce(told.messages, 0) AS told, coalesce(held.messages, 0) AS messages,
    coalesce(ids, 0) AS ids, coalesce(with_body, 0) AS with_body, coalesce(bodies, 0) AS bodies,
    coalesce(folders, 0) AS folders, coalesce(places, 0) AS places
FROM told FULL JOIN held USING (grant_id) FULL JOIN bodies USING (grant_id) FULL JOIN places USING (grant_id)
"""


def assert_steps_are_legal(world: World) -> None:
    """Hold every checkpoint against the one before it."""
    rows = world.connection.execute(_STEPS).to_arrow_table().to_pylist()
    assert rows
    for _, steps in itertools.groupby(rows, key=lambda row: row["partition_key"]):
        before: dict[str, Any] | None = None
        for step in steps:
            _assert_follows(before, step)
            before = step


def _assert_follows(before: dict[str, Any] | None, step: dict[str, Any]) -> None:
    if before is None:
        before = {"version": 0, "pass": 0, "pages": 0, "fence": 0, "messages": 0}
    stopped = step["state"] in {"paused", "failed", "skipped"}
    assert step["version"] > before["version"]
    assert step["fence"] >= before["fence"]
    assert step["messages"] >= before["messages"]
    assert step["pass"] in {before["pass"], before["pass"] + 1}
    assert bool(step["reason"]) == stopped
    if not stopped:
        # Where events of an earlier time come next their list begins anew, without a cursor.
        going_on = step["cursor"] is not None or step["listed_before"] is not None
        assert going_on == (step["state"] != "complete")
        # Each write was a page, the last one of a complete mailbox too; a commit may hold several.
        pages = before["pages"] if before["pass"] == step["pass"] else 0
        assert step["pages"] - pages == step["version"] - before["version"]


def assert_snapshots_agree(world: World) -> int:
    """Hold the rows of every snapshot against its checkpoints; return how many snapshots have mail."""
    with_mail = 0
    for (version,) in world.ask(_SNAPSHOTS):
        counts = world.connection.execute(_COUNTS, [version] * 4).to_arrow_table().to_pylist()
        for row in counts:
            assert row["told"] == row["messages"] == row["ids"]
            assert row["bodies"] == row["with_body"]
            assert row["places"] == row["folders"]
        with_mail += any(row["messages"] for row in counts)
    return with_mail
