"""pysystemtrade's files: labels, duplicates, contract ids, windows, bad input, and csvconfig."""

from __future__ import annotations

import csv
import math
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resources.csv_reference import CsvReference
from resources.vendors.pysystemtrade import PysystemtradeVendor, read_csvconfig, write_reference
from trading.errors import BadInput
from trading.frames import RAW_ADJUSTED_PRICES, RAW_FX_RATES, RAW_MULTIPLE_PRICES, RAW_ROLL_CALENDARS
from trading.ports import Request

HEADER = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT\n"
ROW = "2022-02-25 23:00:00,1.5,20220900,2.5,20221200,3.5,20231200\n"
EIGHTEEN = [
    *("AUD", "COPPER", "CORN", "CRUDE_W", "EDOLLAR", "EUROSTX", "GAS_US", "GOLD", "JGB"),
    *("JPY", "KOSPI", "LEANHOG", "MXP", "SOYBEAN", "SP500", "US10", "US2", "V2X"),
]


def layout(folder: Path, content: str | bytes = HEADER + ROW, name: str = "CORN") -> PysystemtradeVendor:
    """A folder with multiple prices of one instrument and one exchange rate."""
    for place, text in ((f"multiple_prices_csv/{name}.csv", content), ("fx_prices_csv/EURUSD.csv", "DATETIME,PRICE\n")):
        path = folder / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return PysystemtradeVendor(folder)


def rows(folder: Path, content: str | bytes) -> list[dict[str, object]]:
    return layout(folder, content).fetch(RAW_MULTIPLE_PRICES, Request()).rows.to_pylist()  # type: ignore[no-any-return]


def test_a_row_is_read_as_it_stands(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, HEADER + ROW)
    assert row == {
        "vendor": "pysystemtrade", "instrument": "CORN", "label": "2022-02-25 23:00:00", "occurrence": 0,
        "stamp": datetime.fromisoformat("2022-02-25T23:00:00"), "event_at": None,
        "known_at": datetime(2022, 2, 26, 11, tzinfo=UTC),
        "price": 2.5, "price_contract": 20221200, "carry": 1.5, "carry_contract": 20220900,
        "forward": 3.5, "forward_contract": 20231200,
    }  # fmt: skip


def test_duplicates_unsorted_missing_and_odd_values_are_passed_on(tmp_path: Path) -> None:
    """Two rows with one label, out of order; an infinite, a missing and a NaN price; an id written as a decimal."""
    lines = [
        "2022-02-25 23:00:00,,20220900,inf,20221200,,20231200",
        "2022-02-24 23:00:00,nan,20220900,-1.0,20221200.0,,",
        "2022-02-25 23:00:00,1,20220900,2,20221200,3,20231200",
    ]
    found = rows(tmp_path, HEADER + "\r\n".join(lines))
    assert [row["label"] for row in found] == [line[:19] for line in lines]
    assert [row["occurrence"] for row in found] == [0, 0, 1]
    assert [row["price"] for row in found] == [math.inf, -1.0, 2.0]
    assert found[1]["carry"] is None
    assert found[1]["price_contract"] == 20221200
    assert found[1]["forward_contract"] is None


