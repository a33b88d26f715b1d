"""Python values as Arrow columns, without pandas.

`pyarrow.array` imports it at its first use: 0.2 s of CPU and 45 MB in every process that writes a row.
"""

from array import array as numbers
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CODES = {pa.int32(): "i", pa.int64(): "q", pa.uint64(): "Q", pa.timestamp("us", tz="UTC"): "q"}
"""How the standard library, which takes nothing but whole numbers for them, calls these types."""
_FARTHEST = 2**31 - 1
"""Offsets of text and lists are 32 bits wide."""


def array(values: Sequence[Any], kind: pa.DataType) -> Any:
    """Return what `pyarrow.array` returns; text may be given as bytes in UTF-8 as well, none of it null.

    Raises what it raises, and leaves to it what is neither text, number, flag nor a list of these.
    """
    try:
        return _array(values, kind)
    except (TypeError, OverflowError):
        return pa.array(values, kind)


def text_table(column: str, values: Iterable[str]) -> pa.Table:
    """Return a table of one column of text, for looking up rows."""
    return pa.table({column: array(list(values), pa.string())})


def _array(values: Sequence[Any], kind: pa.DataType) -> Any:
    validity: pa.Buffer | None = None
    if None in values:
        present = np.fromiter((value is not None for value in values), np.bool_, len(values))
        validity = _bits(present)
        absent: Any = "" if pa.types.is_string(kind) else () if pa.types.is_list(kind) else 0
        values = [absent if value is None else value for value in values]
    if pa.types.is_list(kind):
        items = _array(list(chain.from_iterable(values)), kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [validity, _offsets(values)], children=[items])
    return pa.Array.from_buffers(kind, len(values), [validity, *_buffers(values, kind)])


def _buffers(values: Sequence[Any], kind: pa.DataType) -> list[pa.Buffer]:
    if kind in _CODES:
        return [pa.py_buffer(numbers(_CODES[kind], values))]
    if pa.types.is_boolean(kind):
        return [_bits(np.frombuffer(bytes(values), np.bool_))]
    if not pa.types.is_string(kind):
        raise TypeError(kind)
    if values and isinstance(values[0], bytes):
        return [_offsets(values), pa.py_buffer(b"".join(values))]
    text = "".join(values)
    if text.isascii():
        return [_offsets(values), pa.py_buffer(text.encode())]
    return _buffers([value.encode() for value in values], kind)


def _offsets(values: Sequence[Any]) -> pa.Buffer:
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    if offsets[-1] > _FARTHEST:
        raise OverflowError(f"A column of {offsets[-1]:,} bytes or items is more than its offsets can tell")
    return pa.py_buffer(offsets.astype(np.int32).data)


def _bits(flags: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little").data)
