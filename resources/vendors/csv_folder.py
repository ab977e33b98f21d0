"""The csv_folder vendor: one OHLCV file a contract, whoever made it; only the mapping in configuration differs.

Belongs here: finding the files, and columns by their mapping (`trading.config.data.CsvColumns`). Does not belong
here: judging the rows.

    SOURCE/CORN_20211200.csv      bars of a contract; instrument and contract are groups of `columns.file_pattern`
    SOURCE/fx/EURUSD.csv          exchange rates, one file a pair: the time and close columns of the same mapping

The contract group is YYYYMMDD (DD = 00: a month), YYYYMM, or a year and a month letter (2021Z). Every file of the
folder whose name ends in .csv must fit the pattern. Labels are kept verbatim and rows in the order of the file. The
zone is unknown, so `event_at` is null, and a row counts as known twelve hours after its label read as UTC.
`price_factor` applies to prices, not to rates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from resources.csv_tables import read_table, stamps
from resources.vendors import deliveries
from trading.config.data import CsvColumns
from trading.errors import BadInput, VendorError
from trading.frames import RAW_BARS, RAW_FX_RATES, REAL, TEXT, Dataset
from trading.market.contracts import MONTH_LETTERS
from trading.ports import Delivery, Failure, Request

FX_FOLDER = "fx"


class CsvFolderVendor:
    """Keeps the promises of `PriceVendor`: raw_bars, and raw_fx_rates from the subfolder `fx`.

    Raises BadInput where the folder is missing, ConfigError where the file pattern is no pattern or lacks a group.
    """

    name = "csv_folder"
    delivers = ("raw_bars", "raw_fx_rates")

    def __init__(self, source: Path, columns: CsvColumns) -> None:
        self._source, self._columns = Path(source), columns
        if not self._source.is_dir():
            raise BadInput("no such folder", where=str(source), cure="Give the folder that holds the contract files.")
        self._pattern = re.compile(columns.file_pattern)

    def instruments(self) -> Sequence[str]:
        """Instruments that have a file, sorted."""
        return sorted({instrument for instrument, _ in self._contracts()})

    def fetch(self, dataset: Dataset, request: Request) -> Delivery:
        """Rows labelled within the window. An instrument (or, without any rate, the pairs) without a file is `no_data`;
        a file that cannot be read for reasons of the machine is `failed`; wrong content raises BadInput."""
        if dataset.name == "raw_fx_rates":
            return self._fetch_rates(request)
        if dataset.name != "raw_bars":
            raise VendorError(f"contract files have no {dataset.name}. They have raw_bars and raw_fx_rates.")
        files = self._contracts()
        has = sorted({instrument for instrument, _ in files})
        asked = sorted(set(request.instruments)) if request.instruments is not None else has
        tables: list[pa.Table] = []
        failed: dict[str, Failure] = {}
        for (instrument, contract), path in files.items():
            if instrument not in asked or instrument in failed:
                continue
            try:
                tables.append(deliveries.within(self._bars(path, instrument, contract), request))
            except OSError as cause:
                failed[instrument] = _failure(instrument, path, cause)
        rows = deliveries.joined(RAW_BARS, tables)
        rows = rows.filter(pc.invert(pc.is_in(rows["instrument"], pa.array(list(failed), TEXT))))
        delivered = set(pc.unique(rows["instrument"]).to_pylist())
        no_data = tuple(code for code in asked if code not in delivered and code not in failed)
        return Delivery(rows, no_data, tuple(failed.values()))

    def _contracts(self) -> Mapping[tuple[str, int], Path]:
        """Files by instrument and contract, in that order."""
        found: dict[tuple[str, int], Path] = {}
        for path in sorted(self._source.glob("*.csv")):
            key = self._named(path)
            if key in found:
                cure = "Keep one of the two files."
                raise BadInput(f"the same contract as {found[key].name}", where=str(path), value=key[1], cure=cure)
            found[key] = path
        return dict(sorted(found.items()))

    def _named(self, path: Path) -> tuple[str, int]:
        match = self._pattern.fullmatch(path.name)
        if match is None:
            cure = "Rename or remove it, or change data.vendor.columns.file_pattern."
            found = f"the file name does not fit the pattern {self._columns.file_pattern}"
            raise BadInput(found, where=str(path), cure=cure)
        return match["instrument"], _contract(match["contract"], path)

    def _bars(self, path: Path, instrument: str, contract: int) -> pa.Table:
        columns = self._columns
        names = {"open": columns.open, "high": columns.high, "low": columns.low, "close": columns.close}
        prices = {target: name for target, name in names.items() if name is not None}
        volume = {"volume": columns.volume} if columns.volume is not None else {}
        table = self._table(path, [*prices.values(), *volume.values()])
        factor = pa.scalar(columns.price_factor, REAL)
        values: dict[str, object] = {name: pc.multiply(_column(table, of), factor) for name, of in prices.items()}
        values |= {name: _column(table, of) for name, of in volume.items()}
        named = {"instrument": instrument, "contract": pa.repeat(contract, table.num_rows)}
        return self._rows(RAW_BARS, path, table, {**named, "frequency": columns.frequency, **values})

    def _fetch_rates(self, request: Request) -> Delivery:
        tables: list[pa.Table] = []
        no_data: list[str] = []
        failed: list[Failure] = []
        for path in sorted((self._source / FX_FOLDER).glob("*.csv")):
            if not re.fullmatch(r"[A-Z]{6}", path.stem):
                raise BadInput("the file name is not a currency pair", where=str(path), cure="Name it like EURUSD.csv.")
            try:
                rows = deliveries.within(self._rates(path), request)
            except OSError as cause:
                failed.append(_failure(path.stem, path, cause))
                continue
            tables.append(rows)
            no_data += [] if rows.num_rows else [path.stem]
        return Delivery(deliveries.joined(RAW_FX_RATES, tables), tuple(no_data), tuple(failed))

    def _rates(self, path: Path) -> pa.Table:
        table = self._table(path, [self._columns.close])
        return self._rows(RAW_FX_RATES, path, table, {"pair": path.stem, "rate": _column(table, self._columns.close)})

    def _table(self, path: Path, numbers: Sequence[str]) -> pa.Table:
        types = {self._columns.time: TEXT} | dict.fromkeys(numbers, REAL)
        return read_table(path, types, delimiter=self._columns.delimiter, encoding=self._columns.encoding)

    def _rows(self, dataset: Dataset, path: Path, table: pa.Table, values: Mapping[str, object]) -> pa.Table:
        stamp = stamps(table, self._columns.time, path, pattern=self._columns.time_format)
        label = _column(table, self._columns.time)
        times = {
            "label": label,
            "occurrence": deliveries.occurrences(label, stamp),
            "stamp": stamp,
            "known_at": deliveries.known_after_label(stamp),
        }
        return deliveries.rows(dataset, {**times, "vendor": self.name, **values})


def _contract(text: str, path: Path) -> int:
    """20211200 from 20211200, 202112 or 2021Z."""
    if found := re.fullmatch(rf"(\d{{4}})([{MONTH_LETTERS}])", text):
        return int(found[1]) * 10000 + (MONTH_LETTERS.index(found[2]) + 1) * 100
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})?", text)
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[3] or 0) > 31:
        cure = "Name the file with the contract as YYYYMMDD (DD = 00 for a month), YYYYMM or like 2021Z."
        raise BadInput("not a contract id in the file name", where=str(path), value=text, cure=cure)
    return int(found[1] + found[2] + (found[3] or "00"))


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


def _failure(series: str, path: Path, cause: OSError) -> Failure:
    return Failure(series, f"{path} cannot be read: {cause.strerror or cause}")
