"""Our stitching of the vendor's multiple prices against the vendor's own adjusted prices, all 18 instruments."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from trading.market.continuous import panama
from trading.market.rolls import implied_calendar, multiple_prices

pytestmark = pytest.mark.golden

# Rows of the vendor's multiple prices that its adjusted prices lack: 44 of 579,177, all after the instrument's last
# roll. Up to the last roll the files agree row by row, missing prices included, since a roll stitches everything again;
# after it the vendor only appends.
# - 37 have no PRICE (only a carry or forward price), and the vendor appends no missing prices.
UNPRICED = {
    "AUD": ["2021-12-29 23:00"],
    "CRUDE_W": ["2021-10-12 23:00", "2021-10-19 23:00"],
    "EUROSTX": ["2021-12-14 23:00"],
    "JGB": ["2021-12-11 23:00"],
    "MXP": [
        "2021-12-20 23:00", "2021-12-21 23:00", "2021-12-31 23:00", "2022-01-03 23:00", "2022-01-04 23:00",
        "2022-01-05 23:00", "2022-01-06 23:00", "2022-01-11 23:00", "2022-01-12 23:00", "2022-01-13 23:00",
        "2022-01-14 23:00", "2022-01-18 23:00", "2022-01-19 23:00", "2022-01-20 23:00", "2022-02-07 23:00",
    ],
    "SOYBEAN": ["2021-10-05 23:00"],
    "US10": ["2022-02-23 23:00", "2022-02-24 23:00"],
    "US2": ["2022-02-23 23:00", "2022-02-24 23:00", "2022-02-25 23:00"],
    "V2X": [
        "2022-02-23 00:15", "2022-02-23 01:00", "2022-02-23 02:00", "2022-02-23 03:00", "2022-02-23 04:00",
        "2022-02-25 00:15", "2022-02-25 01:00", "2022-02-25 02:00", "2022-02-25 03:00", "2022-02-25 04:00",
        "2022-02-25 05:00",
    ],
}  # fmt: skip
# - 7 of JGB have a PRICE, always that of the row before, and the vendor did not append them (the files do not say why;
#   other rows that repeat a price are there). None is the last row of its session.
REPEATED = {
    "JGB": [
        "2021-12-08 02:00", "2021-12-08 06:00", "2021-12-09 02:00", "2021-12-10 02:00", "2021-12-13 02:00",
        "2021-12-14 02:00", "2021-12-14 06:00",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def joined(vendor_multiple: pd.DataFrame, vendor_adjusted: pd.DataFrame) -> pd.DataFrame:
    theirs = vendor_adjusted[["instrument", "stamp", "price"]].rename(columns={"price": "theirs"})
    return panama(vendor_multiple).merge(
        theirs, on=["instrument", "stamp"], how="outer", indicator=True, validate="one_to_one"
    )


def listed(rows: pd.DataFrame) -> dict[str, list[str]]:
    return {str(code): list(own.dt.strftime("%Y-%m-%d %H:%M")) for code, own in rows.groupby("instrument")["stamp"]}


def test_every_shared_time_agrees_within_1e_9(joined: pd.DataFrame) -> None:
    shared_rows = joined[joined["_merge"] == "both"]
    assert shared_rows["instrument"].nunique() == 18
    assert len(shared_rows) == 579_133
    assert (shared_rows["price"].isna() == shared_rows["theirs"].isna()).all()
    worst = (shared_rows["price"] - shared_rows["theirs"]).abs().groupby(shared_rows["instrument"]).max()
    assert worst.max() <= 1e-9, worst[worst > 1e-9]


def test_rows_only_one_file_has_are_these(joined: pd.DataFrame) -> None:
    ours = joined[joined["_merge"] == "left_only"]
    assert (joined["_merge"] != "right_only").all()
    assert listed(ours[ours["price"].isna()]) == UNPRICED
    assert listed(ours[ours["price"].notna()]) == REPEATED


def test_those_rows_come_after_the_last_roll_and_change_no_price(
    joined: pd.DataFrame, vendor_multiple: pd.DataFrame
) -> None:
    ours = joined[joined["_merge"] == "left_only"]
    last_roll = implied_calendar(vendor_multiple).groupby("instrument")["roll_at"].max()
    assert (ours["stamp"] > ours["instrument"].map(last_roll)).all()
    repeated = ours["price"].notna()
    before = joined.groupby("instrument")["price"].shift(1)[ours.index]
    after = joined.groupby("instrument")["session"].shift(-1)[ours.index]
    assert (ours["price"] == before)[repeated].all()
    assert (ours["session"] == after)[repeated].all()


CONTRACTS = ["current_contract", "next_contract", "carry_contract"]


def vendor_calendar(shared: Path, instrument: str) -> pd.DataFrame:
    calendar = pd.read_csv(shared / "data" / "futures" / "roll_calendars_csv" / f"{instrument}.csv")
    calendar["roll_at"] = pd.to_datetime(calendar["DATE_TIME"]).astype("datetime64[us]")
    return calendar.assign(instrument=instrument)[["instrument", "roll_at", *CONTRACTS]]


def test_the_implied_calendar_has_the_contracts_of_the_vendors(vendor_multiple: pd.DataFrame, shared: Path) -> None:
    """The vendor's calendars are older than its prices, so ours have more rolls at the end. Those of JGB and SP500 have
    one more at the start, the roll with which their multiple prices begin."""
    implied = implied_calendar(vendor_multiple)
    for instrument, ours in implied.groupby("instrument"):
        theirs = vendor_calendar(shared, str(instrument))[CONTRACTS].iloc[int(instrument in ("JGB", "SP500")) :]
        assert len(ours) >= len(theirs) > 20
        assert ours[CONTRACTS].iloc[: len(theirs)].to_numpy().tolist() == theirs.to_numpy().tolist(), instrument


@pytest.mark.parametrize("instrument", ["JGB", "SP500"])
def test_multiple_prices_of_the_vendors_calendar_are_the_vendors(
    instrument: str, vendor_multiple: pd.DataFrame, shared: Path
) -> None:
    """Contract prices are taken from the vendor's three columns, put together again by its own calendar. (Only of these
    two instruments do the vendor's prices still change at the times its calendar says.)"""
    calendar = vendor_calendar(shared, instrument)
    theirs = vendor_multiple[vendor_multiple["instrument"] == instrument].set_index("stamp")
    finals = {}
    for column in ("price", "carry", "forward"):
        for contract, own in theirs.groupby(f"{column}_contract"):
            finals[contract] = own[column].dropna().combine_first(finals.get(contract, pd.Series(dtype="float64")))
    ours = multiple_prices(calendar, finals).set_index("stamp")
    expected = theirs[: calendar["roll_at"].iloc[-1]].dropna(how="all", subset=["price", "carry", "forward"])
    assert len(expected) > 4000
    columns = ["price", "price_contract", "carry", "carry_contract", "forward", "forward_contract"]
    pd.testing.assert_frame_equal(ours[columns], expected[columns], check_dtype=False)
