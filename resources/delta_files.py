"""Data files of a Delta table: how rows are cut into Parquet files, encoded, described and read back.

Belongs here: the layout. Does not belong here: commits, versions and locks (`delta_frames.py`).

A file holds whole sessions, about TARGET_ROWS rows of them, sorted by key; so a session touches one file, and one
instrument's history a row group or two of each. Measured: docs/decisions/0001-frame-store-layout.md.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from resources.durable import synced
from resources.frame_rows import in_key_order, inside, last_of_each_series, sessions_of
from trading.frames import Dataset
from trading.ports import Span

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction

TARGET_ROWS = 65_536
ROW_GROUP_ROWS = 16_384
_FEW_ROWS = 4_096
_SERIES = b"daybook.series"
_SERIES_AT_MOST = 2_000


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a table: its path there, bytes, rows, first and last session."""

    path: str
    size: int
    rows: int
    first: date
    last: date

    def overlaps(self, first: date, last: date) -> bool:
        """Whether it may hold rows of sessions `first` to `last`."""
        return self.first <= last and first <= self.last

    def add_action(self, at: datetime) -> AddAction:
        """The file as Delta wants it committed."""
        from deltalake.transaction import AddAction

        stats = {
            "numRecords": self.rows,
            "minValues": {"session": self.first.isoformat()},
            "maxValues": {"session": self.last.isoformat()},
            "nullCount": {"session": 0},
        }
        return AddAction(self.path, self.size, {}, round(at.timestamp() * 1000), True, json.dumps(stats))


def described(table: DeltaTable) -> tuple[DataFile, ...]:
    """The files of a table as its log describes them, by session."""
    # pa.table would import pandas to look whether this is a frame of it.
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    if not actions.num_rows:
        return ()
    names = ("path", "size_bytes", "num_records", "min.session", "max.session")
    files = [DataFile(*values) for values in zip(*(actions[name].to_pylist() for name in names), strict=True)]
    return tuple(sorted(files, key=lambda file: (file.first, file.last, file.path)))


# --- writing ----------------------------------------------------------------------------------------------------------
def chunked(rows: pa.Table, target_rows: int) -> Iterator[pa.Table]:
    """Rows cut between sessions into pieces of at least `target_rows`, each in the order it was in."""
    sessions, counts = np.unique(rows["session"].cast(pa.int32()).to_numpy(), return_counts=True)
    if rows.num_rows < 2 * target_rows:
        yield from [rows] if rows.num_rows else []
        return
    piece_of_session = (np.cumsum(counts) - counts) // target_rows
    pieces = piece_of_session[np.searchsorted(sessions, rows["session"].cast(pa.int32()).to_numpy())]
    for piece in np.unique(pieces):
        yield rows.filter(pa.array(pieces == piece))


def written_file(place: Path, rows: pa.Table, dataset: Dataset) -> DataFile:
    """Writes rows in key order to a new file in the folder `place`, safely on the disk when it returns."""
    path = place / f"part-{uuid.uuid4()}.parquet"
    try:
        pq.write_table(_labelled(rows, dataset), path, row_group_size=ROW_GROUP_ROWS, **encoding(dataset))
        synced(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    first, last = sessions_of(rows)
    return DataFile(path.name, path.stat().st_size, rows.num_rows, first, last)


def encoding(dataset: Dataset) -> dict[str, Any]:
    """How columns are packed: names in a dictionary, times and counts as differences, floats as they are, zstd-3."""
    named = [
        field.name for field in dataset.schema if pa.types.is_string(field.type) and field.name not in dataset.time
    ]
    packed = {field.name: _packing(field.type) for field in dataset.schema if field.name not in named}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": named,
        "column_encoding": packed,
        "version": "2.6",
    }


