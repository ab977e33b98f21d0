"""Daybook beside the reference system written out in pandas, on data and configurations without golden numbers.

Every forecast, position, profit and cost of every instrument and the portfolio's curves must be the same within 1e-9 of
their largest value, whole contracts exactly, with the same cells missing. The made-up folder runs on every machine.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import made_up_folder
import reference_system as plain
from parity_comparison import Comparison, difference

EWMAC, CARRY = "systems.provided.rules.ewmac.ewmac", "systems.provided.rules.carry.carry"
BREAKOUT = "systems.provided.rules.breakout.breakout"
TREND = ["rawdata.get_daily_prices", "rawdata.daily_returns_volatility"]


def rule(function: str, data: list[str], scalar: float, **arguments: int) -> dict[str, Any]:
    return {"function": function, "data": data, "other_args": arguments, "forecast_scalar": scalar}


RULES = {
    "ewmac8_32": rule(EWMAC, TREND, 5.3, Lfast=8, Lslow=32),
    "ewmac32_128": rule(EWMAC, TREND, 2.65, Lfast=32, Lslow=128),
    "carry": rule(CARRY, ["rawdata.raw_carry"], 30.0, smooth_days=90),
    "carry20": rule(CARRY, ["rawdata.raw_carry"], 25.0, smooth_days=20),
    "breakout40": rule(BREAKOUT, TREND[:1], 0.7, lookback=40),
}
VOLATILITY = "sysquant.estimators.vol."
MIXED = {"func": VOLATILITY + "mixed_vol_calc", "days": 35, "min_periods": 10, "slow_vol_years": 10}
ROBUST = {"func": VOLATILITY + "robust_vol_calc", "days": 35, "min_periods": 10, "vol_abs_min": 1e-10,
          "vol_floor": True, "floor_min_quant": 0.05, "floor_min_periods": 100, "floor_days": 500}  # fmt: skip
SIMPLE = {"func": VOLATILITY + "simple_vol_calc", "days": 25, "min_periods": 10}
EXPONENTIAL = {"func": VOLATILITY + "simple_ewvol_calc", "days": 35, "min_periods": 10}
WEIGHTS = {"ewmac8_32": 0.2, "ewmac32_128": 0.2, "carry": 0.3, "carry20": 0.1, "breakout40": 0.2}


def system(codes: list[str], **changed: Any) -> dict[str, Any]:
    """A configuration as their YAML has it: equal weights, the rules above, a million dollars."""
    return {
        "notional_trading_capital": 1_000_000.0, "base_currency": "USD", "percentage_vol_target": 20.0,
        "instrument_weights": {code: 1 / len(codes) for code in codes}, "instrument_div_multiplier": 1.6,
        "forecast_weights": WEIGHTS, "forecast_div_multiplier": 1.3, "forecast_cap": 20.0, "trading_rules": RULES,
        "volatility_calculation": MIXED, "use_SR_costs": False, **changed,
    }  # fmt: skip


def same(folder: Path, config: dict[str, Any]) -> None:
    compared = Comparison(folder, config)
    differences = compared.differences()
    assert differences.empty, "\n" + differences.to_string()
    for name, (ours, theirs) in compared.sharpes().items():
        assert ours == pytest.approx(theirs, abs=1e-9, nan_ok=True), name


# --- on every machine -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up prices of four instruments in four currencies."""
    return made_up_folder.made_up_folder(tmp_path_factory.mktemp("parity") / "futures")


