"""What is new in a delivery, and what was known when: the append-only raw layer, read and written.

Belongs here: comparing rows with rows. Does not belong here: judging them (`trading/quality/`) or storing them.

A raw row's identity is its dataset's key without `known_at`: vendor, series, label, occurrence. Its values are the
dataset's own columns beyond the ones every raw dataset has. A NaN equals a missing value. Everything is done on
integer codes of the text columns, as text is slow to sort and join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trading.errors import SchemaMismatch
from trading.frames import INSTANT, Dataset

Ints = NDArray[np.int64]
_COMMON = ("vendor", "label", "occurrence", "stamp", "event_at", "session", "known_at", "loaded_at")


def known(previous: pa.Table | None, delivered: pa.Table, dataset: Dataset, loaded_at: datetime) -> pa.Table:
    """The delivered rows that the desk does not have, as rows of `dataset` (all its columns, `loaded_at` set).

    An identity the desk has never seen keeps the vendor's `known_at`, and each of its changed versions in order; but
    where the desk already holds later times of the series, the row is late and known from `loaded_at` (or the vendor's
    `known_at`, if later). Of an identity it has, only the vendor's last version counts: dropped if its values equal
    those the desk knew last, else a correction, known as a late row is. `previous` is the stored rows of at least
    those sessions and all later ones, or None. Raises SchemaMismatch where `delivered` lacks a column.
    """
    delivered = _complete(delivered, dataset, loaded_at)
    if not delivered.num_rows:
        return delivered
    before = previous.num_rows if previous is not None else 0
    both = delivered if previous is None else pa.concat_tables([_plain(previous, dataset), delivered])
    identity, values = _codes(both, _identity(dataset)), _values(both, dataset)
    known_at = both["known_at"].cast(pa.int64()).to_numpy()
    is_new = np.arange(len(identity)) >= before
    order = np.lexsort((known_at, is_new, identity))
    starts = np.append(True, identity[order][1:] != identity[order][:-1])
    ends = np.append(starts[1:], True)
    changed = _changed(values, order, starts)
    seen = np.zeros(int(identity.max()) + 1, dtype=bool)
    seen[identity[:before]] = True
    chained = seen[identity[order]]
    fresh = is_new[order] & np.where(chained, ends & _differs_from_last_known(values, order, starts, is_new), changed)
    chosen = order[fresh]
    late = seen[identity[chosen]] | _behind(both, before, dataset)[chosen]
    chosen_at = np.where(late, np.maximum(known_at[chosen], _microseconds(loaded_at)), known_at[chosen])
    by_place = np.argsort(chosen, kind="stable")
    result = delivered.take(pa.array(chosen[by_place] - before))
    place = result.schema.get_field_index("known_at")
    return result.set_column(place, dataset.schema.field("known_at"), _instants(chosen_at[by_place]))


def withdrawn(previous: pa.Table | None, delivered: pa.Table, dataset: Dataset, loaded_at: datetime) -> pa.Table:
    """What the vendor delivers no longer: of each stored identity that lies between the first and the last time
    `delivered` of its series and did not come again, the row in force without its values, known from `loaded_at`.

    Given to `known` with the delivery, such a row is a correction to nothing the first time and no change afterwards;
    should the vendor deliver the row again, that is a correction too. None where a value column may not be missing.
    Arguments as `known`.
    """
    delivered = _complete(delivered, dataset, loaded_at)
    names = value_names(dataset)
    if previous is None or not delivered.num_rows or not all(dataset.schema.field(name).nullable for name in names):
        return delivered.slice(0, 0)
    held = current(_plain(previous, dataset), dataset)
    both = pa.concat_tables([held, delivered])
    identity, count = _codes(both, _identity(dataset)), held.num_rows
    came = np.zeros(int(identity.max()) + 1, dtype=bool)
    came[identity[count:]] = True
    gone = held.filter(pa.array(~came[identity[:count]] & _within(both, count, dataset)))
    moment = pa.repeat(pa.scalar(loaded_at, INSTANT), gone.num_rows)
    emptied = {name: pa.nulls(gone.num_rows, dataset.schema.field(name).type) for name in names}
    return _with_columns(gone, {**emptied, "known_at": moment, "loaded_at": moment})


def current(rows: pa.Table, dataset: Dataset) -> pa.Table:
    """Of each identity the row with the latest `known_at`, in the order the rows came."""
    if rows.num_rows < 2:
        return rows
    identity = _codes(rows, _identity(dataset))
    if _all_distinct(identity):
        return rows
    known_at = rows["known_at"].cast(pa.int64()).to_numpy()
    order = np.lexsort((known_at, identity))
    return _last_of_each(rows, identity, order)


def deduplicate(rows: pa.Table, dataset: Dataset, value_column: str) -> pa.Table:
    """Of each series and `stamp` the last row (by occurrence) whose `value_column` is not missing, or the last one if
    it is missing in all; in the order the rows came."""
    if rows.num_rows < 2:
        return rows
    series = tuple(name for name in dataset.series)
    identity = _codes(rows, (*series, "stamp"))
    if _all_distinct(identity):
        return rows
    present = ~np.isnan(rows[value_column].to_numpy(zero_copy_only=False).astype(np.float64))
    occurrence = pc.fill_null(rows["occurrence"], 0).to_numpy()
    order = np.lexsort((occurrence, present, identity))
    return _last_of_each(rows, identity, order)


def _last_of_each(rows: pa.Table, identity: Ints, order: Ints) -> pa.Table:
    last = np.append(identity[order][1:] != identity[order][:-1], True)
    return rows.take(pa.array(np.sort(order[last])))


def _behind(both: pa.Table, before: int, dataset: Dataset) -> NDArray[np.bool_]:
    """By row: whether one of the first `before` rows is of the same series and a later time."""
    series, stamps = _codes(both, dataset.series), _stamps(both)
    newest = np.full(int(series.max()) + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, series[:before], stamps[:before])
    return np.asarray(stamps < newest[series])


def _within(both: pa.Table, count: int, dataset: Dataset) -> NDArray[np.bool_]:
    """By row of the first `count`: whether its time is between the first and last of its series in the other rows."""
    series, stamps = _codes(both, dataset.series), _stamps(both)
    limits = np.iinfo(np.int64)
    first, last = np.full(int(series.max()) + 1, limits.max), np.full(int(series.max()) + 1, limits.min)
    np.minimum.at(first, series[count:], stamps[count:])
    np.maximum.at(last, series[count:], stamps[count:])
    mine, own = series[:count], stamps[:count]
    return np.asarray((first[mine] <= own) & (own <= last[mine]))


def _stamps(rows: pa.Table) -> Ints:
    return np.asarray(rows["stamp"].cast(pa.int64()).to_numpy())


def _with_columns(rows: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, values in columns.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(name), values)
    return rows


def _complete(delivered: pa.Table, dataset: Dataset, loaded_at: datetime) -> pa.Table:
    stamp = pa.scalar(loaded_at, INSTANT)
    if "loaded_at" not in delivered.column_names:
        delivered = delivered.append_column("loaded_at", pa.repeat(stamp, delivered.num_rows))
    return _plain(delivered, dataset)


def _plain(rows: pa.Table, dataset: Dataset) -> pa.Table:
    """The rows in the dataset's own columns and types."""
    missing = [name for name in dataset.schema.names if name not in rows.column_names]
    if missing:
        raise SchemaMismatch(
            f"rows for {dataset.name} lack the column {missing[0]}. A delivery needs its sessions first "
            "(trading.market.placing.with_sessions)."
        )
    return rows.select(dataset.schema.names).cast(dataset.schema)