def _packing(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return "PLAIN"
    return "DELTA_BYTE_ARRAY" if pa.types.is_string(kind) else "DELTA_BINARY_PACKED"


def _labelled(rows: pa.Table, dataset: Dataset) -> pa.Table:
    """Rows with the list of their series written into the file, so that `last_rows` knows whom it would find there."""
    series = rows.group_by(list(dataset.series), use_threads=False).aggregate([])
    if series.num_rows > _SERIES_AT_MOST:
        return rows.replace_schema_metadata(None)
    values = [list(row.values()) for row in series.select(list(dataset.series)).to_pylist()]
    return rows.replace_schema_metadata({_SERIES: json.dumps(values)})


# --- reading ----------------------------------------------------------------------------------------------------------
def read(
    place: Path, files: Sequence[DataFile], dataset: Dataset, names: Sequence[str], span: Span | None = None
) -> pa.Table:
    """Columns of the rows of some files that lie in `span`, file by file. Columns a file lacks are null."""
    schema = pa.schema([dataset.schema.field(name) for name in names])
    if not files:
        return schema.empty_table()
    if sum(file.rows for file in files) <= _FEW_ROWS:
        return _read_whole(place, files, dataset, schema, span)
    import pyarrow.dataset as pads  # which imports pandas

    paths = [str(place / file.path) for file in files]
    plain = pa.schema([pa.field(field.name, field.type) for field in dataset.schema])
    source = pads.FileSystemDataset.from_paths(
        paths, schema=plain, format=pads.ParquetFileFormat(), filesystem=pa.fs.LocalFileSystem()
    )
    table = source.to_table(columns=list(names), filter=_condition(files, dataset, span))
    return pa.Table.from_arrays(table.columns, schema=schema)


def _read_whole(
    place: Path, files: Sequence[DataFile], dataset: Dataset, schema: pa.Schema, span: Span | None
) -> pa.Table:
    """Small files are read whole and then looked through, which needs no more than Arrow itself."""
    kinds = {name: dataset.schema.field(name).type for name in [*schema.names, "session", dataset.series[0]]}
    plain = pa.schema(list(kinds.items()))
    parts = []
    for file in files:
        held = pq.ParquetFile(place / file.path).read(columns=list(kinds), use_threads=False)
        for name in set(kinds) - set(held.column_names):
            held = held.append_column(name, pa.nulls(held.num_rows, kinds[name]))
        parts.append(held.select(plain.names).cast(plain))
    table = pa.concat_tables(parts).replace_schema_metadata(None)
    table = table if span is None else table.filter(inside(table, dataset, span))
    return pa.Table.from_arrays(table.select(schema.names).columns, schema=schema)


def _condition(files: Sequence[DataFile], dataset: Dataset, span: Span | None) -> pc.Expression | None:
    """What rows must fulfil; None where all of the files' rows do."""
    if span is None:
        return None
    conditions = []
    if min(file.first for file in files) < span.first:
        conditions.append(pc.field("session") >= pa.scalar(span.first))
    if max(file.last for file in files) > span.last:
        conditions.append(pc.field("session") <= pa.scalar(span.last))
    if span.series is not None:
        conditions.append(pc.field(dataset.series[0]).isin(pa.array(span.series, pa.string())))
    return _all(conditions)


def _all(conditions: Sequence[pc.Expression]) -> pc.Expression | None:
    whole: pc.Expression | None = None
    for condition in conditions:
        whole = condition if whole is None else whole & condition
    return whole


def last_rows(
    place: Path,
    files: Sequence[DataFile],
    dataset: Dataset,
    through: date,
    count: int,
    series: tuple[str, ...] | None,
) -> pa.Table:
    """The last `count` rows of each series, from the newest file back; a file that can add nothing is not read."""
    span = Span(date.min, through, series)
    found = [dataset.schema.empty_table()]
    sessions: dict[tuple[Any, ...], list[date]] = {}
    for file in sorted(files, key=lambda file: file.last, reverse=True):
        if file.first > through or not _may_add(place / file.path, file.last, sessions, count, series):
            continue
        rows = in_key_order(read(place, [file], dataset, dataset.schema.names, span), dataset)
        last = last_of_each_series(rows, dataset, count)
        found.append(last)
        for row in last.select([*dataset.series, "session"]).to_pylist():
            *who, session = row.values()
            sessions.setdefault(tuple(who), []).append(session)
    return last_of_each_series(in_key_order(pa.concat_tables(found), dataset), dataset, count)


def _may_add(
    path: Path,
    last: date,
    sessions: dict[tuple[Any, ...], list[date]],
    count: int,
    wanted: tuple[str, ...] | None,
) -> bool:
    """Whether a file up to session `last` may hold one of the last rows of a series, given those already found."""
    there = (pq.read_metadata(path).metadata or {}).get(_SERIES)
    if there is None:
        return True
    for who in map(tuple, json.loads(there)):
        newer = sum(session > last for session in sessions.get(who, ()))
        if newer < count and (wanted is None or who[0] in wanted):
            return True
    return False
