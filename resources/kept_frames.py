"""Reads of datasets that the processes of a deployment share: what one read of a version, the others take from a cache.

Belongs here: keys and bytes of what was read. Does not belong here: the cache, storing datasets, or what is made of
rows.

A version's rows never change, so nothing kept here can be wrong; a write is another version, and so another key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa

from trading.errors import StoreUnavailable
from trading.frames import Dataset
from trading.ports import AsOf, Cache, FrameStore, Span, Version

AGE_S = 86_400.0  # how long rows are kept that nobody may ask for again
Given = tuple[date, date | None, Sequence[str] | None, Sequence[str] | None]


class KeptFrames:
    """FrameStore that reads histories of the newest version through `cache`; all else is `frames`. `name` tells this
    desk's datasets from those of others in the cache. Whoever asks for what another process is reading waits for that,
    where the cache has them wait."""

    def __init__(self, frames: FrameStore, cache: Cache, name: str, age_s: float = AGE_S) -> None:
        self._frames, self._cache, self._name, self._age_s = frames, cache, name, age_s

    def replace(self, dataset: Dataset, rows: pa.Table, span: Span, note: Mapping[str, str] | None = None) -> Version:
        """As the port."""
        return self._frames.replace(dataset, rows, span, note)

    def append(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None = None) -> Version:
        """As the port."""
        return self._frames.append(dataset, rows, note)

    def history(
        self,
        dataset: Dataset,
        *,
        through: date,
        since: date | None = None,
        series: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        as_of: AsOf = None,
    ) -> pa.Table:
        """As the port. What the cache gives and cannot be read is read from the store."""
        given = (through, since, series, columns)
        written = self._frames.versions(dataset) if as_of is None else []
        if not written:
            return self._read(dataset, given, as_of)
        newest = written[-1]
        key = self._key(newest, given)
        kept = self._cache.load(key, lambda: _packed(self._read(dataset, given, newest.number)), self._age_s)
        try:
            return _unpacked(kept)
        except StoreUnavailable:
            self._cache.delete(key)
            return self._read(dataset, given, newest.number)

    def latest(
        self, dataset: Dataset, *, through: date, rows: int = 1, series: Sequence[str] | None = None
    ) -> pa.Table:
        """As the port."""
        return self._frames.latest(dataset, through=through, rows=rows, series=series)

    def versions(self, dataset: Dataset) -> list[Version]:
        """As the port."""
        return self._frames.versions(dataset)

    def content_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        return self._frames.content_hash(dataset, as_of)

    def stored_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        return self._frames.stored_hash(dataset, as_of)

    def written(self) -> list[str]:
        """As the port."""
        return self._frames.written()

    def _read(self, dataset: Dataset, given: Given, as_of: AsOf) -> pa.Table:
        through, since, series, columns = given
        return self._frames.history(
            dataset, through=through, since=since, series=series, columns=columns, as_of=as_of
        )  # fmt: skip

    def _key(self, version: Version, given: Given) -> str:
        through, since, series, columns = given
        asked = (through, since, None if series is None else tuple(series), None if columns is None else tuple(columns))
        said = repr((self._name, version.dataset, version.number, version.written_at.isoformat(), asked))
        return f"frames/{hashlib.sha256(said.encode()).hexdigest()}"


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _unpacked(kept: bytes) -> pa.Table:
    try:
        with pa.ipc.open_stream(pa.py_buffer(kept)) as stream:
            return stream.read_all()
    except (pa.ArrowException, OSError, ValueError) as cause:
        raise StoreUnavailable(f"rows in the cache cannot be read: {cause}. They are read from the store.") from cause
