"""Claim: data files of whole sessions, about 64 thousand rows each, are the layout for the frame store.

Compares ways to lay futures prices out in Delta Lake (files, encodings, row groups) on the same rows, interleaved in
one process, and prints medians and ratios to the layout in use. Run: `python benchmarks/frame_layouts.py`.

Uses the real prices in ../shared where they are, else generated rows of like shape.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from resources import delta_files  # noqa: E402
from resources.delta_frames import DeltaFrames  # noqa: E402
from trading.frames import MULTIPLE_PRICES, to_table  # noqa: E402
from trading.ports import Span  # noqa: E402

ALL = Span(date(1900, 1, 1), date(2100, 1, 1))
ONE_DAY = date(2015, 3, 4)
INSTRUMENT = "US10"
ONE_INSTRUMENT = [("instrument", "=", INSTRUMENT)]
IN_USE = "sessions, 64k rows"


# --- rows -------------------------------------------------------------------------------------------------------------
def prices() -> pa.Table:
    """Multiple prices, real or generated."""
    folder = ROOT.parent / "shared" / "data" / "futures" / "multiple_prices_csv"
    files = sorted(folder.glob("*.csv"))
    frames = [_read(path) for path in files] if files else [_generated(number) for number in range(18)]
    return to_table(pd.concat(frames), MULTIPLE_PRICES)


def _read(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path).rename(columns=str.lower)
    frame["stamp"] = pd.to_datetime(frame["datetime"])
    return _finished(frame, path.stem)


def _generated(number: int) -> pd.DataFrame:
    chance = np.random.default_rng(number)
    daily = pd.bdate_range("1982-01-04", "2013-12-31") + pd.Timedelta(hours=23)
    hourly = pd.date_range("2014-01-01", "2022-02-25", freq="h")
    stamp = daily.append(hourly[hourly.dayofweek < 5][::2])
    walk = np.round(100 + np.cumsum(chance.normal(0, 0.2, len(stamp))), 5)
    contract = (stamp.year * 10_000 + (stamp.quarter * 300)).to_numpy()
    frame = pd.DataFrame({"stamp": stamp, "price": walk, "carry": walk - 0.25, "forward": walk + 0.25})
    frame = frame.assign(price_contract=contract, carry_contract=contract, forward_contract=contract + 300)
    return _finished(frame, INSTRUMENT if number == 0 else f"F{number:02}")


def _finished(frame: pd.DataFrame, instrument: str) -> pd.DataFrame:
    contracts = {name: frame[name].astype("Int32") for name in frame.columns if name.endswith("_contract")}
    return frame.assign(instrument=instrument, session=frame["stamp"].dt.date, **contracts)


def of_session(rows: pa.Table, step: int) -> pa.Table:
    """The rows of one session with prices moved by `step`, so that each replacement differs."""
    day = rows.filter(pc.equal(rows["session"], pa.scalar(ONE_DAY)))
    return day.set_column(day.column_names.index("price"), "price", pc.add(day["price"], float(step)))


def of_new_session(rows: pa.Table, number: int) -> tuple[date, pa.Table]:
    """Rows of a session after the last one."""
    session = date(2023, 1, 2) + timedelta(days=number)
    day = of_session(rows, number)
    shift = session - ONE_DAY
    day = day.set_column(1, "stamp", pc.add(day["stamp"], pa.scalar(shift)).cast(pa.timestamp("us")))
    return session, day.set_column(2, "session", pa.array([session] * day.num_rows))


# --- layouts ----------------------------------------------------------------------------------------------------------
class Ours:
    """DeltaFrames with a number of rows a file."""

    def __init__(self, root: Path, target_rows: int) -> None:
        self.store = DeltaFrames(root, target_rows=target_rows)

    def load(self, rows: pa.Table) -> None:
        self.store.replace(MULTIPLE_PRICES, rows, ALL)

    def replace(self, session: date, rows: pa.Table) -> None:
        self.store.replace(MULTIPLE_PRICES, rows, Span.session(session))

    def read(self, series: list[str] | None) -> pa.Table:
        return self.store.history(MULTIPLE_PRICES, through=date.max, series=series)

    def files(self) -> list[Path]:
        newest = self.store._newest(MULTIPLE_PRICES)
        return [self.store.root / "multiple_prices" / file.path for file in (newest.files if newest else ())]


class Partitioned:
    """The driver's own writer: a folder per value of `by`, or none; replaced by predicate."""

    def __init__(self, root: Path, by: str | None, packed: bool = True) -> None:
        self.root, self.by, self.packed = root, by, packed

    def load(self, rows: pa.Table) -> None:
        self._write(rows.sort_by([("instrument", "ascending"), ("stamp", "ascending")]))

    def replace(self, session: date, rows: pa.Table) -> None:
        year = f" and year = {session.year}" if self.by == "year" else ""
        self._write(rows, predicate=f"session = date '{session}'{year}")

    def read(self, series: list[str] | None) -> pa.Table:
        from deltalake import DeltaTable

        wanted = None if series is None else pc.field("instrument").isin(series)
        table = DeltaTable(self.root).to_pyarrow_dataset().to_table(columns=MULTIPLE_PRICES.schema.names, filter=wanted)
        return table.sort_by([("instrument", "ascending"), ("stamp", "ascending")])

    def files(self) -> list[Path]:
        from deltalake import DeltaTable

        return [Path(uri.removeprefix("file://")) for uri in DeltaTable(self.root).file_uris()]

    def _write(self, rows: pa.Table, **options: Any) -> None:
        from deltalake import ColumnProperties, WriterProperties, write_deltalake

        if self.by == "year":
            rows = rows.append_column("year", pc.year(rows["session"]).cast(pa.int32()))
        plain = ColumnProperties(dictionary_enabled=False, encoding="PLAIN")
        deltas = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
        columns = {f.name: plain if pa.types.is_floating(f.type) else deltas for f in rows.schema}
        packing = {name: kind for name, kind in columns.items() if name not in ("instrument", self.by)}
        properties = WriterProperties(
            compression="ZSTD", compression_level=3, max_row_group_size=16_384, column_properties=packing
        )
        write_deltalake(
            self.root, rows.replace_schema_metadata(None), mode="overwrite", partition_by=self.by,
            writer_properties=properties if self.packed else None, **options,
        )  # fmt: skip


