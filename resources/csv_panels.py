"""Panels straight from CSV files in pysystemtrade's layout: adjusted and multiple prices, exchange rates, csvconfig.

Belongs here: which files a panel is made of, their hash, and reading them. Does not belong here: what becomes of the
rows (`trading/backtest/market_days.py`), or judging them: a store's rows pass the desk's rules, these only have to be
readable. Nothing here imports pandas.

    FOLDER/adjusted_prices_csv/CORN.csv    DATETIME, price
    FOLDER/multiple_prices_csv/CORN.csv    DATETIME, CARRY, CARRY_CONTRACT, PRICE, PRICE_CONTRACT, ...
    FOLDER/fx_prices_csv/EURUSD.csv        DATETIME, PRICE: dollars for a euro
    FOLDER/csvconfig/                      instrumentconfig.csv, rollconfig.csv
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources.arrow_arrays import reals, times
from resources.csv_tables import Row, parsed_table, read_bytes, read_rows
from resources.source_hash import readers_version
from trading.backtest.market_days import (
    Conversion,
    DailySeries,
    HeldRows,
    Quotes,
    Rates,
    Stamps,
    Terms,
    ascending,
    conversion,
    daily_series,
    joined,
    weekdays,
)
from trading.backtest.panel import Floats, Integers, Panel
from trading.errors import BadInput, UnknownInstrument

ADJUSTED, MULTIPLE, FX = "adjusted_prices_csv", "multiple_prices_csv", "fx_prices_csv"
CONFIG, ROLLS = "csvconfig/instrumentconfig.csv", "csvconfig/rollconfig.csv"
_TIME, _REAL = pa.timestamp("us"), pa.float64()
_ADJUSTED_COLUMNS = {"DATETIME": _TIME, "price": _REAL}
_MULTIPLE_COLUMNS = {
    "DATETIME": _TIME, "PRICE": _REAL, "PRICE_CONTRACT": _REAL, "CARRY": _REAL, "CARRY_CONTRACT": _REAL,
}  # fmt: skip
_FX_COLUMNS = {"DATETIME": _TIME, "PRICE": _REAL}
_CONFIG_COLUMNS = (
    "Instrument", "Pointsize", "Percentage", "PerBlock", "PerTrade", "AssetClass", "Currency", "Description",
    "Slippage",
)  # fmt: skip
_ROLL_COLUMNS = ("Instrument", "HoldRollCycle", "RollOffsetDays", "CarryOffset", "PricedRollCycle", "ExpiryOffset")
_THREADS = 2
A = TypeVar("A")
B = TypeVar("B")


def csv_panel(
    folder: Path,
    instruments: Sequence[str],
    base: str = "USD",
    weekend_rows: str = "session",
    through: date | None = None,
) -> Panel:
    """The panel of `instruments` (any order, each once), with the version `csv_version` gives.

    `weekend_rows` is the weekday of Saturday's and Sunday's rows: `friday`, as the reference has it, puts Sunday's
    price into Friday's close. `through` leaves out rows of later weekdays, and those stamped
    later: what a weekend adds to its Friday was not known on Friday. Raises BadInput (a file is missing, a cell
    or line is wrong), UnknownInstrument (csvconfig does not name it), MissingFxPair, UsageError (no rows at all).
    """
    return CsvPanels(folder).panel(instruments, base, weekend_rows, through)


def csv_version(
    folder: Path,
    instruments: Sequence[str],
    base: str = "USD",
    weekend_rows: str = "session",
    through: date | None = None,
) -> str:
    """A hash of the bytes of the files that `csv_panel` would read, of what it would be asked, and of the code that
    makes panels. Raises as it does, but does not look into price files."""
    return CsvPanels(folder).version(instruments, base, weekend_rows, through)


@dataclass(frozen=True, slots=True)
class CsvPanels:
    """Panels of one folder. `code` is the version of the code that makes them (None: as its sources are)."""

    folder: Path
    code: str | None = None

    def instruments(self) -> Sequence[str]:
        """Instruments that have adjusted and multiple prices and a row in csvconfig, sorted. Raises BadInput."""
        adjusted, multiple = ({path.stem for path in _files(self.folder, name)} for name in (ADJUSTED, MULTIPLE))
        named = {row.fields["Instrument"] for row in read_rows(self.folder / CONFIG, _CONFIG_COLUMNS)}
        return sorted(adjusted & multiple & named)

    def version(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> str:
        """As `csv_version`."""
        request = _Request.of(self, instruments, base, weekend_rows, through)
        digests = _in_threads(lambda name: _digest(read_bytes(self.folder / name)), request.files)
        return request.version(dict(zip(request.files, digests, strict=True)))

    def panel(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> Panel:
        """As `csv_panel`. Every file is read once: what was hashed is what was parsed."""
        request = _Request.of(self, instruments, base, weekend_rows, through)
        codes, pairs = list(request.terms), request.pairs
        read = dict(zip(codes, _in_threads(request.series, codes), strict=True))
        quoted = dict(zip(pairs, _in_threads(request.quotes, pairs), strict=True))
        digests = {name: _digest(read_bytes(self.folder / name)) for name in (CONFIG, ROLLS)}
        digests |= {name: digest for _, found in read.values() for name, digest in found.items()}
        digests |= {f"{FX}/{pair}.csv": digest for pair, (_, digest) in quoted.items()}
        rates = Rates(base, request.ways, {pair: quotes for pair, (quotes, _) in quoted.items()})
        series = {code: own for code, (own, _) in read.items()}
        return joined(series, request.terms, rates, request.version(digests))


# --- what is asked ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Request:
    """Instruments with their terms, how each currency becomes the base, and which rows count."""

    folder: Path
    code: str
    terms: Mapping[str, Terms]
    ways: Mapping[str, Conversion]
    base: str
    weekend_rows: str
    through: date | None

    @classmethod
    def of(
        cls, source: CsvPanels, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None
    ) -> _Request:
        folder = source.folder
        terms = _terms(folder, sorted(set(instruments)))
        there = {path.stem for path in _files(folder, FX)}
        ways = {own.currency: conversion(own.currency, base, there) for own in terms.values()}
        code = readers_version() if source.code is None else source.code
        return cls(folder, code, terms, ways, base, weekend_rows, through)

    @property
    def pairs(self) -> list[str]:
        return sorted({pair for way in self.ways.values() for pair in way.pairs})

    @property
    def files(self) -> list[str]:
        """Names of all files below the folder that the panel is made of."""
        prices = [f"{place}/{code}.csv" for code in self.terms for place in (ADJUSTED, MULTIPLE)]
        return [CONFIG, ROLLS, *(f"{FX}/{pair}.csv" for pair in self.pairs), *prices]

    def version(self, digests: Mapping[str, str]) -> str:
        """The hash of the request and of its files by name."""
        asked = [f"panel {self.code}", self.base, self.weekend_rows, str(self.through), ",".join(self.terms)]
        lines = [*asked, *(f"{name} {digests[name]}" for name in sorted(digests))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def series(self, code: str) -> tuple[DailySeries, dict[str, str]]:
        """Daily series of an instrument, and the digests of its two files."""
        adjusted, multiple = (f"{place}/{code}.csv" for place in (ADJUSTED, MULTIPLE))
        prices = _Rows.read(self.folder / adjusted, _ADJUSTED_COLUMNS, self)
        held = _Rows.read(self.folder / multiple, _MULTIPLE_COLUMNS, self)
        rows = HeldRows(
            held.weekday, held.stamps, held.values["PRICE"], held.values["PRICE_CONTRACT"],
            held.values["CARRY"], held.values["CARRY_CONTRACT"],
        )  # fmt: skip
        if self.through is None:
            _require_values(prices.values["price"], self.folder / adjusted, "price")
            _require_values(rows.price, self.folder / multiple, "PRICE")
        series = daily_series(prices.weekday, prices.values["price"], rows)
        return series, {adjusted: prices.digest, multiple: held.digest}

    def quotes(self, pair: str) -> tuple[Quotes, str]:
        """Quotes of a pair, and the digest of its file."""
        rows = _Rows.read(self.folder / FX / f"{pair}.csv", _FX_COLUMNS, self)
        return Quotes(rows.weekday, rows.stamps, rows.values["PRICE"]), rows.digest


def _require_values(values: Floats, path: Path, column: str) -> None:
    """Raises BadInput where a file has no value at all: its instrument would be there and never trade."""
    if not np.isfinite(values).any():
        cure = "Fill it, or leave the instrument out with --instruments."
        raise BadInput("there is no value in any row", where=str(path), column=column, cure=cure)


def _terms(folder: Path, codes: Sequence[str]) -> dict[str, Terms]:
    """Terms by code, in the order of the codes. Raises UnknownInstrument, BadInput."""
    rows, rolls = (
        {row.fields["Instrument"]: row for row in read_rows(folder / name, columns)}
        for name, columns in ((CONFIG, _CONFIG_COLUMNS), (ROLLS, _ROLL_COLUMNS))
    )
    for code in codes:
        for known, name in ((rows, CONFIG), (rolls, ROLLS)):
            if code not in known:
                raise UnknownInstrument(code, list(known), str(folder / name))
    return {code: _terms_of(rows[code], rolls[code]) for code in codes}


def _terms_of(row: Row, rolls: Row) -> Terms:
    """Empty costs are none; the point size and the currency must be there."""
    if len(row.fields["Currency"]) != 3:
        raise row.wrong("Currency", "not a currency", "Write three letters, as USD.")
    return Terms(
        currency=row.fields["Currency"],
        point_value=_number(row, "Pointsize", required=True),
        slippage=_number(row, "Slippage"),
        per_contract=_number(row, "PerBlock"),
        per_trade=_number(row, "PerTrade"),
        fraction=_number(row, "Percentage"),
        rolls_a_year=float(len(rolls.fields["HoldRollCycle"])),
    )


def _number(row: Row, column: str, *, required: bool = False) -> float:
    text = row.fields[column]
    try:
        value = float(text) if text or required else 0.0
    except ValueError as cause:
        raise row.wrong(column, "not a number", "Write a decimal number.") from cause
    if not np.isfinite(value):
        raise row.wrong(column, "not a finite number", "Write a decimal number.")
    return value


# --- files ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one file in time order, as many of them as count."""

    digest: str
    stamps: Stamps
    weekday: Integers
    values: Mapping[str, Floats]

    @classmethod
    def read(cls, path: Path, columns: Mapping[str, pa.DataType], asked: _Request) -> _Rows:
        content = read_bytes(path)
        table = parsed_table(content, path, columns)
        stamps = times(table["DATETIME"])
        values = {name: reals(table[name]) for name in columns if name != "DATETIME"}
        _refuse(np.isnat(stamps), path, "DATETIME", "the time is missing", "Write the time, or remove the line.")
        for name, own in values.items():
            _refuse(np.isinf(own), path, name, "not a finite number", "Correct it, or leave the field empty.", own)
            if name.endswith("_CONTRACT"):
                cure = "Write it as YYYYMMDD, with DD = 00 for a month."
                _refuse(_no_contract(own), path, name, "not a contract id", cure, own)
        order = ascending(stamps)
        weekday = weekdays(stamps[order], asked.weekend_rows)
        counted = slice(None)
        if asked.through is not None:
            counted = slice(_rows_through(stamps[order], weekday, asked.through))
        kept = {name: own[order][counted] for name, own in values.items()}
        return cls(_digest(content), stamps[order][counted], weekday[counted], kept)


