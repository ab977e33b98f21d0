"""The csv_folder vendor: three makers' files that differ only in their mapping, and bad file names."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from resources.vendors.csv_folder import CsvFolderVendor
from trading.config.data import CsvColumns
from trading.errors import BadInput
from trading.frames import RAW_BARS, RAW_FX_RATES
from trading.ports import Request

BARCHART = CsvColumns()
NORGATE = CsvColumns(
    time="Date",
    volume="Volume",
    time_format="%Y%m%d",
    file_pattern=r"(?P<instrument>\w+)-(?P<contract>\d{4}[A-Z])\.csv",
)
HANDMADE = CsvColumns(
    time="Tag", open=None, high=None, low=None, close="Schluss", volume=None, time_format="%d.%m.%Y", delimiter=";",
    encoding="latin-1", price_factor=0.01, file_pattern=r"(?P<contract>\d{6}) (?P<instrument>\w+)\.csv",
)  # fmt: skip
FILES = {
    "barchart": (
        BARCHART, "CORN_20211200.csv",
        "Time,Open,High,Low,Close,Volume\n2021-10-01 20:00:00,536.75,545.5,534.25,541.5,1000\n",
        "2021-10-01 20:00:00",
    ),
    "norgate": (
        NORGATE, "CORN-2021Z.csv",
        "Date,Open,High,Low,Close,Volume,Open Interest\n20211001,536.75,545.5,534.25,541.5,1000,77\n", "20211001",
    ),
    "handmade": (
        HANDMADE, "202112 CORN.csv", "Tag;Schluss;Börse\n01.10.2021;54150;Zürich\n", "01.10.2021",
    ),
}  # fmt: skip


@pytest.mark.parametrize("maker", FILES)
def test_makers_differ_only_in_their_mapping(tmp_path: Path, maker: str) -> None:
    columns, name, text, label = FILES[maker]
    (tmp_path / name).write_bytes(text.encode(columns.encoding))
    (row,) = CsvFolderVendor(tmp_path, columns).fetch(RAW_BARS, Request()).rows.to_pylist()
    stamp = datetime.fromisoformat("2021-10-01T20:00:00" if maker == "barchart" else "2021-10-01T00:00:00")
    full = maker != "handmade"
    assert row == {
        "vendor": "csv_folder", "instrument": "CORN", "contract": 20211200, "frequency": "daily", "label": label,
        "occurrence": 0, "stamp": stamp, "event_at": None,
        "known_at": datetime(2021, 10, 2, 8 if maker == "barchart" else 0, tzinfo=UTC)
        if maker == "barchart" else datetime(2021, 10, 1, 12, tzinfo=UTC),
        "open": 536.75 if full else None, "high": 545.5 if full else None, "low": 534.25 if full else None,
        "close": 541.5, "volume": 1000.0 if full else None,
    }  # fmt: skip


def test_contracts_come_in_order_and_rates_from_their_folder(tmp_path: Path) -> None:
    for name in ("CORN_20221200", "AUD_20220300", "CORN_20211200"):
        (tmp_path / f"{name}.csv").write_text("Time,Open,High,Low,Close,Volume\n2021-10-01,1,1,1,1,-5\n")
    (tmp_path / "fx").mkdir()
    (tmp_path / "fx" / "EURUSD.csv").write_text("Time,Close\n2021-10-01,1.16\n")
    vendor = CsvFolderVendor(tmp_path, BARCHART)
    rows = vendor.fetch(RAW_BARS, Request()).rows
    assert rows["contract"].to_pylist() == [20220300, 20211200, 20221200]
    assert rows["volume"].to_pylist() == [-5.0] * 3
    (rate,) = vendor.fetch(RAW_FX_RATES, Request()).rows.to_pylist()
    assert (rate["pair"], rate["rate"]) == ("EURUSD", 1.16)


@pytest.mark.parametrize(
    ("name", "value"),
    [("CORN_20211300.csv", "20211300"), ("CORN_20211240.csv", "20211240"), ("CORN_DEC21.csv", None), ("x.csv", None)],
)
def test_a_malformed_file_name_is_named(tmp_path: Path, name: str, value: str | None) -> None:
    (tmp_path / name).write_text("Time,Open,High,Low,Close,Volume\n2021-10-01,1,1,1,1,1\n")
    with pytest.raises(BadInput, match="file name") as caught:
        CsvFolderVendor(tmp_path, BARCHART).fetch(RAW_BARS, Request())
    assert caught.value.where.endswith(name)
    assert caught.value.value == value


def test_two_files_of_one_contract_are_refused(tmp_path: Path) -> None:
    columns = CsvColumns(file_pattern=r"(?P<instrument>[A-Z]+)_(?P<contract>\w+)\.csv")
    for contract in ("20211200", "2021Z"):
        (tmp_path / f"CORN_{contract}.csv").write_text("Time,Open,High,Low,Close,Volume\n2021-10-01,1,1,1,1,1\n")
    with pytest.raises(BadInput, match="same contract as CORN_20211200"):
        CsvFolderVendor(tmp_path, columns).fetch(RAW_BARS, Request())


def test_a_mapped_column_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "CORN_20211200.csv").write_text("Time,Open,High,Low,Last,Volume\n2021-10-01,1,1,1,1,1\n")
    with pytest.raises(BadInput, match=r"vendor\.columns") as caught:
        CsvFolderVendor(tmp_path, BARCHART).fetch(RAW_BARS, Request())
    assert (caught.value.row, caught.value.column) == (1, "Close")


@pytest.mark.parametrize("pattern", ["(?P<instrument>", r"(?P<instrument>\w+)\.csv"])
def test_a_pattern_that_cannot_work_is_refused_by_the_settings(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"file_pattern\n.*(no group contract|not a regular expression)"):
        CsvColumns(file_pattern=pattern)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        CsvFolderVendor(tmp_path / "none", BARCHART)