LAYOUTS: Mapping[str, Callable[[Path], Ours | Partitioned]] = {
    IN_USE: lambda root: Ours(root, 65_536),
    "sessions, 32k rows": lambda root: Ours(root, 32_768),
    "sessions, 128k rows": lambda root: Ours(root, 131_072),
    "by year": lambda root: Partitioned(root, "year"),
    "by year, driver's encodings": lambda root: Partitioned(root, "year", packed=False),
    "one piece": lambda root: Partitioned(root, None),
    "by instrument": lambda root: Partitioned(root, "instrument"),
}


# --- measuring --------------------------------------------------------------------------------------------------------
Times = dict[str, dict[str, list[float]]]


def timed(times: Times, what: str, name: str, call: Callable[[], object]) -> None:
    begin = time.perf_counter()
    call()
    times[what][name].append((time.perf_counter() - begin) * 1000)


def layouts(rows: pa.Table, rounds: int, folder: Path, times: Times) -> None:
    """Each round loads anew and asks everything of each layout in turn."""
    for number in range(rounds):
        for name, make in LAYOUTS.items():
            place = folder / f"{number}-{list(LAYOUTS).index(name)}"
            place.mkdir(parents=True)
            layout = make(place)
            timed(times, "bulk load, ms", name, lambda layout=layout: layout.load(rows))
            size = sum(path.stat().st_size for path in layout.files()) / rows.num_rows
            times["bytes a row"][name].append(size)
            for step in range(5):
                day = of_session(rows, step + 1)
                timed(times, "replace one old session, ms", name, lambda x=layout, d=day: x.replace(ONE_DAY, d))
            for step in range(3):
                session, day = of_new_session(rows, step)
                timed(times, "add a session, ms", name, lambda x=layout, s=session, d=day: x.replace(s, d))
            timed(times, "one instrument, ms", name, lambda layout=layout: layout.read([INSTRUMENT]))
            timed(times, "everything, ms", name, lambda layout=layout: layout.read(None))
            shutil.rmtree(place)