def _rows_through(stamps: Stamps, weekday: Integers, through: date) -> int:
    """How many rows were known when a weekday ended: those of it and before, less those stamped on a later date (of a
    weekend that counts to its Friday)."""
    day = np.datetime64(through, "D")
    last = weekdays(np.array([day]).astype("datetime64[us]"), "friday")
    counted = int(np.searchsorted(weekday, last[0], side="right"))
    return min(counted, int(np.searchsorted(stamps, (day + 1).astype(stamps.dtype), side="left")))


def _no_contract(found: Floats) -> npt.NDArray[np.bool_]:
    """Which numbers are no YYYYMMDD; a missing one may be."""
    month, day = found // 100 % 100, found % 100
    eight_digits = (found >= 10_000_000) & (found < 100_000_000) & (found % 1 == 0)
    return np.asarray(~np.isnan(found) & ~(eight_digits & (month >= 1) & (month <= 12) & (day <= 31)))


def _refuse(
    wrong: npt.NDArray[np.bool_], path: Path, column: str, found: str, cure: str, values: Floats | None = None
) -> None:
    """Raises BadInput naming the first row that is wrong (line numbers count no empty lines)."""
    if wrong.any():
        row = int(np.argmax(wrong))
        value = None if values is None else f"{values[row]:.15g}"
        raise BadInput(found, where=str(path), row=row + 2, column=column, value=value, cure=cure)


def _files(folder: Path, name: str) -> list[Path]:
    if not (folder / name).is_dir():
        cure = f"Give a folder in pysystemtrade's layout: {ADJUSTED}, {MULTIPLE}, {FX} and csvconfig belong in it."
        raise BadInput("the folder is missing", where=str(folder / name), cure=cure)
    return sorted((folder / name).glob("*.csv"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _in_threads(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Results in the order of the items; the first error is raised."""
    if len(items) < _THREADS:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, items))
