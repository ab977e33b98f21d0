"""The simulated market: its shape, that rows do not depend on the window, and every fault."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from resources.csv_reference import CsvReference
from resources.vendors import simulated
from resources.vendors.simulated import FAULTS, SimulatedVendor
from trading.errors import ConfigError, VendorError
from trading.frames import RAW_BARS, RAW_FX_RATES, to_pandas
from trading.market.instruments import RollParameters
from trading.market.simulation import contract_of, listings
from trading.ports import Delivery, Request

SINCE, UNTIL = date(2021, 11, 1), date(2022, 2, 25)
LAST_WEEK = (pd.Timestamp(2022, 2, 19), pd.Timestamp(2022, 2, 26))


@pytest.fixture(scope="module")
def reference(root: Path) -> CsvReference:
    return CsvReference([root / "reference"])


@pytest.fixture(scope="module")
def clean(reference: CsvReference) -> pd.DataFrame:
    return bars(SimulatedVendor(reference).fetch(RAW_BARS, Request(None, SINCE, UNTIL)))


def bars(delivery: Delivery) -> pd.DataFrame:
    return to_pandas(delivery.rows)


def faulty(reference: CsvReference, *faults: str) -> Delivery:
    return SimulatedVendor(reference, faults=faults).fetch(RAW_BARS, Request(None, SINCE, UNTIL))


def test_it_spans_the_asset_classes_and_currencies(reference: CsvReference) -> None:
    traded = [reference.instruments(UNTIL)[code] for code in SimulatedVendor(reference).instruments()]
    assert len(traded) >= 14
    assert {row.currency for row in traded} == {"USD", "EUR", "GBP", "JPY"}
    classes = {row.asset_class for row in traded}
    assert classes == {"equity", "bond", "stir", "fx", "metals", "energy", "agriculture", "volatility"}
    assert {"grains", "livestock", "softs"} <= {row.sector for row in traded}


def test_a_row_is_the_same_whatever_window_is_asked(reference: CsvReference) -> None:
    vendor = SimulatedVendor(reference)
    day = date(2019, 6, 12)
    alone = vendor.fetch(RAW_BARS, Request(None, day, day)).rows
    assert alone.num_rows >= 3 * len(vendor.instruments()) - 3
    for wide in (Request(None, date(2019, 1, 2), date(2019, 7, 1)), Request(None, None, date(2023, 3, 1))):
        table = vendor.fetch(RAW_BARS, wide).rows
        same = table.filter(pa.compute.equal(table["stamp"].cast(pa.date32()), pa.scalar(day)))
        assert same.equals(alone)
    rates = [vendor.fetch(RAW_FX_RATES, Request(None, day, until)).rows.to_pylist()[0] for until in (day, UNTIL)]
    assert rates[0] == rates[1]


def test_the_seed_makes_the_market(reference: CsvReference) -> None:
    request = Request(("US10",), SINCE, UNTIL)
    one, same, other = (SimulatedVendor(reference, seed).fetch(RAW_BARS, request).rows for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one["close"].equals(other["close"])


def test_bars_are_consistent_and_on_the_tick(reference: CsvReference, clean: pd.DataFrame) -> None:
    assert (clean["high"] >= clean[["open", "close", "low"]].max(axis=1)).all()
    assert (clean["low"] <= clean[["open", "close"]].min(axis=1)).all()
    assert (clean["volume"] >= 0).all()
    for code, rows in clean.groupby("instrument"):
        ticks = rows[["open", "high", "low", "close"]].to_numpy() / reference.instruments(UNTIL)[code].tick_points
        np.testing.assert_allclose(ticks, np.rint(ticks), atol=1e-4)


def test_hourly_bars_agree_with_the_daily_bar(clean: pd.DataFrame) -> None:
    hourly = clean[clean["frequency"] == "intraday"].sort_values("stamp")
    key = ["instrument", "contract", hourly["stamp"].dt.normalize().rename("day")]
    made = hourly.groupby(key).agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
        volume=("volume", "sum"), stamp=("stamp", "last"), bars=("stamp", "size"),
    )  # fmt: skip
    daily = clean[clean["frequency"] == "daily"]
    daily = daily.set_index(["instrument", "contract", daily["stamp"].dt.normalize().rename("day")])
    wanted = ["open", "high", "low", "close", "volume", "stamp"]
    assert len(made) > 500
    pd.testing.assert_frame_equal(made[wanted], daily.loc[made.index, wanted])
    assert set(made["bars"]) == {7, 4}
    assert (made.reset_index().groupby(["instrument", "day"]).size() == 1).all()


def test_exchanges_close_on_their_own_holidays_and_early(clean: pd.DataFrame) -> None:
    """Thanksgiving 2021: half a day in Chicago, a whole one in Frankfurt; 23 February: a holiday in Japan alone."""
    daily = clean[clean["frequency"] == "daily"]
    labels = {code: set(rows["label"]) for code, rows in daily.groupby("instrument")}
    assert "2021-11-25 13:00:00" in labels["SP500"]
    assert "2021-11-25 22:00:00" in labels["EUROSTX"]
    days = {code: {label[:10] for label in of} for code, of in labels.items()}
    assert "2022-02-23" not in days["NIKKEI"]
    assert "2022-02-23" in days["US10"]


def test_several_contracts_are_quoted_and_volume_moves_to_the_next(clean: pd.DataFrame) -> None:
    daily = clean[(clean["frequency"] == "daily") & (clean["instrument"] == "SP500")]
    volume = daily.pivot(index="stamp", columns="contract", values="volume")
    assert volume.notna().sum(axis=1).ge(3).all()
    before, after = volume.loc["2021-12-01":"2021-12-03"], volume.loc["2021-12-20":"2021-12-22"]
    assert (before[20211200] > 5 * before[20220300]).all()
    assert (after[20220300] > 5 * after[20220600]).all()


def test_returns_move_together_within_an_asset_class_and_bonds_stay_positive(reference: CsvReference) -> None:
    rows = bars(SimulatedVendor(reference).fetch(RAW_BARS, Request(None, None, UNTIL)))
    daily = rows[rows["frequency"] == "daily"]
    busiest = daily.loc[daily.groupby(["instrument", daily["stamp"].dt.normalize()])["volume"].idxmax()]
    busiest = busiest.assign(day=busiest["stamp"].dt.normalize())
    price = busiest.pivot(index="day", columns="instrument", values="close")
    weekly = price.resample("W").last().diff()
    correlation = weekly.corr()
    assert correlation.loc["SP500", "EUROSTX"] > 0.4
    assert correlation.loc["US10", "BUND"] > 0.4
    assert correlation.loc["SP500", "V2X"] < -0.2
    assert abs(correlation.loc["LEANHOG", "JGB"]) < 0.2
    assert price[["US10", "BUND", "JGB", "GILT"]].min().min() > 80
    assert price.loc["2020-04-20", "CRUDE_W"] < 0
    assert price["CRUDE_W"].loc["2020-06-15":].min() > 0
    assert (price.drop(columns="CRUDE_W").min() > 0).all()


def test_listings_follow_the_cycles() -> None:
    """Corn held in December only, carry against September before it; expiry on day 14, rolled 60 days earlier."""
    rolls = RollParameters("CORN", "Z", "HKNUZ", -60, 13, -1)
    quoted = {listing.contract: listing for listing in listings(rolls, date(2014, 12, 31))}
    held = quoted[20131200]
    assert (str(held.held_from), str(held.held_to)) == ("2012-10-15", "2013-10-15")
    assert str(quoted[20130900].last) == "2013-09-14"
    assert np.isnat(quoted[20130900].held_from)
    assert 20130700 not in quoted
    assert contract_of(2013 * 12 + 11) == 20131200


def test_ten_years_come_in_one_answer(reference: CsvReference) -> None:
    """Fourteen futures and more, every asset class and currency, rolled many times, from the first year to the last."""
    vendor = SimulatedVendor(reference, intraday_since=None)
    first, last = date(2012, 1, 2), date(2021, 12, 31)
    delivery = vendor.fetch(RAW_BARS, Request(None, first, last))
    rows = bars(delivery)
    assert delivery.failed == delivery.no_data == ()
    listed = [reference.instruments(last)[code] for code in rows["instrument"].unique()]
    assert len(listed) >= 12
    assert {row.currency for row in listed} == {"USD", "EUR", "GBP", "JPY"}
    assert {row.asset_class for row in listed} == {
        "equity", "bond", "stir", "fx", "metals", "energy", "agriculture", "volatility",
    }  # fmt: skip
    days = rows.groupby("instrument")["stamp"].agg(lambda stamps: stamps.dt.normalize().nunique())
    assert days.between(2400, 2600).all()  # ten years of about 250 sessions
    ends = rows.groupby("instrument")["stamp"].agg(["min", "max"])
    assert (ends["min"] < pd.Timestamp(2012, 1, 8)).all()
    assert (ends["max"] > pd.Timestamp(2021, 12, 24)).all()
    assert (rows.groupby("instrument")["contract"].nunique() >= 10).all()
    rates = vendor.fetch(RAW_FX_RATES, Request(None, first, last)).rows.to_pandas()
    assert {"EURUSD", "GBPUSD", "JPYUSD"} <= set(rates["pair"])
    assert (rates.groupby("pair").size() > 2500).all()


# --- faults -----------------------------------------------------------------------------------------------------------
def changed_rows(clean: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the faulty delivery that the clean one does not have."""
    both = rows.merge(clean, how="left", indicator=True)
    return rows[(both["_merge"] == "left_only").to_numpy()]


