"""Dead letters as the simplest rows to write: nothing in them depends on anything."""

import pyarrow as pa

from mail_pipeline.lake.schema import TABLES


def letters(grant_id: str, *numbers: int) -> pa.Table:
    """Return one dead letter for each number, with the number as its id."""
    schema = TABLES["dead_letters"].arrow
    row = dict.fromkeys(schema.names)
    return pa.Table.from_pylist(
        [{**row, "grant_id": grant_id, "object_id": f"{number}", "stored": False} for number in numbers],
        schema=schema,
    )


def keys(grant_id: str, *numbers: int) -> pa.Table:
    """Return the keys of those letters."""
    return letters(grant_id, *numbers).select(["grant_id", "object_id"])


STORED = "SELECT object_id FROM dead_letters ORDER BY object_id::INTEGER"
