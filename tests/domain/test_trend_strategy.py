"""The trend strategy by hand: crossover, mixing, sizing, buffering. Does not belong here: stores."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.config.models import Capital, RuleSettings, StrategySettings
from trading.strategies.buffering import buffered, forecast_half_width
from trading.strategies.combination import combined, scaled
from trading.strategies.ewmac import ewmac
from trading.strategies.forecasts import forecasts
from trading.strategies.prices import anchored_prices
from trading.strategies.sizing import average_contracts, daily_cash_target, daily_volatility_base, optimal_contracts
from trading.strategies.targets import Candidate, targets

NAN = float("nan")
DAYS = pd.bdate_range("2022-01-03", periods=3)


def wide(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"US10": values}, index=DAYS[: len(values)])


def test_crossover_by_hand() -> None:
    # Span 1 has all its weight on today; span 3 has decay 1/2: weights 1, 1/2, 1/4.
    # Third day: 13 - (13 + 12/2 + 10/4) / 1.75 = 13 - 21.5/1.75; volatility 0.5, carried from the second day.
    found = ewmac(wide(10.0, 12.0, 13.0), wide(NAN, 0.5, NAN), 1, 3)["US10"]
    assert np.isnan(found.iloc[0])
    assert found.iloc[1] == pytest.approx((12 - (12 + 5) / 1.5) / 0.5)
    assert found.iloc[2] == pytest.approx((13 - 21.5 / 1.75) / 0.5)


def test_a_missing_price_ages_the_weights() -> None:
    # 10, nothing, 13 with decay 1/2: (13 + 10/4) / 1.25, and span 1 repeats 13.
    found = ewmac(wide(10.0, NAN, 13.0), wide(1.0, 1.0, 1.0), 1, 3)["US10"]
    assert found.iloc[2] == pytest.approx(13 - 15.5 / 1.25)


@pytest.mark.golden
@pytest.mark.parametrize(("fast", "slow"), [(2, 8), (16, 64), (64, 256)])
def test_golden_forecast_of_real_prices(shared: Path, fast: int, slow: int) -> None:
    """Against the reference's own raw forecast of US10."""
    folder = shared / "golden" / "chapter15" / "US10"
    golden = _series(folder / f"raw_forecast_ewmac{fast}_{slow}.csv.gz")
    volatility = _series(folder / "daily_returns_volatility.csv.gz")
    adjusted = _series(shared / "data" / "futures" / "adjusted_prices_csv" / "US10.csv")
    days = adjusted.index.normalize()
    days = days.where(days.day_of_week < 5, days - pd.to_timedelta(days.day_of_week - 4, unit="D"))
    daily = adjusted.groupby(days).last()
    index = pd.bdate_range(daily.index.min(), daily.index.max())
    found = ewmac(daily.reindex(index).to_frame("US10"), volatility.to_frame("US10"), fast, slow)["US10"]
    both = pd.DataFrame({"ours": found, "theirs": golden}).loc[golden.index]
    assert (both["ours"].isna() == both["theirs"].isna()).all()
    assert (both["ours"] - both["theirs"]).abs().max() < 1e-9


def _series(path: Path) -> pd.Series:
    frame = pd.read_csv(path, index_col=0, parse_dates=True)
    return frame.iloc[:, 0]


def test_scaling_caps() -> None:
    assert scaled(wide(-9.0, 1.0, 9.0), 4.0, 20.0)["US10"].tolist() == [-20.0, 4.0, 20.0]


def test_mixing_lends_a_missing_rules_weight_to_the_others() -> None:
    rules = {"a": wide(NAN, 10.0, 10.0), "b": wide(NAN, NAN, -20.0)}
    found = combined(rules, {"a": 0.75, "b": 0.25}, 1.2, 20.0)["US10"]
    assert np.isnan(found.iloc[0])
    assert found.iloc[1] == pytest.approx(12.0)
    assert found.iloc[2] == pytest.approx((7.5 - 5.0) * 1.2)


def test_anchored_prices_leave_out_the_step_of_a_roll() -> None:
    daily = pd.DataFrame(
        {"instrument": "US10", "session": DAYS, "stamp": DAYS + pd.Timedelta(hours=23), "price": [100.0, 101.0, 99.5]}
    )
    gaps = pd.DataFrame({"instrument": "US10", "stamp": [DAYS[2] + pd.Timedelta(hours=23)], "gap_points": [-2.0]})
    assert anchored_prices(daily, gaps)["US10"].tolist() == [100.0, 101.0, 101.5]