def of_last_week(rows: pd.DataFrame) -> bool:
    return bool(rows["stamp"].between(*LAST_WEEK).all())


@pytest.mark.parametrize(
    ("fault", "is_so"),
    [
        ("negative_volume", lambda rows: rows["volume"] < 0),
        ("high_below_low", lambda rows: rows["high"] < rows["low"]),
        ("nan_price", lambda rows: rows["close"].isna()),
        ("infinite_price", lambda rows: np.isinf(rows["close"])),
        ("unknown_instrument", lambda rows: rows["instrument"] == "UNLISTED"),
        ("duplicate_rows", lambda rows: rows["occurrence"] == 1),
    ],
)
def test_a_fault_changes_rows_of_one_instrument_in_the_last_week(
    reference: CsvReference, clean: pd.DataFrame, fault: str, is_so: object
) -> None:
    delivery = faulty(reference, fault)
    changed = changed_rows(clean, bars(delivery))
    assert len(changed) >= 4
    assert changed["instrument"].nunique() == 1
    assert of_last_week(changed)
    assert is_so(changed).all()  # type: ignore[operator]
    assert delivery.failed == delivery.no_data == ()


def test_spikes_come_and_go(reference: CsvReference, clean: pd.DataFrame) -> None:
    rows = bars(faulty(reference, "spike"))
    changed = changed_rows(clean, rows)
    assert [label[:10] for label in changed["label"]] == ["2022-02-22", "2022-02-24"]
    code, contract = changed[["instrument", "contract"]].iloc[0]
    series = rows[(rows["instrument"] == code) & (rows["contract"] == contract) & (rows["frequency"] == "daily")]
    moves = series["close"].diff().tail(4)
    assert (moves.iloc[[0, 2]] > 10).all()
    assert (moves.iloc[[1, 3]] < -10).all()


