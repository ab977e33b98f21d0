"""Results of backtests by key: curves and positions as one Parquet file each, statistics as rows of the frame store.

Belongs here: keeping results and finding them again, bit for bit. Does not belong here: keys
(`trading/backtest/specification.py`), or deciding whether to compute (`pipelines/backtesting.py`).

A curve is a file of its own, not rows of a dataset: an append to a dataset reads the sessions it touches, and curves
touch all of them, so that the thousandth would cost what all before it hold. A file is written beside its place and
renamed, so it is there wholly or not at all. Its row in the dataset is added by `index`, when rows are wanted: a
process that runs one backtest would spend longer on loading Delta than on the backtest. What a sweep keeps are rows
only, thousands in one append.

    ROOT/ab/ab12...parquet     one result: session, positions by instrument, curves; its record in the file's metadata
    ROOT/.new/ab12...          a result whose row is not in the dataset yet
    ROOT/.locks/ab1            who is computing a key that starts so
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from resources.arrow_arrays import reals, times
from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from trading.backtest.panel import Floats
from trading.backtest.result import Kept, Record, Result, Statistics
from trading.errors import DatasetNotFound, StoreError
from trading.frames import BACKTEST_RESULTS
from trading.ports import FrameStore

_RECORD, _SUM = b"daybook.record", b"daybook.record.sha256"  # pages have checksums of their own
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OSError, pa.ArrowException)
_POSITION, _CURVE = "position ", "curve "
_FAR = date(9999, 12, 31)
_INDEX_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class ResultStore:
    """Results in the folder `root`, and their rows in the dataset `backtest_results` of `frames`."""

    root: Path
    frames: FrameStore

    def keep(self, results: Sequence[Kept]) -> None:
        """Keeps results: those with curves as files, the others as rows, in one append. A key that is there already is
        left as it is. Raises StoreUnavailable (disk full or read-only), StoreBusy."""
        for kept in results:
            if kept.result is not None and not self._file(kept.record.key).exists():
                self._write(kept, kept.result)
        rows = [kept for kept in results if kept.result is None]
        if rows:
            self._append(rows, self.known(kept.record.key for kept in rows))

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` of which at least the statistics are kept."""
        wanted = set(keys)
        found = {key for key in wanted if self._file(key).exists()}
        return found if found == wanted else found | (wanted & self._keys())

    def index(self) -> int:
        """Adds the rows of results that have none yet to the dataset; how many those were."""
        news = self.root / ".new"
        if not news.is_dir() or not any(news.iterdir()):
            return 0
        with held(self.root / ".locks" / "index", "the list of results", _INDEX_WAIT_S):
            marks = [mark for mark in sorted(news.iterdir()) if self._file(mark.name).exists()]
            kept = [self._read(mark.name, lambda file: _described(pq.read_schema(file))) for mark in marks]
            self._append(kept, self._keys())
            for mark in marks:
                mark.unlink(missing_ok=True)
            return len(marks)

    def load(self, key: str) -> Kept | None:
        """The whole result, or None where its curves are not kept. Raises StoreError on a damaged file."""
        try:
            return self._read(key, lambda file: _kept(_table_of(file)))
        except FileNotFoundError:
            return None

    def _read(self, key: str, how: Callable[[Path], Kept]) -> Kept:
        """What is in the file of a key. Raises StoreError where that cannot be read, or is of another key."""
        file = self._file(key)
        try:
            found = how(file)
            if found.record.key != key:
                raise ValueError(f"it holds the result {found.record.key[:12]}")
        except FileNotFoundError:
            raise
        except _UNREADABLE as cause:
            reason = str(cause) or type(cause).__name__
            raise StoreError(
                f"the result {file} is damaged: {reason}. Delete the file; it is computed again when asked."
            ) from cause
        return found

    def statistics(self, keys: Iterable[str]) -> dict[str, Kept]:
        """Records and statistics of those of `keys` that are known, without curves."""
        wanted = set(keys)
        rows = self._rows(None).to_pylist() if wanted else []
        found = {row["key"]: _kept_row(row) for row in rows if row["key"] in wanted}
        for key in wanted - set(found):
            whole = self.load(key)
            if whole is not None:
                found[key] = Kept(whole.record, whole.statistics)
        return found

    @contextmanager
    def computing(self, key: str, wait_s: float) -> Iterator[None]:
        """Alone with a key, between threads and processes; whoever dies gives it free. Raises StoreBusy after
        `wait_s` seconds."""
        with held(self.root / ".locks" / key[:3], f"the result {key[:12]}", wait_s):
            yield

    def _file(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.parquet"

    def _rows(self, columns: Sequence[str] | None) -> pa.Table:
        try:
            return self.frames.history(BACKTEST_RESULTS, through=_FAR, columns=columns)
        except DatasetNotFound:
            schema = BACKTEST_RESULTS.schema
            return (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()

    def _keys(self) -> set[str]:
        return set(self._rows(["key"])["key"].to_pylist())

    def _append(self, results: Sequence[Kept], there: Collection[str]) -> None:
        rows = {kept.record.key: _row(kept) for kept in results if kept.record.key not in there}
        if rows:
            self.frames.append(BACKTEST_RESULTS, pa.Table.from_pylist([*rows.values()], BACKTEST_RESULTS.schema))

    def _write(self, kept: Kept, result: Result) -> None:
        place = self._file(kept.record.key)
        draft = place.with_name(f".{place.stem}.{os.getpid()}.draft")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            for left in place.parent.glob(f".{place.stem}.*.draft"):  # of writers that were killed
                left.unlink(missing_ok=True)
            pq.write_table(
                _table(kept, result), draft, compression="zstd", use_dictionary=False, write_page_checksum=True
            )
            synced(draft)
            mark = self.root / ".new" / kept.record.key
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
            draft.replace(place)
        except (OSError, pa.ArrowException) as cause:
            draft.unlink(missing_ok=True)
            raise refusal(cause, self.root) or StoreError(f"the result {place} cannot be kept: {cause}.") from cause


# --- one file ---------------------------------------------------------------------------------------------------------
def _table(kept: Kept, result: Result) -> pa.Table:
    days = result.sessions.astype("datetime64[D]").astype(np.int64).astype(np.int32)
    columns = {"session": _column(pa.date32(), days)}
    columns |= {f"{_CURVE}{name}": _column(pa.float64(), values) for name, values in result.curves.items()}
    for column, code in enumerate(result.instruments):
        columns[f"{_POSITION}{code}"] = _column(pa.float64(), result.positions[:, column])
    said = {**_record(kept.record), "statistics": _text(kept.statistics)}
    text = json.dumps(said).encode()
    return pa.table(columns).replace_schema_metadata({_RECORD: text, _SUM: hashlib.sha256(text).hexdigest()})


def _table_of(file: Path) -> pa.Table:
    """Everything in a file, checksums verified. Not by read_table, which would import pandas."""
    with pq.ParquetFile(file, page_checksum_verification=True) as opened:
        return opened.read(use_threads=False)


def _column(kind: pa.DataType, values: npt.NDArray[Any]) -> pa.Array:
    """Values as they lie in memory. Not by pa.array, which imports pandas first."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _described(schema: pa.Schema) -> Kept:
    """The record and the statistics of a file."""
    text = (schema.metadata or {})[_RECORD]
    if hashlib.sha256(text).hexdigest().encode() != schema.metadata[_SUM]:
        raise ValueError("its record is not what was written")
    said = json.loads(text)
    return Kept(statistics=_statistics(said.pop("statistics")), record=_record_of(said))


def _kept(table: pa.Table) -> Kept:
    described = _described(table.schema)
    curves = {name.removeprefix(_CURVE): _floats(table, name) for name in _named(table, _CURVE)}
    held_in = _named(table, _POSITION)
    positions = np.empty((table.num_rows, len(held_in)))
    for column, name in enumerate(held_in):
        positions[:, column] = _floats(table, name)
    if not held_in or not curves:
        raise ValueError("it has no positions or no curves")
    sessions = times(table["session"]).astype("datetime64[D]")
    codes = tuple(name.removeprefix(_POSITION) for name in held_in)
    result = Result(sessions, codes, positions, curves, described.statistics)
    return Kept(described.record, described.statistics, result)


def _named(table: pa.Table, prefix: str) -> list[str]:
    return [name for name in table.column_names if name.startswith(prefix)]


def _floats(table: pa.Table, name: str) -> Floats:
    return reals(table[name])


def _record(record: Record) -> dict[str, Any]:
    """As plain values."""
    names = (name for name in Record.__slots__ if name not in ("at", "parts"))
    return {**{name: getattr(record, name) for name in names}, "at": record.at.isoformat(), "parts": dict(record.parts)}


def _record_of(said: Mapping[str, Any]) -> Record:
    return Record(**{**said, "at": datetime.fromisoformat(said["at"])})


# --- one row ----------------------------------------------------------------------------------------------------------
def _row(kept: Kept) -> dict[str, Any]:
    record = kept.record
    sharpe = kept.statistics.get("net_percent", {}).get("sharpe")
    names = ("key", "strategy", "engine", "specification", "data_version", "code_version", "who", "seconds")
    own = {name: getattr(record, name) for name in names}
    when = {"session": _desk_date(record.at), "computed_at": record.at}
    return {**own, **when, "sharpe": sharpe, "statistics": _text(kept.statistics)}


def _desk_date(at: datetime) -> date:
    """The day itself, or the Friday before a weekend."""
    return at.date() - timedelta(days=max(0, at.weekday() - 4))


def _kept_row(row: Mapping[str, Any]) -> Kept:
    names = (name for name in Record.__slots__ if name not in ("parts", "at"))
    record = Record(**{name: row[name] for name in names}, at=row["computed_at"])
    return Kept(record, _statistics(row["statistics"]))


def _text(statistics: Statistics) -> str:
    """JSON, whose digits read back to the same float; it has no NaN and no infinity, so they are text."""
    plain = {curve: {name: _said(value) for name, value in found.items()} for curve, found in statistics.items()}
    return json.dumps(plain, sort_keys=True, allow_nan=False)


def _said(value: float | int | str) -> float | int | str:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _statistics(text: str) -> Statistics:
    found = json.loads(text)
    return {curve: {name: _heard(value) for name, value in own.items()} for curve, own in found.items()}


def _heard(value: float | int | str) -> float | int | str:
    return float(value) if value in ("nan", "inf", "-inf") else value
