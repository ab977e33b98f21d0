"""The shape every vendor's answer has: columns, occurrence numbers, windows and the vendors' rule for `known_at`.

Belongs here: what all vendors of this folder do alike to rows they have read or made. Does not belong here: reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trading.frames import INSTANT, Dataset
from trading.ports import Request

HOURS_UNTIL_KNOWN = 12


def schema(dataset: Dataset) -> pa.Schema:
    """The dataset's columns but `session` and `loaded_at`, which the desk adds."""
    return pa.schema([field for field in dataset.schema if field.name not in ("session", "loaded_at")])


def rows(dataset: Dataset, columns: Mapping[str, object]) -> pa.Table:
    """Columns as rows of a delivery. A plain text stands for the same text in every row; a column that is not given
    is missing throughout."""
    wanted = schema(dataset)
    count = next(len(values) for values in columns.values() if not isinstance(values, str))  # type: ignore[arg-type]
    return pa.table([_column(columns.get(field.name), field, count) for field in wanted], schema=wanted)


def _column(values: object, field: pa.Field, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, field.type)
    if isinstance(values, str):
        codes = pa.array(np.zeros(count, dtype=np.int32))
        return pa.DictionaryArray.from_arrays(codes, [values]).cast(pa.string())
    if isinstance(values, np.ndarray):
        values = pa.array(values)
    return values if values.type == field.type else values.cast(field.type)  # type: ignore[attr-defined]


def joined(dataset: Dataset, tables: Sequence[pa.Table]) -> pa.Table:
    """All tables one after the other; no rows of the dataset if there are none."""
    return pa.concat_tables(tables).combine_chunks() if tables else schema(dataset).empty_table()


def occurrences(label: pa.Array, stamp: pa.Array) -> pa.Array:
    """0 for the first row with a label, 1 for the next with the same, in the order of the file."""
    if pc.count_distinct(stamp).as_py() == len(stamp):
        return pa.array(np.zeros(len(stamp), dtype=np.int32))
    return pa.array(pd.Series(label.to_pandas()).groupby(label.to_pandas()).cumcount().to_numpy(dtype=np.int32))


def known_after_label(stamp: pa.Array) -> pa.Array:
    """The rule of vendors whose zone is unknown: the label read as UTC, and twelve hours."""
    later = pc.add(stamp, pa.scalar(HOURS_UNTIL_KNOWN * 3_600_000_000, pa.duration("us")))
    return pc.assume_timezone(later, "UTC").cast(INSTANT)


def within(table: pa.Table, request: Request) -> pa.Table:
    """The rows whose stamp lies on the request's dates, both included."""
    day = table["stamp"].cast(pa.date32(), safe=False)
    if request.since is not None:
        kept = pc.greater_equal(day, pa.scalar(request.since))
        table, day = table.filter(kept), day.filter(kept)
    if request.until is not None:
        table = table.filter(pc.less_equal(day, pa.scalar(request.until)))
    return table