def test_bad_timestamps_lie_ten_years_ahead(reference: CsvReference, clean: pd.DataFrame) -> None:
    changed = changed_rows(clean, bars(faulty(reference, "bad_timestamp")))
    assert set(changed["label"].str[:4]) == {"2032"}
    assert len(changed) == 5
    back = changed.assign(stamp=changed["stamp"] - pd.Timedelta(weeks=522))
    assert of_last_week(back)


def test_stale_prices_repeat_the_last_close_before(reference: CsvReference, clean: pd.DataFrame) -> None:
    rows = bars(faulty(reference, "stale_price"))
    changed = changed_rows(clean, rows)
    assert changed["stamp"].min() > pd.Timestamp(2022, 1, 26)
    ((code, contract), _) = next(iter(changed.groupby(["instrument", "contract"])))
    mine = (rows["instrument"] == code) & (rows["contract"] == contract)
    before = clean[mine & (clean["stamp"] < pd.Timestamp(2022, 1, 27))].sort_values("stamp")["close"].iloc[-1]
    assert (
        rows.loc[mine & (rows["stamp"] > pd.Timestamp(2022, 1, 27)), ["open", "high", "low", "close"]] == before
    ).all(axis=None)


def test_unsorted_rows_are_the_same_rows(reference: CsvReference, clean: pd.DataFrame) -> None:
    rows = bars(faulty(reference, "unsorted"))
    assert not rows.equals(clean)
    assert len(changed_rows(clean, rows)) == 0
    assert len(rows) == len(clean)