def aged(rows: pa.Table, folder: Path, times: Times) -> None:
    """What 250 sessions one by one do to the two layouts that can take them."""
    for name in (IN_USE, "by year"):
        place = folder / f"aged-{list(LAYOUTS).index(name)}"
        layout = LAYOUTS[name](place)
        layout.load(rows)
        for number in range(250):
            session, day = of_new_session(rows, number)
            timed(times, "aged: add a session, ms", name, lambda x=layout, s=session, d=day: x.replace(s, d))
        times["aged: files"][name].append(len(layout.files()))
        disk = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        times["aged: megabytes on disk, all versions"][name].append(disk / 1e6)
        for _ in range(3):
            fresh = LAYOUTS[name](place)
            timed(times, "aged: open, one instrument, ms", name, lambda layout=fresh: layout.read([INSTRUMENT]))
            timed(times, "aged: everything, ms", name, lambda layout=fresh: layout.read(None))
        if isinstance(layout, Ours):
            timed(times, "aged: compact, ms", name, lambda x=layout: x.store.compact(MULTIPLE_PRICES))


def encodings(rows: pa.Table, rounds: int, folder: Path, times: Times) -> None:
    """One file of about 64 thousand rows, packed in several ways and cut into several row groups."""
    piece = rows.sort_by("session").slice(rows.num_rows - 65_536).sort_by(
        [("instrument", "ascending"), ("stamp", "ascending")]
    )  # fmt: skip
    ours = delta_files.encoding(MULTIPLE_PRICES)
    floats = {f.name: "BYTE_STREAM_SPLIT" for f in MULTIPLE_PRICES.schema if pa.types.is_floating(f.type)}
    ways: dict[str, dict[str, Any]] = {
        "plain floats, zstd-3, groups of 16k": {**ours, "row_group_size": 16_384},
        "... groups of 8k": {**ours, "row_group_size": 8_192},
        "... groups of 32k": {**ours, "row_group_size": 32_768},
        "... groups of 64k": {**ours, "row_group_size": 65_536},
        "byte stream split, zstd-3": {
            **ours, "column_encoding": ours["column_encoding"] | floats, "row_group_size": 16_384
        },
        "dictionary, snappy (default)": {"row_group_size": 16_384},
        "dictionary, zstd-3": {"compression": "zstd", "compression_level": 3, "row_group_size": 16_384},
    }  # fmt: skip
    for _ in range(rounds):
        for name, options in ways.items():
            path = folder / "piece.parquet"
            timed(times, "file: write, ms", name, lambda p=path, o=options: pq.write_table(piece, p, **o))
            times["file: bytes a row"][name].append(path.stat().st_size / piece.num_rows)
            timed(times, "file: read, ms", name, lambda p=path: pq.read_table(p))
            timed(times, "file: one instrument, ms", name, lambda p=path: pq.read_table(p, filters=ONE_INSTRUMENT))


def printed(times: Times) -> Iterator[str]:
    for what, by_name in times.items():
        medians = {name: statistics.median(values) for name, values in by_name.items()}
        base = next(iter(medians.values()))
        yield f"\n{what}"
        for name, median in medians.items():
            yield f"  {name:40s} {median:10.1f}   x {median / base:5.2f}"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows = prices()
    print(f"{rows.num_rows:,} rows of {len(pc.unique(rows['instrument']))} instruments, medians of {rounds} rounds")
    times: Times = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        layouts(rows, rounds, Path(folder), times)
        encodings(rows, 2 * rounds + 1, Path(folder), times)
        aged(rows, Path(folder), times)
    for line in printed(times):
        print(line)


if __name__ == "__main__":
    main()