@pytest.mark.parametrize(
    ("content", "row", "column", "value"),
    [
        (HEADER.replace("FORWARD,", "NEXT,") + ROW, 1, "FORWARD", None),
        (HEADER + ROW + ROW[:25], 3, None, ROW[:25]),
        (HEADER + ROW + ROW.replace("2.5", "2.5.5"), 3, "PRICE", "2.5.5"),
        (HEADER + ROW + ROW.replace("20221200", "20221300"), 3, "PRICE_CONTRACT", "20221300"),
        (HEADER + ROW + ROW.replace("20231200", "DEC23"), 3, "FORWARD_CONTRACT", "DEC23"),
        (HEADER + ROW + ROW.replace("02-25", "02-31"), 3, "DATETIME", "2022-02-31 23:00:00"),
        ("", None, None, None),
        ((HEADER + ROW).encode("utf-16"), 1, None, b"\xff"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, content: str | bytes, row: int | None, column: str | None, value: object
) -> None:
    with pytest.raises(BadInput) as caught:
        rows(tmp_path, content)
    assert (caught.value.row, caught.value.column, caught.value.value) == (row, column, value)
    assert caught.value.where.endswith("CORN.csv")


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        PysystemtradeVendor(tmp_path / "none")
    empty = PysystemtradeVendor(tmp_path)
    assert empty.delivers == ("raw_multiple_prices", "raw_fx_rates")
    with pytest.raises(BadInput, match="multiple_prices_csv"):
        empty.fetch(RAW_MULTIPLE_PRICES, Request())


def test_a_pair_must_look_like_one(tmp_path: Path) -> None:
    vendor = layout(tmp_path)
    assert vendor.fetch(RAW_FX_RATES, Request()).no_data == ("EURUSD",)
    (tmp_path / "fx_prices_csv" / "EUR.csv").write_text("DATETIME,PRICE\n2022-02-25,1.1\n")
    with pytest.raises(BadInput, match="currency pair"):
        vendor.fetch(RAW_FX_RATES, Request())


def test_csvconfig_becomes_reference_data_that_reads_back(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "csvconfig"
    folder.mkdir()
    (folder / "instrumentconfig.csv").write_text(
        "Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,Slippage\n"
        "CORN,50,0,2.9,0,Ags,USD,Corn,0.125\nODD-ONE,7,0.0004,,1,OilGas,EUR,,0.5\n"
    )
    (folder / "moreinstrumentinfo.csv").write_text(
        "Instrument,AssetClass,SubClass,SubSubClass,Style,Country,Duration,Description\nODD-ONE,OilGas,Tar,,,,,\n"
    )
    (folder / "rollconfig.csv").write_text(
        "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset\n"
        "CORN,Z,-60,-1,HKNUZ,14\nGONE,Z,0,1,Z,0\n"
    )
    written = read_csvconfig(folder, root / "reference" / "listings.csv")
    write_reference(tmp_path / "home", *written)
    reference = CsvReference([root / "reference", tmp_path / "home"])
    corn, odd = (reference.instruments(date(2022, 1, 3))[code] for code in ("CORN", "ODD-ONE"))
    assert (corn.exchange_group, corn.sector, corn.country, corn.tick_points) == ("CBOT", "grains", "US", 0.25)
    assert (corn.slippage_points, corn.commission_per_contract_local, corn.point_value_local) == (0.125, 2.9, 50.0)
    assert (odd.exchange_group, odd.asset_class, odd.sector, odd.country) == ("WEEKDAYS", "energy", "Tar", "EU")
    assert (odd.commission_fraction, odd.commission_per_contract_local, odd.commission_per_trade_local) == (4e-4, 0, 1)
    rolls = reference.roll_parameters(date(2022, 1, 3))["CORN"]
    assert (rolls.hold_cycle, rolls.priced_cycle, rolls.roll_offset_days) == ("Z", "HKNUZ", -60)
    assert (rolls.carry_offset, rolls.expiry_offset_days) == (-1, 14)
    assert [roll.instrument for roll in written[1]] == ["CORN"]


@pytest.mark.parametrize("name", ["instrumentconfig", "rollconfig"])
def test_a_csvconfig_file_that_is_missing_is_named(tmp_path: Path, root: Path, name: str) -> None:
    for other in {"instrumentconfig", "rollconfig"} - {name}:
        columns = {
            "instrumentconfig": "Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,"
            "Slippage",
            "rollconfig": "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset",
        }
        (tmp_path / f"{other}.csv").write_text(columns[other] + "\n")
    with pytest.raises(BadInput, match=f"{name}.csv"):
        read_csvconfig(tmp_path, root / "reference" / "listings.csv")


# --- the real files ---------------------------------------------------------------------------------------------------
@pytest.mark.golden
def test_every_number_of_a_real_file_is_the_nearest_float(shared: Path) -> None:
    """Against Python's own csv and float(), which rounds correctly."""
    source = shared / "data" / "futures"
    delivered = PysystemtradeVendor(source).fetch(RAW_MULTIPLE_PRICES, Request(("US10",))).rows
    with (source / "multiple_prices_csv" / "US10.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert delivered["label"].to_pylist() == [line["DATETIME"] for line in lines]
    for name in ("price", "carry", "forward"):
        texts = [line[name.upper()] for line in lines]
        assert delivered[name].to_pylist() == [float(text) if text else None for text in texts]


@pytest.mark.golden
def test_the_real_folder_is_read_whole(shared: Path) -> None:
    """Line counts of the files, without their headers."""
    vendor = PysystemtradeVendor(shared / "data" / "futures")
    assert list(vendor.instruments()) == EIGHTEEN
    for dataset, folder in (
        (RAW_MULTIPLE_PRICES, "multiple_prices_csv"),
        (RAW_ADJUSTED_PRICES, "adjusted_prices_csv"),
        (RAW_FX_RATES, "fx_prices_csv"),
        (RAW_ROLL_CALENDARS, "roll_calendars_csv"),
    ):
        files = list((shared / "data" / "futures" / folder).glob("*.csv"))
        lines = sum(path.read_bytes().rstrip().count(b"\n") for path in files)
        delivery = vendor.fetch(dataset, Request())
        assert (delivery.rows.num_rows, delivery.no_data, delivery.failed) == (lines, (), ())


@pytest.mark.golden
def test_the_real_csvconfig_lies_over_our_own(shared: Path, root: Path, tmp_path: Path) -> None:
    written = read_csvconfig(shared / "data" / "futures" / "csvconfig", root / "reference" / "listings.csv")
    write_reference(tmp_path, *written)
    reference = CsvReference([root / "reference", tmp_path])
    instruments = reference.instruments(date(2022, 2, 25))
    assert len(instruments) >= 271
    assert all(instruments[code].exchange_group != "WEEKDAYS" for code in EIGHTEEN)
    assert set(EIGHTEEN) <= set(reference.roll_parameters(date(2022, 2, 25)))
    assert instruments["EDOLLAR"].asset_class == "stir"
