"""Dead letters as rows of the lake."""

from typing import Any

from mail_pipeline.sync.records import DeadLetter


def dead_letter_row(
    letter: DeadLetter, at: float, grant_id: str | None = None, partition_key: str | None = None
) -> tuple[Any, ...]:
    """Return the row of a record that came at `at` (unix seconds), on a pass where a partition is named."""
    return (
        grant_id,
        partition_key,
        letter.object,
        letter.object_id,
        letter.reason,
        letter.stored,
        letter.raw,
        at,
    )
