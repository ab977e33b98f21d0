"""Claim: ten years of the simulated market, all instruments and rates, cost about ten times what writing the same rows
to Parquet costs, and a second or two with everything that is imported first.

Makes the market and writes its rows, interleaved, and prints medians and their ratio. The first market of a process
also reads the exchange calendars, which is shown by itself. Run: `python benchmarks/simulated_market.py [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
FIRST, LAST = date(2012, 1, 2), date(2021, 12, 31)
INTRADAY = date(2021, 1, 4)  # the last of the ten years by the hour too


def market() -> list[pa.Table]:
    """Ten years of every instrument and every exchange rate, from a vendor that has made nothing yet."""
    from resources.csv_reference import CsvReference
    from resources.vendors.simulated import SimulatedVendor
    from trading.frames import RAW_BARS, RAW_FX_RATES
    from trading.ports import Request

    vendor = SimulatedVendor(CsvReference([ROOT / "reference"]), intraday_since=INTRADAY)
    return [vendor.fetch(dataset, Request(None, FIRST, LAST)).rows for dataset in (RAW_BARS, RAW_FX_RATES)]


def written(tables: list[pa.Table], folder: Path) -> None:
    """The peer: the same rows as Parquet files."""
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")


def seconds(task: Callable[[], object]) -> float:
    """Wall time of a task."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def main() -> None:
    """Runs both and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    rounds = words.parse_args().rounds
    sys.path.insert(0, str(ROOT))
    first = seconds(market)
    tables = market()
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(seconds(market), seconds(lambda: written(tables, Path(folder)))) for _ in range(rounds)]
    made, wrote = (statistics.median(each) for each in zip(*pairs, strict=True))
    rows = sum(table.num_rows for table in tables)
    print(f"{'the first market of a process':<40}{first:8.2f} s   with imports and exchange calendars")
    print(f"{f'ten years, {rows:,} rows':<40}{made:8.2f} s   {made / wrote:.1f} x writing them")
    print(f"{'writing the same rows with pyarrow':<40}{wrote:8.2f} s   1")


if __name__ == "__main__":
    main()
