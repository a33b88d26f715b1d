"""What people are told of a mailbox: its counts, how fast it goes, and when it will be done."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mail_pipeline.sync.checkpoints import COMPLETE, LISTING, Checkpoint
from mail_pipeline.sync.progress import MailboxProgress, Slice, progress


def told(
    reported: int | None = 1_000, ids_before: int = 0, held_until: float | None = None, **fields: Any
) -> MailboxProgress:
    mailbox = Slice(partition_key="g", grant_id="g", provider="ews", reported=reported)
    checkpoint = Checkpoint(partition_key="g", grant_id="g", **{"state": LISTING, "ids_seen": 400, **fields})
    return progress(
        mailbox, checkpoint, started_at=100.0, now=110.0, ids_before=ids_before, held_until=held_until
    )


def test_the_rate_is_of_this_run_and_the_eta_of_what_is_left() -> None:
    found = told(ids_before=200)

    assert found.rate == 20.0
    assert found.eta_seconds == 30.0


def test_more_than_was_reported_leaves_nothing() -> None:
    assert told(reported=300).eta_seconds == 0.0


@pytest.mark.parametrize(
    "fields", [{"reported": None}, {"ids_before": 400}, {"state": COMPLETE}, {"ids_before": 500}]
)
def test_where_nothing_can_be_said_there_is_no_eta(fields: dict[str, Any]) -> None:
    assert told(**fields).eta_seconds is None


def test_a_mailbox_is_held_only_until_then() -> None:
    assert told(held_until=111.0).held_until == datetime.fromtimestamp(111, UTC)
    assert told(held_until=109.0).held_until is None
    assert told().held_until is None


def test_times_are_utc() -> None:
    found = told(oldest=0, newest=1_700_000_000)

    assert found.oldest == datetime(1970, 1, 1, tzinfo=UTC)
    assert found.newest == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found.started_at == datetime.fromtimestamp(100, UTC)
    assert found.updated_at == datetime.fromtimestamp(110, UTC)


def test_success_is_the_absence_of_a_reason() -> None:
    assert told().succeeded
    assert not told(reason="paused").succeeded
