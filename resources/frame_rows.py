"""What every frame store does to rows, whatever it stores them in: fitting, order, equality, selection.

Belongs here: pure operations on Arrow tables of a dataset, and finding the version an as-of means. Does not belong
here: files, locks, commits, or anything one adapter alone needs.

Rows are kept in key order, equal keys in the order of their other columns. A missing float is null, never NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading.errors import SchemaMismatch, UsageError, VersionNotFound
from trading.frames import Dataset
from trading.ports import AsOf, Span, Version

Codes = npt.NDArray[np.int64]


# --- fitting ----------------------------------------------------------------------------------------------------------
def fitted(rows: pa.Table, dataset: Dataset) -> pa.Table:
    """`rows` with exactly the dataset's columns and types, in key order, NaN as null and -0.0 as 0.0.

    Raises SchemaMismatch on a missing or unknown column, a type that does not fit, or a null in a required column.
    """
    _same_columns(rows, dataset)
    try:
        table = rows.select(dataset.schema.names).cast(_nullable(dataset.schema))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise SchemaMismatch(f"rows for {dataset.name} do not fit its types: {cause}. Convert them first.") from cause
    arrays = [_canonical(table[field.name]) for field in dataset.schema]
    for field, values in zip(dataset.schema, arrays, strict=True):
        if not field.nullable and values.null_count:
            raise SchemaMismatch(
                f"rows for {dataset.name} have {values.null_count} without {field.name}, which is required. "
                "Fill it, or quarantine the rows."
            )
    return in_key_order(pa.Table.from_arrays(arrays, schema=dataset.schema), dataset)


def _same_columns(rows: pa.Table, dataset: Dataset) -> None:
    missing = [name for name in dataset.schema.names if name not in rows.column_names]
    unknown = [name for name in rows.column_names if name not in dataset.schema.names]
    if missing or unknown:
        what = f"lack the column {missing[0]}" if missing else f"have a column {unknown[0]} that it does not"
        raise SchemaMismatch(f"rows for {dataset.name} {what}. Its columns: {', '.join(dataset.schema.names)}.")


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in schema])


def _canonical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(values.type):
        return values
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return pc.if_else(pc.equal(values, 0.0), pa.scalar(0.0, values.type), values)


def require_within(rows: pa.Table, dataset: Dataset, span: Span) -> None:
    """Raises SchemaMismatch naming the first of fitted `rows` that lies outside `span`."""
    outside = rows.filter(pc.invert(inside(rows, dataset, span)))
    if outside.num_rows:
        row = outside.select([dataset.series[0], "session"]).slice(0, 1).to_pylist()[0]
        raise SchemaMismatch(
            f"{outside.num_rows} rows for {dataset.name} lie outside what they replace ({span.first} to {span.last}"
            f"{'' if span.series is None else ', ' + ', '.join(span.series)}), the first of {row[dataset.series[0]]} "
            f"on {row['session']}. Widen the span or leave them out."
        )


def require_kind(dataset: Dataset, *, appending: bool) -> None:
    """Raises SchemaMismatch where an append-only dataset would be replaced, or another one appended to."""
    if dataset.append_only and not appending:
        raise SchemaMismatch(f"{dataset.name} is append-only: its rows are never replaced. Append the correction.")
    if appending and not dataset.append_only:
        raise SchemaMismatch(f"{dataset.name} is replaced by session, not appended to. Replace the sessions instead.")


# --- order and equality -----------------------------------------------------------------------------------------------
def in_key_order(table: pa.Table, dataset: Dataset) -> pa.Table:
    """The same rows sorted by key (then, where keys repeat, by content), nulls last. Sorted rows are not copied."""
    codes = [_codes(table[name]) for name in dataset.key]
    if not _ascending(codes):
        order = np.lexsort([_narrow(column) for column in reversed(codes)])
        table = table.take(pa.array(order))
        codes = [column[order] for column in codes]
    if not _ties(codes).any():
        return table
    names = dict.fromkeys([*dataset.key, *dataset.content])
    return table.sort_by([(name, "ascending") for name in names])


def _ties(columns: Sequence[Codes]) -> npt.NDArray[np.bool_]:
    """Which rows have the key of the row before them."""
    same = [codes[1:] == codes[:-1] for codes in columns]
    return functools.reduce(np.logical_and, same)


def _codes(values: pa.ChunkedArray) -> Codes:
    """Whole numbers in the order of the values, null greatest."""
    if pa.types.is_string(values.type):
        return _text_codes(values)
    width = pa.int32() if pa.types.is_date(values.type) or values.type.bit_width == 32 else pa.int64()
    numbers = pc.fill_null(values.cast(width).cast(pa.int64()), np.iinfo(np.int64).max)
    return numbers.to_numpy()  # type: ignore[no-any-return]


def _text_codes(values: pa.ChunkedArray) -> Codes:
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    ranks = pc.rank(encoded.dictionary).to_numpy(zero_copy_only=False).astype(np.int64)
    indices = pc.fill_null(encoded.indices, len(ranks)).to_numpy(zero_copy_only=False)
    ordered: Codes = np.append(ranks, np.iinfo(np.int64).max)[indices]
    return ordered


def _narrow(codes: Codes) -> npt.NDArray[np.int64] | npt.NDArray[np.int16]:
    """16 bits where they suffice: numpy then sorts by radix."""
    fits = codes.size and codes.max() < 2**15 and codes.min() >= -(2**15)
    return codes.astype(np.int16) if fits else codes


def _ascending(columns: Sequence[Codes]) -> bool:
    tied = np.ones(max(len(columns[0]) - 1, 0), dtype=bool)
    for codes in columns:
        if (tied & (codes[1:] < codes[:-1])).any():
            return False
        tied &= codes[1:] == codes[:-1]
    return True


def equal_content(one: pa.Table, other: pa.Table, dataset: Dataset) -> bool:
    """Whether two tables of fitted rows in key order are the same but for `loaded_at`."""
    return one.num_rows == other.num_rows and bool(
        one.select(list(dataset.content)).equals(other.select(list(dataset.content)))
    )


def not_yet_there(rows: pa.Table, there: pa.Table, dataset: Dataset) -> pa.Table:
    """The fitted `rows` whose content is neither in `there` nor earlier in `rows` themselves."""
    if equal_content(rows, there, dataset):
        return rows.slice(0, 0)
    content = list(dataset.content)
    both = pa.concat_tables([there.select(content), rows.select(content)])
    # Each column as whole numbers, null a value like any other: exact. Not by pandas, which takes long to import.
    numbers = pa.table({name: _labels(both[name]) for name in content})
    place = pa.array(np.arange(both.num_rows))
    first = numbers.append_column("daybook place", place).group_by(content).aggregate([("daybook place", "min")])
    new = np.zeros(both.num_rows, dtype=bool)
    new[first["daybook place_min"].to_numpy()] = True
    return rows.filter(pa.array(new[there.num_rows :]))


def _labels(values: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    encoded = pc.dictionary_encode(pa.chunked_array([values.combine_chunks()]), null_encoding="encode")
    return encoded.combine_chunks().indices.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


# --- selection --------------------------------------------------------------------------------------------------------
def inside(rows: pa.Table, dataset: Dataset, span: Span) -> pa.ChunkedArray:
    """Which rows lie in `span`, as booleans."""
    session = rows["session"]
    mask = pc.and_(pc.greater_equal(session, pa.scalar(span.first)), pc.less_equal(session, pa.scalar(span.last)))
    if span.series is None:
        return mask
    return pc.and_(mask, pc.is_in(rows[dataset.series[0]], value_set=pa.array(span.series, pa.string())))


def selected_columns(dataset: Dataset, columns: Sequence[str] | None) -> list[str]:
    """The columns asked for, or all. Raises UsageError on one the dataset does not have."""
    wanted = dataset.schema.names if columns is None else list(columns)
    unknown = [name for name in wanted if name not in dataset.schema.names]
    if unknown:
        raise UsageError(f"{dataset.name} has no column {unknown[0]}. Its columns: {', '.join(dataset.schema.names)}.")
    return wanted


def last_of_each_series(rows: pa.Table, dataset: Dataset, count: int) -> pa.Table:
    """The last `count` rows of each series by session and then time, in key order. `rows` are in key order."""
    if not rows.num_rows or count < 1:
        return rows.slice(0, 0)
    names = [*dataset.series, "session", *(name for name in dataset.time if name != "session")]
    codes = [_codes(rows[name]) for name in names]
    order = np.lexsort([_narrow(column) for column in reversed(codes)])
    series = [column[order] for column in codes[: len(dataset.series)]]
    changes = [column[1:] != column[:-1] for column in series]
    ends = np.append(np.flatnonzero(functools.reduce(np.logical_or, changes)), len(order) - 1)
    position = np.arange(len(order))
    kept = ends[np.searchsorted(ends, position)] - position < count
    return rows.take(pa.array(np.sort(order[kept])))


# --- versions ---------------------------------------------------------------------------------------------------------
def version_at(versions: Sequence[Version], dataset: str, as_of: AsOf) -> Version:
    """The version a number or an instant means: the newest written at or before the instant. None is the newest.

    Raises VersionNotFound, and UsageError on an instant without a zone.
    """
    if isinstance(as_of, datetime):
        require_zone(as_of)
        there = [version for version in versions if version.written_at <= as_of]
    else:
        there = [version for version in versions if as_of is None or version.number == as_of]
    if not there:
        raise VersionNotFound(
            f"{dataset} has no version at {as_of}. It has versions {versions[0].number} "
            f"({versions[0].written_at:%Y-%m-%d %H:%M:%S %Z}) to {versions[-1].number}."
        )
    return there[-1]


def require_zone(instant: datetime) -> None:
    """Raises UsageError on an instant that does not say its zone."""
    if instant.tzinfo is None:
        raise UsageError(f"{instant} does not say its time zone. Write it in UTC, for example {instant.isoformat()}Z.")


def sessions_of(rows: pa.Table) -> tuple[date, date]:
    """First and last session of at least one row."""
    ends = pc.min_max(rows["session"]).as_py()
    return ends["min"], ends["max"]