def test_missing_days_instruments_and_rates(reference: CsvReference, clean: pd.DataFrame) -> None:
    missing = clean.merge(bars(faulty(reference, "missing_day")), how="left", indicator=True)
    missing = missing[missing["_merge"] == "left_only"]
    assert missing["instrument"].nunique() == 1
    assert of_last_week(missing)
    delivery = faulty(reference, "missing_instrument")
    (failure,) = delivery.failed
    assert set(clean["instrument"]) - set(bars(delivery)["instrument"]) == {failure.series}
    rates = SimulatedVendor(reference, faults=("missing_fx",)).fetch(RAW_FX_RATES, Request(None, SINCE, UNTIL))
    assert rates.no_data == ("AUDUSD",)
    assert "AUDUSD" not in rates.rows["pair"].to_pylist()


def test_a_late_correction_is_a_second_version_known_later(reference: CsvReference, clean: pd.DataFrame) -> None:
    delivery = faulty(reference, "late_correction")
    again = changed_rows(clean, bars(delivery))
    assert len(bars(delivery)) == len(clean) + len(again)
    key = ["instrument", "contract", "frequency", "label", "occurrence"]
    both = again.merge(clean, on=key, suffixes=("", "_before"))
    assert len(both) == len(again) >= 4
    assert (both["known_at"] - both["known_at_before"] == pd.Timedelta(hours=12)).all()
    np.testing.assert_allclose(both["close"] / both["close_before"], 1.001)


def test_a_fault_can_be_put_on_one_session(reference: CsvReference, clean: pd.DataFrame) -> None:
    vendor = SimulatedVendor(reference, faults=("nan_price",), fault_session=date(2022, 1, 12))
    changed = changed_rows(clean, bars(vendor.fetch(RAW_BARS, Request(None, SINCE, UNTIL))))
    assert [str(day.date()) for day in changed["stamp"]] == ["2022-01-12"]


def test_a_vendor_that_is_down_raises_and_an_unknown_fault_is_refused(reference: CsvReference) -> None:
    with pytest.raises(VendorError, match="vendor_down"):
        faulty(reference, "vendor_down")
    with pytest.raises(ConfigError, match="no fault spikes"):
        SimulatedVendor(reference, faults=("spikes",))


def test_every_fault_is_documented(root: Path) -> None:
    page = (root / "docs" / "how-to" / "simulated-market.md").read_text()
    for text in (simulated.__doc__ or "", page):
        assert set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) == set(FAULTS)
