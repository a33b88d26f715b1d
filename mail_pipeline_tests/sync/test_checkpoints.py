"""Where a mailbox stands is read back as it was written, and the newest counts."""

from dataclasses import fields

from mail_pipeline.lake.schema import TABLES
from mail_pipeline.lake.writer import Lake
from mail_pipeline.sync.checkpoints import LISTING, Checkpoint, checkpoint_rows, newest_checkpoints


def store(lake: Lake, *checkpoints: Checkpoint) -> None:
    with lake.transaction() as transaction:
        transaction.append("checkpoints", checkpoint_rows(checkpoints))


def test_every_column_is_a_field_of_the_same_place() -> None:
    names = ["pass" if each.name == "round" else each.name for each in fields(Checkpoint)]

    assert tuple(names) == TABLES["checkpoints"].column_names


def test_a_checkpoint_comes_back_as_it_was_written(lake: Lake) -> None:
    bare = Checkpoint(partition_key="g", grant_id="g")
    full = Checkpoint(
        partition_key="g/F",
        version=3,
        fence=2,
        grant_id="g",
        scope="F\0/é",
        state=LISTING,
        round=2,
        cursor="c==",
        listed_before=1,
        pages=4,
        messages=5,
        ids_seen=6,
        oldest=0,
        newest=253_402_300_799,
        since=7,
        pass_started=8,
        first_fetch=9,
        last_fetch=10,
        requests=11,
        body_bytes=2**40,
        quota_units=12,
        dead_letters=13,
        subscribed=True,
        reason="r",
        next_step="n",
        until=14,
        updated_at=15,
    )
    store(lake, bare, full)

    assert newest_checkpoints(lake, ["g", "g/F", "unknown"]) == {"g": bare, "g/F": full}


def test_the_newest_version_counts_whatever_the_order(lake: Lake) -> None:
    versions = [Checkpoint(partition_key="g", grant_id="g", version=each) for each in (2, 10, 9)]
    store(lake, *versions)
    store(lake, Checkpoint(partition_key="g", grant_id="g", version=1))

    assert newest_checkpoints(lake, ["g"]) == {"g": versions[1]}


def test_none_asked_for_is_none_found(lake: Lake) -> None:
    assert newest_checkpoints(lake, []) == {}
