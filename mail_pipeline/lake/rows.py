"""Rows as the lake takes them: times as unix seconds, or as they were read from it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.schema import TABLES

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def arrow_table(name: str, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Return rows, whose values stand in the table's column order, as an Arrow table.

    Text may be given as bytes in UTF-8.
    """
    schema = TABLES[name].arrow
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return pa.Table.from_arrays(
        [_column(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )


def table_of(name: str, records: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return records that name all columns of a table as an Arrow table."""
    names = TABLES[name].column_names
    return arrow_table(name, [[record[column] for column in names] for record in records])


def unix_seconds(value: Any) -> Any:
    """Return a time read from the lake as whole unix seconds, and what is no time as it is."""
    return int(value.timestamp()) if isinstance(value, datetime) else value


def _column(values: Sequence[Any], kind: pa.DataType) -> Any:
    if pa.types.is_timestamp(kind):
        values = [None if value is None else _microseconds(value) for value in values]
    return array(values, kind)


def _microseconds(moment: float | datetime) -> int:
    if isinstance(moment, datetime):
        return (moment - _BEGIN) // timedelta(microseconds=1)
    return round(moment * 1_000_000)