def _identity(dataset: Dataset) -> tuple[str, ...]:
    return tuple(name for name in dataset.key if name != "known_at")


def _values(rows: pa.Table, dataset: Dataset) -> list[Ints]:
    """The value columns as integers that are equal where the values are, missing and NaN alike."""
    return [_bits(rows[name]) for name in value_names(dataset)]


def value_names(dataset: Dataset) -> list[str]:
    """The columns of a raw dataset that say something: its own, beyond those that every raw dataset has."""
    return [name for name in dataset.schema.names if name not in (*_COMMON, *dataset.series)]


def _bits(values: pa.ChunkedArray) -> Ints:
    if not pa.types.is_floating(values.type):
        return np.asarray(pc.fill_null(values.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy())
    floats = values.to_numpy(zero_copy_only=False).astype(np.float64, copy=True) + 0.0  # -0.0 becomes 0.0
    floats[np.isnan(floats)] = np.nan
    return np.asarray(floats.view(np.int64))


def _changed(values: Sequence[Ints], order: Ints, starts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By sorted row: the first of its identity, or different from the row before."""
    different = starts.copy()
    for column in values:
        ordered = column[order]
        different[1:] |= ordered[1:] != ordered[:-1]
    return different


def _differs_from_last_known(
    values: Sequence[Ints], order: Ints, starts: NDArray[np.bool_], is_new: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """By sorted row: whether its values differ from its identity's last stored row (or first row, if none is)."""
    stored = np.where(starts | ~is_new[order], np.arange(len(order)), 0)
    reference = np.maximum.accumulate(stored)
    different = np.zeros(len(order), dtype=bool)
    for column in values:
        ordered = column[order]
        different |= ordered != ordered[reference]
    return different


def _codes(rows: pa.Table, names: Sequence[str]) -> Ints:
    """One integer a row that is equal where all named columns are: small, 0 and up."""
    codes = np.zeros(rows.num_rows, dtype=np.int64)
    size = 1
    for name in names:
        column, count = _code(rows[name])
        if size * count > 2**62:
            codes, size = _dense(codes)
        codes, size = codes * count + column, size * count
    return _dense(codes)[0]


def _code(values: pa.ChunkedArray) -> tuple[Ints, int]:
    encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), max(len(encoded.dictionary), 1)


def _dense(codes: Ints) -> tuple[Ints, int]:
    """The same grouping in numbers from 0 without gaps."""
    encoded = pa.array(codes).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), max(len(encoded.dictionary), 1)


def _all_distinct(identity: Ints) -> bool:
    return int(identity.max()) + 1 == len(identity)


def _microseconds(instant: datetime) -> int:
    value: int = pa.scalar(instant, INSTANT).value
    return value


def _instants(microseconds: Ints) -> pa.Array:
    return pa.array(microseconds).cast(INSTANT)
