"""Columns of Arrow tables as NumPy arrays, without pandas.

Belongs here: the conversion (Arrow's own `to_numpy` imports pandas, which takes longer than most panels take to make).
Does not belong here: what the columns mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def reals(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Numbers as float64; null is NaN."""
    return _eight_bytes(_cast(column, pa.float64()), "float64", np.nan)


def times(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    """Times without zone, or dates, as datetime64[us]; null is NaT."""
    return _eight_bytes(_cast(column, pa.timestamp("us")), "datetime64[us]", np.datetime64("NaT"))


def wholes(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
    """Whole numbers of any width as int64. No row may be null."""
    column = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    return _eight_bytes(_cast(column, pa.int64()), "int64", 0)


def codes(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Distinct texts in order of appearance, and the place of each row's among them. No row may be null."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.dictionary.to_pylist(), wholes(encoded.indices)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _eight_bytes(column: pa.ChunkedArray, kind: str, missing: object) -> npt.NDArray[Any]:
    chunk = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    present, data = chunk.buffers()
    if not len(chunk):
        return np.empty(0, kind)
    values: npt.NDArray[Any] = np.frombuffer(data, dtype=kind, count=len(chunk), offset=8 * chunk.offset)
    if not chunk.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(present, dtype=np.uint8), bitorder="little")
    return np.where(bits[chunk.offset : chunk.offset + len(chunk)].astype(bool), values, np.array(missing, kind))
