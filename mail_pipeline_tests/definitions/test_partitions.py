"""Partitions follow the ledger, and many are asked for in few runs."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.ledger import Ledger
from mail_pipeline.partitions import (
    ALL_PARTITIONS,
    PARTITIONS,
    contiguous_ranges,
    in_chunks,
    partition_changes,
    range_tags,
)

LISTED = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = [f"g{number}" for number in range(12)]

subsets = st.sets(st.sampled_from(ORDER))


@given(wanted=subsets, idle=subsets, longest=st.none() | st.integers(1, 5))
def test_ranges_cover_what_is_wanted_once_and_else_only_mailboxes_with_nothing_to_do(wanted, idle, longest):
    ranges = list(contiguous_ranges(ORDER, wanted, bridge=idle, longest=longest))

    covered = [key for keys in ranges for key in keys]
    assert len(covered) == len(set(covered))
    assert wanted <= set(covered)
    assert set(covered) - wanted <= idle
    for keys in ranges:
        start = ORDER.index(keys[0])
        assert list(keys) == ORDER[start : start + len(keys)]
        assert {keys[0], keys[-1]} <= wanted
        assert longest is None or len(keys) <= longest


@given(wanted=subsets)
def test_without_anything_to_pass_over_there_are_as_many_ranges_as_gaps_demand(wanted):
    starts = [key for number, key in enumerate(ORDER) if key in wanted and ORDER[number - 1] not in wanted]
    # The key before the first is the last, which is no neighbour.
    if ORDER[0] in wanted and ORDER[-1] in wanted:
        starts.insert(0, ORDER[0])

    assert [keys[0] for keys in contiguous_ranges(ORDER, wanted)] == starts


def test_a_gap_longer_than_a_run_is_worth_is_not_passed_over():
    order = [f"g{number}" for number in range(1_000)]
    ends = {order[0], order[-1]}

    assert list(contiguous_ranges(order, ends, bridge=order)) == [(order[0],), (order[-1],)]


def test_a_range_is_tagged_with_its_ends():
    assert range_tags(["a", "b", "c"]) == {
        "dagster/asset_partition_range_start": "a",
        "dagster/asset_partition_range_end": "c",
    }


def test_new_mailboxes_are_added_in_the_ledgers_order_and_gone_ones_deleted(instance):
    instance.add_dynamic_partitions(PARTITIONS, ["gone", "a"])

    changes = partition_changes(instance, Ledger(active=("b/INBOX", "a", "b/Sent"), refreshed_at=LISTED))

    assert changes.add == ("b/INBOX", "b/Sent")
    assert changes.delete == ("gone",)


def test_nothing_is_deleted_where_the_accounts_were_never_listed(instance):
    instance.add_dynamic_partitions(PARTITIONS, ["a"])

    assert not partition_changes(instance, Ledger())


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
@pytest.mark.parametrize(("job", "kept"), [("backfill", True), ("refresh_accounts", False)])
def test_nothing_is_deleted_while_messages_is_at_work(instance, status, job, kept):
    from mail_pipeline.definitions import defs

    instance.add_dynamic_partitions(PARTITIONS, ["gone"])
    instance.create_run_for_job(defs.resolve_job_def(job), status=status)

    changes = partition_changes(instance, Ledger(active=("a",), refreshed_at=LISTED))

    assert changes.add == ("a",)
    assert changes.delete == (() if kept else ("gone",))


def test_a_key_that_the_ui_cannot_take_gets_no_partition(instance, caplog):
    ledger = Ledger(active=("good", "two words", "a...b", "a/b/c", ""), refreshed_at=LISTED)

    assert partition_changes(instance, ledger).add == ("good",)
    assert "4 mailboxes get no partition" in caplog.text


def test_a_grant_whose_id_has_a_slash_gets_no_partition_and_loses_one_it_had(instance, caplog):
    for of in ALL_PARTITIONS:
        instance.add_dynamic_partitions(of, ["a/b"])
    ledger = Ledger(active=("a", "a/b", "c/d"), grants=("a", "a/b", "c"), refreshed_at=LISTED)

    mailboxes, grants = (partition_changes(instance, ledger, of=of) for of in ALL_PARTITIONS)

    assert (mailboxes.add, mailboxes.delete) == (("a", "c/d"), ("a/b",))
    assert (grants.add, grants.delete) == (("a", "c"), ("a/b",))
    assert caplog.text.count("get no partition") == 2


def test_a_bound_leaves_the_rest_for_the_next_time(instance):
    instance.add_dynamic_partitions(PARTITIONS, ["x", "y", "z"])
    ledger = Ledger(active=("a", "b", "c"), refreshed_at=LISTED)

    changes = partition_changes(instance, ledger, at_most=2)

    assert (changes.add, changes.delete) == (("a", "b"), ("x", "y"))


def test_keys_are_added_in_chunks_that_sqlite_can_take(instance):
    keys = [f"grant/{number}" for number in range(25_001)]

    chunks = list(in_chunks(keys))
    for chunk in chunks:
        instance.add_dynamic_partitions(PARTITIONS, list(chunk))

    assert [len(chunk) for chunk in chunks] == [10_000, 10_000, 5_001]
    assert instance.get_dynamic_partitions(PARTITIONS) == keys