def test_forecasts_use_nothing_later() -> None:
    index = pd.bdate_range("2021-01-04", periods=300)
    steps = np.random.default_rng(7).normal(size=(300, 2)).cumsum(axis=0)
    prices = pd.DataFrame(100 + steps, index=index, columns=["GOLD", "US10"])
    prices.loc[index[:50], "GOLD"] = NAN
    volatility = prices * 0 + 1.5
    strategy = StrategySettings(name="t", rules={"x": RuleSettings(fast=4, slow=16, scalar=7.5, weight=1.0)})
    first, cut, last = index[40].date(), index[200].date(), index[299].date()
    full = forecasts(prices, volatility, strategy, first, last)
    part = forecasts(prices.loc[: str(cut)], volatility.loc[: str(cut)], strategy, first, cut)
    keys = ["instrument", "rule", "session"]
    early = full[full["session"] <= str(cut)].sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(early, part.sort_values(keys).reset_index(drop=True), check_exact=True)
    assert full.loc[full["instrument"] == "GOLD", "session"].min() == index[50]  # its first price
    assert set(full["rule"]) == {"x", "combined"}


def test_sizing_by_hand() -> None:
    # 250,000 at 20 % a year: 250,000 x 0.20 / 16 = 3,125 a day (the reference's own example).
    assert daily_cash_target(250_000, 20.0) == 3125.0
    assert daily_volatility_base(0.5, 1000.0, 1.1) == pytest.approx(550.0)
    average = average_contracts(3125.0, 550.0, 0.5, 1.2)
    assert average == pytest.approx(3.4090909)
    assert optimal_contracts(average, -5.0) == pytest.approx(-1.70454545)


@pytest.mark.parametrize(("held", "optimal", "width", "expected"), [
    (0, 4.4, 1.0, 4),       # below the bottom of round(3.4) = 3: to the rounded optimal
    (3, 4.4, 1.0, 3),       # on the bottom: stay
    (5, 4.4, 1.0, 5),       # on the top of round(5.4) = 5: stay
    (6, 4.4, 1.0, 4),
    (2, 2.5, 0.0, 2),       # half to even: 2
    (-3, -2.5, 0.6, -3),    # bottom is round(-3.1) = -3
    (-4, -2.5, 0.6, -2),
    (7, NAN, 1.0, 7),       # nothing known: keep
    (7, 1.0, NAN, 7),
])  # fmt: skip
def test_buffering_by_hand(held: int, optimal: float, width: float, expected: int) -> None:
    assert buffered(held, optimal, width) == expected


def test_the_width_of_the_zone() -> None:
    assert forecast_half_width(30.0, 0.1) == pytest.approx(3.0)


def test_targets_by_hand() -> None:
    strategy = StrategySettings(
        name="t", rules={"x": RuleSettings(fast=4, slow=16, scalar=7.5, weight=1.0)},
        instruments=("GOLD", "US10", "NEW"), instrument_multiplier=1.5, capital_share=0.5,
    )  # fmt: skip
    capital = Capital(capital_base=1_600_000.0, volatility_target_percent=20.0)  # 20,000 a day, half is 10,000
    rows = targets(
        [
            Candidate("GOLD", 20220600, True, 10.0, 500.0, 0),    # 10,000 / 500 x 1/2 x 1.5 = 15
            Candidate("US10", 20220600, False, 20.0, 500.0, 3),   # wants 30 but does not trade today
            Candidate("NEW", 20220600, True, NAN, 500.0, 2),      # no forecast yet: keeps, and takes no weight
            Candidate("OLD", 20220600, True, NAN, NAN, -6),       # no longer listed: closed
        ],
        strategy, capital,
    )  # fmt: skip
    assert {row.instrument: row.target_contracts for row in rows} == {"GOLD": 15, "US10": 3, "NEW": 2, "OLD": 0}
    assert {row.instrument: row.optimal_contracts for row in rows[:2]} == pytest.approx({"GOLD": 15.0, "US10": 30.0})


def test_shipped_strategy_file_is_valid(root) -> None:

    found = StrategySettings(**tomllib.loads((root / "config" / "strategies" / "trend.toml").read_text()))
    assert sum(rule.weight for rule in found.rules.values()) == pytest.approx(1.0)
    assert {(rule.fast, rule.slow, rule.scalar) for rule in found.rules.values()} == {
        (16, 64, 3.75), (32, 128, 2.65), (64, 256, 1.87),
    }  # fmt: skip