OWN_WEIGHTS = {
    "ALFA": {"carry": 0.5, "ewmac8_32": 0.5}, "BETA": {"breakout40": 1.0},
    "GAMA": {"carry20": 0.7, "ewmac32_128": 0.3}, "DELT": {"carry": 1.0, "ewmac8_32": 0.0},
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "costs in Sharpe units": {"use_SR_costs": True},
    "capital in euro, robust volatility": {
        "base_currency": "EUR", "volatility_calculation": ROBUST, "buffer_method": "forecast",
        "buffer_trade_to_edge": True, "notional_trading_capital": 5e6,
    },
    "capital in pounds, own weights": {
        "base_currency": "GBP", "forecast_weights": OWN_WEIGHTS, "volatility_calculation": SIMPLE,
        "forecast_div_multiplier": {"ALFA": 1.1, "BETA": 1.0, "GAMA": 1.3, "DELT": 1.2}, "buffer_method": "none",
        "use_SR_costs": True, "forecast_cap": 15.0,
    },
    "unequal weights, backfilled volatility": {
        "instrument_weights": {"ALFA": 0.5, "BETA": 0.3, "GAMA": 0.1, "DELT": 0.1}, "instrument_weight_ewma_span": 30,
        "forecast_weight_ewma_span": 20, "volatility_calculation": {**MIXED, "backfill": True}, "buffer_size": 0.3,
    },
    "one rule, exponential volatility, since a date": {
        "forecast_weights": {"carry": 1.0}, "volatility_calculation": EXPONENTIAL, "start_date": "2018-09-12",
    },
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_made_up_prices(folder: Path, variant: str) -> None:
    same(folder, system(list(made_up_folder.TERMS), **VARIANTS[variant]))


def test_the_made_up_folder_has_what_real_ones_have(folder: Path) -> None:
    """Positions, trades, all four instruments, prices of both signs: a comparison of nothing would prove nothing."""
    made = plain.Reference(folder, system(list(made_up_folder.TERMS)))
    prices = pd.concat({code: market.price for code, market in made.markets.items()}, axis=1)
    assert prices["GAMA"].min() < 0 < prices["GAMA"].max()
    assert prices["ALFA"].isna().any()
    for code in made.codes:
        assert made.held[code].abs().max() > 0, code
        assert (made.held[code].diff().abs() > 0).sum() > 5, code
        assert made.costs[code].min() < 0, code


def test_a_difference_is_seen() -> None:
    dates = pd.date_range("2024-01-01", periods=3).astype("datetime64[us]")
    ours = pd.Series([1.0, 2.0, 3.0], dates)
    assert difference("A gross", ours, ours + 1e-10) is None
    assert difference("A position", ours, ours + 1e-10) is not None
    assert difference("A gross", ours, ours + 1e-8) is not None
    assert difference("A gross", ours, pd.Series([np.nan, 2.0, 3.0], dates)) is not None
    assert difference("A gross", ours, ours[:2]) is not None


# --- real prices ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def futures(shared: Path) -> Path:
    """The reference's own prices."""
    return shared / "data" / "futures"


@pytest.mark.golden
@pytest.mark.parametrize("changed", [{}, {"use_SR_costs": True, "base_currency": "EUR"}], ids=["cash", "sharpe"])
def test_all_instruments(futures: Path, changed: dict[str, Any]) -> None:
    codes = sorted(path.stem for path in (futures / "adjusted_prices_csv").glob("*.csv"))
    same(futures, system(codes, **changed))


@pytest.mark.golden
@pytest.mark.parametrize("seed", range(3))
def test_some_instruments_and_settings(futures: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    codes = sorted(
        str(c) for c in draw.choice(["AUD", "JGB", "KOSPI", "GAS_US", "US2", "V2X", "GOLD"], 4, replace=False)
    )
    rules = sorted(str(name) for name in draw.choice(list(RULES), 3, replace=False))
    same(
        futures,
        system(
            codes,
            instrument_weights={code: float(draw.uniform(0.1, 1)) for code in codes},
            forecast_weights={
                code: {rule: float(draw.uniform(0.1, 1)) for rule in rules[place % 2 :]}
                for place, code in enumerate(codes)
            },
            notional_trading_capital=float(draw.uniform(1e5, 1e7)),
            base_currency=str(draw.choice(["USD", "EUR", "GBP", "JPY", "KRW"])),
            buffer_method=str(draw.choice(["position", "forecast"])),
            buffer_trade_to_edge=bool(seed % 2),
            volatility_calculation=(ROBUST, SIMPLE, MIXED)[seed],
            use_SR_costs=seed == 1,
        ),
    )


Edit = Callable[[pd.DataFrame], pd.DataFrame]
ADJUSTED, MULTIPLE, FX = "adjusted_prices_csv", "multiple_prices_csv", "fx_prices_csv"


def since(day: str) -> Edit:
    return lambda rows: rows[rows["DATETIME"] >= day]


def until(day: str) -> Edit:
    return lambda rows: rows[rows["DATETIME"] < day]


def down(points: float, column: str) -> Edit:
    return lambda rows: rows.assign(**{column: rows[column] - points})


DOCTORED: dict[str, dict[tuple[str, str], Edit]] = {
    "adjusted prices begin later": {(ADJUSTED, "US10"): since("1995-05-05")},
    "adjusted prices end earlier": {(ADJUSTED, "US10"): until("2010-05-05")},
    "ended years ago, and a month old": {
        (ADJUSTED, "US10"): until("2001-02-03"), (MULTIPLE, "US10"): until("2001-02-03"),
        (ADJUSTED, "KOSPI"): since("2022-02-01"), (MULTIPLE, "KOSPI"): since("2022-02-01"),
    },
    "negative prices pay commissions": {(ADJUSTED, "KOSPI"): down(250.0, "price")},
    "a held price of exactly zero": {(MULTIPLE, "US10"): down(100.0, "PRICE")},
    "never moves": {(ADJUSTED, "US10"): lambda rows: rows.assign(price=100.0)},
    "the same contract at two prices": {
        (MULTIPLE, "US10"): lambda rows: rows.assign(
            CARRY_CONTRACT=rows["PRICE_CONTRACT"].where(rows["DATETIME"] > "2021-12-15", rows["CARRY_CONTRACT"])
        )
    },
    "rates that come late": {(FX, "KRWUSD"): since("2016-04-05"), (FX, "GBPUSD"): since("2001-04-05")},
}  # fmt: skip


@pytest.fixture
def doctored(futures: Path, tmp_path: Path) -> Callable[[dict[tuple[str, str], Edit]], Path]:
    """Three instruments' files, some of them changed."""

    def made(edits: dict[tuple[str, str], Edit]) -> Path:
        for part in ("csvconfig", FX):
            shutil.copytree(futures / part, tmp_path / part)
        for part in (ADJUSTED, MULTIPLE):
            (tmp_path / part).mkdir()
            for code in ("CORN", "US10", "KOSPI"):
                shutil.copy(futures / part / f"{code}.csv", tmp_path / part)
        for (part, name), edit in edits.items():
            rows = pd.read_csv(tmp_path / part / f"{name}.csv")
            edit(rows).to_csv(tmp_path / part / f"{name}.csv", index=False)
        return tmp_path

    return made


@pytest.mark.golden
@pytest.mark.parametrize("what", DOCTORED)
def test_doctored_prices(doctored: Callable[[dict[tuple[str, str], Edit]], Path], what: str) -> None:
    sharpe = what in ("adjusted prices begin later", "adjusted prices end earlier")
    base = "GBP" if what == "rates that come late" else "USD"
    same(doctored(DOCTORED[what]), system(["CORN", "US10", "KOSPI"], use_SR_costs=sharpe, base_currency=base))


# --- the text itself --------------------------------------------------------------------------------------------------
CHAPTER15 = {
    "instrument_weights": {"CORN": 0.233, "EDOLLAR": 0.117, "EUROSTX": 0.20, "MXP": 0.233, "US10": 0.117, "V2X": 0.098},
    "forecast_weights": {"carry": 0.5, "ewmac16_64": 0.21, "ewmac32_128": 0.08, "ewmac64_256": 0.21},
    "trading_rules": {
        "carry": RULES["carry"],
        "ewmac16_64": rule(EWMAC, TREND, 3.75, Lfast=16, Lslow=64),
        "ewmac32_128": rule(EWMAC, TREND, 2.65, Lfast=32, Lslow=128),
        "ewmac64_256": rule(EWMAC, TREND, 1.87, Lfast=64, Lslow=256),
    },
    "notional_trading_capital": 250_000.0, "instrument_div_multiplier": 1.89, "forecast_div_multiplier": 1.31,
}  # fmt: skip
TIES = 60  # dates on which the reference keeps one of several costs: 43 in the portfolio


@pytest.mark.golden
def test_the_reference_in_pandas_is_the_golden_chapter_15(futures: Path, chapter15: Path) -> None:
    made = plain.Reference(futures, system([], **CHAPTER15))

    def wrong(name: str, theirs: pd.Series) -> int:
        golden = pd.read_csv(chapter15 / f"{name}.csv.gz", index_col=0, parse_dates=True).iloc[:, 0]
        assert theirs.index.equals(golden.index.astype(theirs.index.dtype)), name
        assert (theirs.isna().to_numpy() == golden.isna().to_numpy()).all(), name
        apart = np.abs(theirs.to_numpy() - golden.to_numpy())
        return int((apart > 1e-12 * golden.abs().max()).sum())

    for code in made.codes:
        market = made.markets[code]
        exact = {
            "get_daily_prices": market.price, "daily_returns_volatility": market.vol,
            "vol_robust_default_args": plain.robust_vol_calc(market.price.diff()),
            "combined_forecast": made.combined[code], "subsystem_position": made.subsystem[code],
            "notional_position": made.notional[code], "buffered_position_rounded": made.positions[code],
            "calc_positions_after_delay_and_round": made.held[code],
            "pandl_percent_gross": plain.curve(made.instrument(code)["gross_percent"]),
        }  # fmt: skip
        for name, theirs in exact.items():
            assert wrong(f"{code}/{name}", theirs) == 0, (code, name)
        assert wrong(f"{code}/pandl_percent_net", plain.curve(made.instrument(code)["net_percent"])) <= 14
    assert wrong("portfolio/portfolio_percent_gross", plain.curve(made.portfolio["gross_percent"])) == 0
    assert wrong("portfolio/portfolio_percent_net", plain.curve(made.portfolio["net_percent"])) < TIES
