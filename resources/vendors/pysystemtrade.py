"""The pysystemtrade vendor: a folder in that project's CSV layout, prices and configuration.

Belongs here: `multiple_prices_csv`, `adjusted_prices_csv`, `fx_prices_csv`, `roll_calendars_csv` (one file an
instrument or pair) and `csvconfig`. Does not belong here: stitching or judging what was read.

Labels are kept verbatim and rows in the order of the file; a label that comes twice gets occurrence 1 the second time.
The zone of the labels is unknown, so `event_at` is null, and a row counts as known twelve hours after its label read as
UTC. Adjusted prices and roll calendars are optional folders; the other two must be there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path

import pyarrow as pa

from resources.csv_tables import Row, read_rows, read_table, stamps
from resources.vendors import deliveries
from trading.errors import BadInput, VendorError
from trading.frames import CONTRACT, RAW_FX_RATES, REAL, TEXT, Dataset
from trading.market.instruments import Instrument, RollParameters
from trading.ports import Delivery, Failure, Request

Field = tuple[str, str, pa.DataType]  # column of the dataset, column of the file, type

_MULTIPLE: tuple[Field, ...] = (
    ("price", "PRICE", REAL), ("price_contract", "PRICE_CONTRACT", TEXT),
    ("carry", "CARRY", REAL), ("carry_contract", "CARRY_CONTRACT", TEXT),
    ("forward", "FORWARD", REAL), ("forward_contract", "FORWARD_CONTRACT", TEXT),
)  # fmt: skip
_ROLLS: tuple[Field, ...] = tuple(
    (name, name, TEXT) for name in ("current_contract", "next_contract", "carry_contract")
)
_LAYOUT: Mapping[str, tuple[str, str, tuple[Field, ...]]] = {
    "raw_multiple_prices": ("multiple_prices_csv", "DATETIME", _MULTIPLE),
    "raw_adjusted_prices": ("adjusted_prices_csv", "DATETIME", (("price", "price", REAL),)),
    "raw_fx_rates": ("fx_prices_csv", "DATETIME", (("rate", "PRICE", REAL),)),
    "raw_roll_calendars": ("roll_calendars_csv", "DATE_TIME", _ROLLS),
}
_REQUIRED = ("raw_multiple_prices", "raw_fx_rates")
_ASSET_CLASSES = {"OilGas": "energy", "Ags": "agriculture", "Vol": "volatility"}
_COUNTRIES = {
    "USD": "US", "EUR": "EU", "GBP": "GB", "JPY": "JP", "KRW": "KR", "AUD": "AU", "CAD": "CA", "CHF": "CH",
    "HKD": "HK", "SGD": "SG", "CNH": "CN",
}  # fmt: skip


class PysystemtradeVendor:
    """Keeps the promises of `PriceVendor` over a folder. Raises BadInput where the folder is missing."""

    name = "pysystemtrade"

    def __init__(self, source: Path) -> None:
        self._source = Path(source)
        if not self._source.is_dir():
            raise BadInput("no such folder", where=str(source), cure="Give the folder that holds multiple_prices_csv.")
        self.delivers = tuple(
            name for name, (folder, _, _) in _LAYOUT.items() if name in _REQUIRED or (self._source / folder).is_dir()
        )

    def instruments(self) -> Sequence[str]:
        """Instruments that have multiple prices, sorted."""
        return sorted(path.stem for path in self._files("raw_multiple_prices"))

    def fetch(self, dataset: Dataset, request: Request) -> Delivery:
        """Rows labelled within the window. An instrument without a file is `no_data`; a file that cannot be read for
        reasons of the machine is `failed`; a file whose content is wrong raises BadInput."""
        if dataset.name not in self.delivers:
            raise VendorError(f"pysystemtrade files have no {dataset.name}. They have: {', '.join(self.delivers)}.")
        there = {path.stem: path for path in self._files(dataset.name)}
        asked = sorted(there)
        if dataset is not RAW_FX_RATES:
            asked = sorted(set(request.instruments)) if request.instruments is not None else list(self.instruments())
        tables: list[pa.Table] = []
        no_data, failed = [name for name in asked if name not in there], []
        for name in (name for name in asked if name in there):
            try:
                rows = deliveries.within(_read(there[name], name, dataset), request)
            except OSError as cause:
                failed.append(Failure(name, f"{there[name]} cannot be read: {cause.strerror or cause}"))
                continue
            if rows.num_rows:
                tables.append(rows)
            else:
                no_data.append(name)
        return Delivery(deliveries.joined(dataset, tables), tuple(sorted(no_data)), tuple(failed))

    def _files(self, dataset: str) -> list[Path]:
        folder = self._source / _LAYOUT[dataset][0]
        if not folder.is_dir():
            cure = "Give a source folder in pysystemtrade's layout, with that folder in it."
            raise BadInput("the folder is missing", where=str(folder), cure=cure)
        return sorted(folder.glob("*.csv"))


def _read(path: Path, name: str, dataset: Dataset) -> pa.Table:
    """One file as rows of a delivery."""
    _, time_column, wanted = _LAYOUT[dataset.name]
    table = read_table(path, {time_column: TEXT} | {column: kind for _, column, kind in wanted})
    stamp = stamps(table, time_column, path)
    label = table[time_column].combine_chunks()
    columns: dict[str, object] = {
        "vendor": PysystemtradeVendor.name,
        dataset.series[1]: _pair(name, path) if dataset is RAW_FX_RATES else name,
        "label": label,
        "occurrence": deliveries.occurrences(label, stamp),
        "stamp": stamp,
        "known_at": deliveries.known_after_label(stamp),
    }
    for target, column, kind in wanted:
        columns[target] = _contracts(table, column, path) if kind == TEXT else table[column].combine_chunks()
    return deliveries.rows(dataset, columns)


def _pair(name: str, path: Path) -> str:
    if not re.fullmatch(r"[A-Z]{6}", name):
        raise BadInput("the file name is not a currency pair", where=str(path), cure="Name it like EURUSD.csv.")
    return name


def _contracts(table: pa.Table, column: str, path: Path) -> pa.Array:
    """Contract ids as numbers; empty is missing. Raises BadInput on one that is no YYYYMMDD."""
    encoded = table[column].combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    texts = encoded.dictionary.to_pylist()
    wrong = next((text for text in texts if text and not _is_contract(text)), None)
    if wrong is not None:
        row = table[column].to_pylist().index(wrong) + 2
        cure = "Write it as YYYYMMDD, with DD = 00 for a month."
        raise BadInput("not a contract id", where=str(path), row=row, column=column, value=wrong, cure=cure)
    numbers = pa.array([int(float(text)) if text else None for text in texts], CONTRACT)
    return numbers.take(encoded.indices)


def _is_contract(text: str) -> bool:
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})(\.0)?", text)
    return found is not None and 1 <= int(found[2]) <= 12 and int(found[3]) <= 31


# --- csvconfig --------------------------------------------------------------------------------------------------------
def read_csvconfig(folder: Path, listings: Path) -> tuple[list[Instrument], list[RollParameters]]:
    """Instruments and roll parameters of a `csvconfig` folder, by code.

    `listings` is the project's own `reference/listings.csv`: exchange group, sector, country and tick of well-known
    codes, which csvconfig does not have; other codes trade in the group WEEKDAYS. Roll parameters of instruments that
    instrumentconfig.csv does not name are left out. Raises BadInput.
    """
    known = {row.fields["code"]: row for row in read_rows(listings, _LISTING_COLUMNS)}
    more = folder / "moreinstrumentinfo.csv"
    details = {row.fields["Instrument"]: row for row in read_rows(more, _MORE_COLUMNS)} if more.exists() else {}
    instruments = {
        row.fields["Instrument"]: _instrument(row, details, known)
        for row in read_rows(folder / "instrumentconfig.csv", _CONFIG_COLUMNS)
    }
    rolls = {row.fields["Instrument"]: row for row in read_rows(folder / "rollconfig.csv", _ROLL_COLUMNS)}
    return (
        [instruments[code] for code in sorted(instruments)],
        [_roll_parameters(rolls[code]) for code in sorted(rolls) if code in instruments],
    )


_LISTING_COLUMNS = ("code", "exchange_group", "sector", "country", "tick_points")
_MORE_COLUMNS = ("Instrument", "AssetClass", "SubClass", "SubSubClass", "Style", "Country", "Duration", "Description")
_CONFIG_COLUMNS = (
    "Instrument", "Pointsize", "Percentage", "PerBlock", "PerTrade", "AssetClass", "Currency", "Description",
    "Slippage",
)  # fmt: skip
_ROLL_COLUMNS = ("Instrument", "HoldRollCycle", "RollOffsetDays", "CarryOffset", "PricedRollCycle", "ExpiryOffset")


def _instrument(row: Row, details: Mapping[str, Row], listings: Mapping[str, Row]) -> Instrument:
    """Slippage is half the spread in points, Percentage a fraction, PerBlock and PerTrade money in the currency."""
    code, currency = row.fields["Instrument"], row.fields["Currency"]
    more = details[code].fields if code in details else {}
    listing = listings[code].fields if code in listings else {}
    kind = more.get("SubClass") if more.get("SubClass") == "STIR" else row.fields["AssetClass"]
    slippage = _number(row, "Slippage")
    return Instrument(
        code=code,
        description=row.fields["Description"],
        exchange_group=listing.get("exchange_group", "WEEKDAYS"),
        currency=currency,
        point_value_local=_number(row, "Pointsize", required=True),
        tick_points=float(listing.get("tick_points") or 2.0 * slippage or 0.01),
        asset_class=_ASSET_CLASSES.get(kind or "", (kind or "other").lower()),
        sector=listing.get("sector") or more.get("SubClass") or "other",
        country=listing.get("country") or more.get("Country") or _COUNTRIES.get(currency, currency[:2]),
        slippage_points=slippage,
        commission_per_contract_local=_number(row, "PerBlock"),
        commission_per_trade_local=_number(row, "PerTrade"),
        commission_fraction=_number(row, "Percentage"),
    )


def _roll_parameters(row: Row) -> RollParameters:
    return RollParameters(
        instrument=row.fields["Instrument"],
        hold_cycle=row.fields["HoldRollCycle"],
        priced_cycle=row.fields["PricedRollCycle"],
        roll_offset_days=int(_number(row, "RollOffsetDays", required=True)),
        expiry_offset_days=int(_number(row, "ExpiryOffset", required=True)),
        carry_offset=int(_number(row, "CarryOffset", required=True)),
    )


def _number(row: Row, column: str, *, required: bool = False) -> float:
    text = row.fields[column]
    try:
        return float(text) if text or required else 0.0
    except ValueError as cause:
        raise row.wrong(column, "not a number", "Write a decimal number.") from cause


def write_reference(
    folder: Path, instruments: Sequence[Instrument], roll_parameters: Sequence[RollParameters]
) -> tuple[Path, Path]:
    """Writes instruments.csv and roll_parameters.csv as `CsvReference` reads them; each file is replaced whole."""
    folder.mkdir(parents=True, exist_ok=True)
    return (
        _write(folder / "instruments.csv", [field.name for field in fields(Instrument)], instruments),
        _write(folder / "roll_parameters.csv", [field.name for field in fields(RollParameters)], roll_parameters),
    )


def _write(path: Path, columns: Sequence[str], values: Sequence[object]) -> Path:
    beside = path.with_suffix(".csv.new")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_shown(getattr(value, name)) for name in columns] for value in values)
    beside.replace(path)
    return path


def _shown(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
