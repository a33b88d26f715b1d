"""Columns made without pandas are those that Arrow itself would make."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.lake import arrays
from mail_pipeline.lake.arrays import array
from mail_pipeline.lake.schema import TABLES

texts = st.text(max_size=6)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): texts,
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.timestamp("us", tz="UTC"): st.integers(-(2**63), 2**63 - 1),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.float64(): st.floats(allow_nan=False),
    pa.list_(pa.string()): st.lists(st.none() | texts, max_size=3),
}
columns = st.sampled_from(list(VALUES)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(st.none() | VALUES[kind], max_size=20))
)


@given(columns, st.booleans())
def test_a_column_is_what_arrow_makes_of_the_values(column: tuple[pa.DataType, list[Any]], whole: bool):
    kind, values = column
    if whole:
        values = [value for value in values if value is not None]
    made = array(values, kind)

    made.validate(full=True)
    assert made.equals(pa.array(values, kind))
    assert array(tuple(values), kind).equals(made)


@given(st.lists(texts, max_size=5))
def test_text_may_be_given_in_utf_8(values: list[str]):
    assert array([value.encode() for value in values], pa.string()).equals(pa.array(values, pa.string()))


def test_every_type_of_the_schema_can_be_made():
    assert {kind for table in TABLES.values() for kind in table.arrow.types} <= VALUES.keys()


def test_a_time_may_be_given_as_a_datetime():
    moment, kind = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), pa.timestamp("us", tz="UTC")
    assert array([moment, None], kind).to_pylist() == [moment, None]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (7, pa.string()),
        ("7", pa.int64()),
        (2**63, pa.int64()),
        (2**31, pa.int32()),
        (-1, pa.uint64()),
        ("true", pa.bool_()),
        ([7], pa.list_(pa.string())),
        (7, pa.list_(pa.string())),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, kind: pa.DataType):
    for values in ([value], [None, value]):
        with pytest.raises((pa.ArrowException, OverflowError)):
            array(values, kind)


def test_a_column_too_long_for_its_offsets_is_refused_and_not_wrapped_around():
    whole, half = range(2**31 - 1), range(2**30)

    farthest = arrays._offsets([whole, ()]).to_pybytes()
    assert np.frombuffer(farthest, np.int32).tolist() == [0, 2**31 - 1, 2**31 - 1]
    for values in ([half, half], [whole, "x"], [half] * 4):
        with pytest.raises(OverflowError):
            arrays._offsets(values)


def test_what_is_too_long_for_one_column_is_left_to_arrow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "_FARTHEST", 3)

    for kind, values in ((pa.string(), ["ab", "é", "c"]), (pa.list_(pa.int64()), [[1, 2], [3, 4]])):
        assert array(values, kind).equals(pa.array(values, kind))


_WRITER = """
import pathlib, sys
from mail_pipeline.lake.writer import Lake
from mail_pipeline.lake.rows import arrow_table
from mail_pipeline.sync.rows import keys
with Lake(pathlib.Path(sys.argv[1])) as lake, lake.transaction() as transaction:
    transaction.append("message_folders", arrow_table("message_folders", [("g", "m", "INBOX")]))
    assert transaction.matching("message_folders", keys([("g", "m")], id_column="message_id")).num_rows == 1
assert "pandas" not in sys.modules
"""


def test_writing_and_looking_up_rows_needs_no_pandas(data: Path):
    subprocess.run([sys.executable, "-c", _WRITER, data], check=True)
