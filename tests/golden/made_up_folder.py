"""A small folder of CSV files in pysystemtrade's layout: made-up prices with everything that real ones do.

Test support. Does not belong here: what is compared (`test_parity.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

TERMS = {  # point size, percentage, per block, per trade, currency, slippage, hold cycle
    "ALFA": (50.0, 0.0, 2.9, 0.0, "USD", 0.02, "HMUZ"),
    "BETA": (10.0, 0.0003, 0.5, 3.0, "EUR", 0.01, "FGHJKMNQUVXZ"),
    "GAMA": (1000.0, 0.0, 500.0, 0.0, "JPY", 0.005, "Z"),
    "DELT": (250.0, 0.0004, 0.0, 0.0, "KRW", 0.025, "MZ"),
}
SPANS = {  # first and last day of adjusted, and of multiple prices
    "ALFA": ("2018-01-02", "2020-12-31", "2018-01-02", "2020-12-31"),
    "BETA": ("2018-06-06", "2020-12-31", "2018-03-02", "2020-12-20"),
    "GAMA": ("2018-01-06", "2020-06-30", "2018-03-05", "2020-09-30"),
    "DELT": ("2020-11-16", "2020-12-31", "2020-11-16", "2020-12-31"),
}
RATES = {
    "EUR": (1.1, "2018-08-01"), "JPY": (0.009, "2016-01-01"), "KRW": (0.0009, "2018-01-01"),
    "GBP": (1.3, "2017-09-01"),
}  # fmt: skip


def made_up_folder(folder: Path, seed: int = 20) -> Path:
    """Writes it, the same for the same seed: intraday and daily rows, weekends, weeks without rows, repeated times,
    missing cells, prices through zero, instruments of all ages, carry contracts on either side and equal, rates that
    come late, miss and have two rows on a date."""
    draw = np.random.default_rng(seed)
    for part in ("adjusted_prices_csv", "multiple_prices_csv", "fx_prices_csv", "csvconfig"):
        (folder / part).mkdir(parents=True)
    for place, code in enumerate(TERMS):
        _prices(folder, code, draw, start=(100.0, 30.0, 4.0, 300.0)[place])
    for currency, (level, first) in RATES.items():
        _rates(folder / "fx_prices_csv" / f"{currency}USD.csv", draw, level, first)
    names = ["Pointsize", "Percentage", "PerBlock", "PerTrade", "Currency", "Slippage"]
    terms = pd.DataFrame([row[:-1] for row in TERMS.values()], columns=names, index=pd.Index(TERMS, name="Instrument"))
    terms.assign(AssetClass="made up", Description="made up").to_csv(folder / "csvconfig" / "instrumentconfig.csv")
    rolls = {"HoldRollCycle": [row[-1] for row in TERMS.values()], "RollOffsetDays": -5, "CarryOffset": 1,
             "PricedRollCycle": "FGHJKMNQUVXZ", "ExpiryOffset": 15}  # fmt: skip
    pd.DataFrame(rolls, index=terms.index).to_csv(folder / "csvconfig" / "rollconfig.csv")
    return folder


def _prices(folder: Path, code: str, draw: np.random.Generator, start: float) -> None:
    stamps = _stamps(draw)
    price = np.round(start + np.cumsum(draw.normal(0.003, 0.25, len(stamps))), 3)
    price[draw.random(len(stamps)) < 0.02] = np.nan
    first, last, held_first, held_last = SPANS[code]
    adjusted = pd.DataFrame({"DATETIME": stamps, "price": price - 6.0})
    adjusted[adjusted["DATETIME"].between(first, last)].to_csv(folder / f"adjusted_prices_csv/{code}.csv", index=False)
    months = (stamps.year - 2018) * 12 + stamps.month - 1
    contract = _contract(3 * (months // 3) + 3)
    other = _contract(3 * (months // 3) + draw.choice([0, 3, 6], 40)[months], draw.choice([0, 15], 40)[months])
    same = (other // 100 == contract // 100) & (other % 100 == 0)
    carry = np.where(same, price, np.round(price + draw.normal(0.3, 0.4, len(stamps)), 3))
    carry[draw.random(len(stamps)) < 0.3] = np.nan
    multiple = {"DATETIME": stamps, "CARRY": carry, "CARRY_CONTRACT": other, "PRICE": price, "PRICE_CONTRACT": contract,
                "FORWARD": np.nan, "FORWARD_CONTRACT": _contract(3 * (months // 3) + 6)}  # fmt: skip
    rows = pd.DataFrame(multiple)
    rows[rows["DATETIME"].between(held_first, held_last)].to_csv(
        folder / f"multiple_prices_csv/{code}.csv", index=False
    )


def _stamps(draw: np.random.Generator) -> pd.DatetimeIndex:
    """One to three rows on most weekdays, some on weekends, two holes, and times that are there twice."""
    days = pd.date_range("2018-01-01", "2020-12-31")
    chance = np.where(days.day_of_week < 5, 0.97, 0.15)
    chance[(days >= "2019-02-04") & (days < "2019-02-25")] = 0.0
    chance[(days >= "2019-12-24") & (days < "2020-01-02")] = 0.0
    hours = [day + pd.Timedelta(hours=int(hour)) for day in days for hour in (10, 15, 23)]
    kept = (draw.random((len(days), 1)) < chance[:, None]) & (draw.random((len(days), 3)) < (0.3, 0.3, 0.9))
    stamps = pd.DatetimeIndex(hours)[kept.ravel()]
    return stamps.repeat(np.where(draw.random(len(stamps)) < 0.03, 2, 1))


def _contract(months: np.ndarray, day: np.ndarray | int = 0) -> np.ndarray:
    """Months since January 2018 as YYYYMMDD."""
    return (2018 + np.asarray(months) // 12) * 10000 + (np.asarray(months) % 12 + 1) * 100 + day


def _rates(path: Path, draw: np.random.Generator, level: float, first: str) -> None:
    days = pd.bdate_range(first, "2021-01-08")
    days = days[draw.random(len(days)) < 0.95]
    late = days >= "2019-10-24"
    stamps = days.where(~late, days + pd.Timedelta(hours=23)).append(pd.DatetimeIndex(["2019-10-24"]))
    rate = pd.Series(level * np.exp(np.cumsum(draw.normal(0, 0.004, len(stamps)))), stamps).sort_index()
    rate[draw.random(len(rate)) < 0.02] = np.nan
    rate = rate[~rate.index.duplicated()]
    pd.DataFrame({"DATETIME": rate.index, "PRICE": rate.to_numpy()}).to_csv(path, index=False)
