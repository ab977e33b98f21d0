"""What every PriceVendor promises (trading.ports.PriceVendor), run against each adapter.

Belongs here: promises. Does not belong here: what only one adapter does (tests/adapters/).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from resources.memory import MemoryReference, MemoryVendor
from resources.vendors.csv_folder import CsvFolderVendor
from resources.vendors.pysystemtrade import PysystemtradeVendor
from resources.vendors.simulated import SimulatedVendor
from trading.config.data import CsvColumns
from trading.errors import VendorError
from trading.frames import BREAKS, DATASETS, RAW_BARS, Dataset
from trading.market.instruments import ExchangeGroup, FxPair, Instrument, RollParameters
from trading.ports import PriceVendor, Request

FIRST, LAST = date(2022, 2, 21), date(2022, 2, 25)
DAYS = ("2022-02-21", "2022-02-22", "2022-02-23", "2022-02-24", "2022-02-25")


def reference() -> MemoryReference:
    groups = [ExchangeGroup("ALL", "weekdays", "America/Chicago", time(16, 0))]
    instruments = [
        Instrument(code, code, "ALL", "USD", 50.0, 0.25, "agriculture", "grains", "US") for code in ("CORN", "SOYBEAN")
    ]
    rolls = [RollParameters(code, "HKNUZ", "HKNUZ", -20, 13, 1) for code in ("CORN", "SOYBEAN")]
    return MemoryReference(instruments, rolls, [FxPair("EURUSD", "EUR", "USD")], groups)


def simulated(_: Path) -> PriceVendor:
    return SimulatedVendor(reference())


def pysystemtrade(folder: Path) -> PriceVendor:
    for code in ("CORN", "SOYBEAN"):
        _write(
            folder / "multiple_prices_csv" / f"{code}.csv",
            "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT",
            [f"{day} 23:00:00,1.5,20220900,2.5,20221200,,20231200" for day in DAYS],
        )
        _write(folder / "adjusted_prices_csv" / f"{code}.csv", "DATETIME,price", [f"{d} 23:00:00,1.5" for d in DAYS])
        _write(
            folder / "roll_calendars_csv" / f"{code}.csv",
            "DATE_TIME,current_contract,next_contract,carry_contract",
            ["2022-02-23 23:00:00,20211200,20221200,20210900"],
        )
    _write(folder / "fx_prices_csv" / "EURUSD.csv", "DATETIME,PRICE", [f"{day} 23:00:00,1.12" for day in DAYS])
    return PysystemtradeVendor(folder)


def csv_folder(folder: Path) -> PriceVendor:
    for name in ("CORN_20221200", "CORN_20231200", "SOYBEAN_20221100"):
        rows = [f"{day},1.0,3.0,0.5,2.0,10" for day in DAYS]
        _write(folder / f"{name}.csv", "Time,Open,High,Low,Close,Volume", [*rows, rows[-1]])
    _write(folder / "fx" / "EURUSD.csv", "Time,Close", [f"{day},1.12" for day in DAYS])
    return CsvFolderVendor(folder, CsvColumns())


def memory(folder: Path) -> PriceVendor:
    files = csv_folder(folder)
    return MemoryVendor({name: files.fetch(DATASETS[name], Request()).rows for name in files.delivers}, "csv_folder")


def _write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


Make = Callable[[Path], PriceVendor]


@pytest.fixture(params=[simulated, pysystemtrade, csv_folder, memory], ids=lambda make: make.__name__)
def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> PriceVendor:
    make: Make = request.param
    return make(tmp_path)


def all_of(vendor: PriceVendor) -> list[Dataset]:
    return [DATASETS[name] for name in vendor.delivers]


def by_instrument(vendor: PriceVendor) -> list[Dataset]:
    return [dataset for dataset in all_of(vendor) if "instrument" in dataset.series]


def sorted_rows(table: pa.Table, dataset: Dataset) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in dataset.key]).combine_chunks()


def test_it_keeps_the_port_and_names_what_it_has(vendor: PriceVendor) -> None:
    assert isinstance(vendor, PriceVendor)
    assert list(vendor.instruments()) == ["CORN", "SOYBEAN"]
    assert vendor.delivers
    assert set(vendor.delivers) <= {name for name, dataset in DATASETS.items() if dataset.layer == "raw"}


def test_rows_have_the_columns_and_types_of_their_dataset(vendor: PriceVendor) -> None:
    for dataset in all_of(vendor):
        rows = vendor.fetch(dataset, Request(None, FIRST, LAST)).rows
        wanted = [(f.name, f.type) for f in dataset.schema if f.name not in ("session", "loaded_at")]
        assert [(field.name, field.type) for field in rows.schema] == wanted
        assert rows.num_rows > 0
        assert pc.unique(rows["vendor"]).to_pylist() == [vendor.name]
        for field in dataset.schema:
            assert field.nullable or field.name in ("session", "loaded_at") or rows[field.name].null_count == 0


def test_a_row_is_identified_by_its_key(vendor: PriceVendor) -> None:
    for dataset in all_of(vendor):
        rows = vendor.fetch(dataset, Request(None, FIRST, LAST)).rows
        assert rows.group_by(list(dataset.key)).aggregate([]).num_rows == rows.num_rows


def test_rows_are_not_known_before_they_happened(vendor: PriceVendor) -> None:
    for dataset in all_of(vendor):
        rows = vendor.fetch(dataset, Request(None, FIRST, LAST)).rows
        assert rows["known_at"].null_count == 0
        assert pc.sum(pc.less(rows["known_at"], rows["event_at"])).as_py() in (0, None)


def test_asking_twice_gives_the_same_rows(vendor: PriceVendor) -> None:
    for dataset in all_of(vendor):
        request = Request(None, FIRST, LAST)
        assert vendor.fetch(dataset, request).rows.equals(vendor.fetch(dataset, request).rows)


def test_a_narrower_window_gives_the_same_rows_of_fewer_days(vendor: PriceVendor) -> None:
    inner = (date(2022, 2, 22), date(2022, 2, 24))
    for dataset in all_of(vendor):
        wide = vendor.fetch(dataset, Request(None, FIRST, LAST)).rows
        day = wide["stamp"].cast(pa.date32())
        inside = pc.and_(pc.greater_equal(day, pa.scalar(inner[0])), pc.less_equal(day, pa.scalar(inner[1])))
        narrow = vendor.fetch(dataset, Request(None, *inner)).rows
        assert narrow.num_rows > 0
        assert sorted_rows(narrow, dataset).equals(sorted_rows(wide.filter(inside), dataset))


def test_only_the_instruments_asked_are_delivered(vendor: PriceVendor) -> None:
    for dataset in by_instrument(vendor):
        delivery = vendor.fetch(dataset, Request(("SOYBEAN",), FIRST, LAST))
        assert pc.unique(delivery.rows["instrument"]).to_pylist() == ["SOYBEAN"]
        assert delivery.no_data == ()


def test_an_instrument_it_does_not_have_is_no_data_and_not_failed(vendor: PriceVendor) -> None:
    for dataset in by_instrument(vendor):
        delivery = vendor.fetch(dataset, Request(("CORN", "NOSUCH"), FIRST, LAST))
        assert delivery.no_data == ("NOSUCH",)
        assert delivery.failed == ()
        assert pc.unique(delivery.rows["instrument"]).to_pylist() == ["CORN"]


def test_a_window_without_rows_is_no_data(vendor: PriceVendor) -> None:
    for dataset in by_instrument(vendor):
        delivery = vendor.fetch(dataset, Request(("CORN",), date(1950, 1, 2), date(1950, 1, 6)))
        assert delivery.rows.num_rows == 0
        assert delivery.rows.schema.names == [n for n in dataset.schema.names if n not in ("session", "loaded_at")]
        assert delivery.no_data == ("CORN",)


def test_a_dataset_it_does_not_deliver_is_an_error(vendor: PriceVendor) -> None:
    with pytest.raises(VendorError, match="breaks"):
        vendor.fetch(BREAKS, Request())


def test_failed_series_have_no_rows_and_are_not_no_data(tmp_path: Path) -> None:
    """A fault of the simulated market, a contract that is a folder instead of a file, a switch of the one in memory."""
    failing = MemoryVendor({"raw_bars": csv_folder(tmp_path / "memory").fetch(RAW_BARS, Request()).rows})
    failing.failing["CORN"] = "timed out"
    files = csv_folder(tmp_path / "files")
    (tmp_path / "files" / "CORN_20241200.csv").mkdir()
    faulty = SimulatedVendor(reference(), faults=("missing_instrument",))
    for vendor in (failing, files, faulty):
        delivery = vendor.fetch(RAW_BARS, Request(("CORN",), FIRST, LAST))
        assert [failure.series for failure in delivery.failed] == ["CORN"]
        assert delivery.failed[0].reason
        assert delivery.no_data == ()
        assert delivery.rows.num_rows == 0
