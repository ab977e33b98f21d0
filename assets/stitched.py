"""Stitched series kept in the cache: adjusted prices are stored nowhere, and many readers want the same ones.

Belongs here: what names a stitched series, and its bytes. Does not belong here: a cache, or stitching itself
(`trading/market/continuous.py`). A key names the very versions a series was made of, so a value never grows old, and
losing it costs the time to stitch again.
"""

import hashlib
from datetime import date
from typing import Literal

import pandas as pd
import pyarrow as pa

from trading.errors import DatasetNotFound
from trading.frames import MULTIPLE_PRICES, ROLL_GAPS, Dataset, empty, to_pandas
from trading.market import continuous
from trading.ports import Cache, FrameStore, Version

Method = Literal["panama", "ratio"]
FORMAT = "stitched-1"  # changes whenever the bytes of a series, or the way it is stitched, do
SOURCES = (MULTIPLE_PRICES, ROLL_GAPS)


def stitched(frames: FrameStore, cache: Cache, instrument: str, through: date, method: Method) -> pd.DataFrame:
    """Back-adjusted prices of an instrument through a session: instrument, stamp, session, price (points).

    From the cache where they are, else stitched and kept there. No rows where the instrument has none. Raises as
    `trading.market.continuous` does.
    """
    ends = last_sessions(frames, through, [instrument])
    return _stitched(frames, cache, instrument, ends.get(instrument, through), method)


def warm(frames: FrameStore, cache: Cache, through: date, method: Method) -> int:
    """Puts the series of every instrument through a session into the cache; returns how many there are."""
    ends = last_sessions(frames, through)
    for instrument, end in ends.items():
        _stitched(frames, cache, instrument, end, method)
    return len(ends)


def last_sessions(frames: FrameStore, through: date, series: list[str] | None = None) -> dict[str, date]:
    """The last session of each instrument with multiple prices, so that asking later names the same series."""
    try:
        rows = frames.latest(MULTIPLE_PRICES, through=through, series=series)
    except DatasetNotFound:
        return {}
    return dict(zip(rows["instrument"].to_pylist(), rows["session"].to_pylist(), strict=True))


def _stitched(frames: FrameStore, cache: Cache, instrument: str, through: date, method: Method) -> pd.DataFrame:
    versions = newest(frames)
    name = key(versions, instrument, through, method)

    def make() -> bytes:
        return _bytes(_stitch(frames, versions, instrument, through, method))

    try:
        return to_pandas(_table(cache.load(name, make)))
    except (pa.ArrowInvalid, OSError):  # not our bytes: forget them
        cache.delete(name)
        return to_pandas(_table(cache.load(name, make)))


def newest(frames: FrameStore) -> dict[str, Version]:
    """The versions a series would be stitched from now; without those never written."""
    found = {dataset.name: frames.versions(dataset) for dataset in SOURCES}
    return {name: versions[-1] for name, versions in found.items() if versions}


def key(versions: dict[str, Version], instrument: str, through: date, method: Method) -> str:
    """The name of a series in the cache. The instant of a write tells stores apart that share a cache."""
    made_of = [f"{name} {found.number} {found.written_at.isoformat()}" for name, found in sorted(versions.items())]
    digest = hashlib.sha256("\n".join([*made_of, instrument, through.isoformat(), method]).encode())
    return f"{FORMAT}:{digest.hexdigest()}"


def _stitch(
    frames: FrameStore, versions: dict[str, Version], instrument: str, through: date, method: Method
) -> pd.DataFrame:
    rows, gaps = (_rows(frames, versions, dataset, instrument, through) for dataset in SOURCES)
    return (continuous.panama if method == "panama" else continuous.ratio)(rows, gaps)


def _rows(
    frames: FrameStore, versions: dict[str, Version], dataset: Dataset, instrument: str, through: date
) -> pd.DataFrame:
    """Rows of the version that the key names: a write in between is not seen."""
    if dataset.name not in versions:
        return to_pandas(empty(dataset))
    number = versions[dataset.name].number
    return to_pandas(frames.history(dataset, through=through, series=[instrument], as_of=number))


def _bytes(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _table(content: bytes) -> pa.Table:
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()
