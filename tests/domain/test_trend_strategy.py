"""The trend strategy by hand: crossover, mixing, sizing, buffering, targets. Does not belong here: stores."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.config.strategies import (
    BufferSettings,
    ForecastSettings,
    PortfolioSettings,
    RuleSettings,
    StrategySettings,
    VolatilitySettings,
)
from trading.config.trading import Capital
from trading.kernels.holdings import buffered_positions, combined_forecasts
from trading.strategies.buffering import buffered
from trading.strategies.closing import sized, sizing
from trading.strategies.optimal import Sizing
from trading.strategies.prices import anchored_prices
from trading.strategies.rule import Market, rules
from trading.strategies.targets import Candidate, Wanted, closing_targets, targets

NAN = float("nan")
DAYS = pd.bdate_range("2022-01-03", periods=3)
CROSSOVER = RuleSettings(rule="ewmac", parameters={"fast": 4, "slow": 16}, scalar=7.5, weight=1.0)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def crossover(price: np.ndarray, scale: np.ndarray, fast: float, slow: float) -> list[float]:
    rule = rules()["ewmac"]
    found = rule.forecast(Market(price, scale, scale, price), rule.read({"fast": fast, "slow": slow}, "test"))
    return list(found[:, 0])


def test_crossover_by_hand() -> None:
    # Span 1 has all its weight on today; span 3 has decay 1/2: weights 1, 1/2, 1/4.
    # Third day: 13 - (13 + 12/2 + 10/4) / 1.75 = 13 - 21.5/1.75; volatility 0.5, known from the second day.
    found = crossover(column(10.0, 12.0, 13.0), column(NAN, 0.5, 0.5), 1, 3)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([(12 - (12 + 5) / 1.5) / 0.5, (13 - 21.5 / 1.75) / 0.5])


def test_a_missing_price_ages_the_weights() -> None:
    # 10, nothing, 13 with decay 1/2: (13 + 10/4) / 1.25, and span 1 repeats 13.
    assert crossover(column(10.0, NAN, 13.0), column(1.0, 1.0, 1.0), 1, 3)[2] == pytest.approx(13 - 15.5 / 1.25)


def test_mixing_caps_and_lends_a_missing_rules_weight_to_the_others() -> None:
    scaled = np.stack([column(NAN, 10.0, 30.0), column(NAN, NAN, -20.0)])
    weights, once = np.array([[0.75], [0.25]]), np.array([[1.2]])
    ends = np.array([0]), np.array([2])
    found = combined_forecasts(scaled, weights, once, 20.0, 0.0, *ends)[:, 0]
    # Nothing yet; 10 x 1.2; (0.75 x 20 - 0.25 x 20) x 1.2 with 30 capped at 20.
    assert found == pytest.approx([0.0, 12.0, 12.0])
    assert combined_forecasts(scaled * 9.0, weights, once, 20.0, 0.0, *ends)[1, 0] == 20.0


def test_anchored_prices_leave_out_the_step_of_a_roll() -> None:
    daily = pd.DataFrame(
        {"instrument": "US10", "session": DAYS, "stamp": DAYS + pd.Timedelta(hours=23), "price": [100.0, 101.0, 99.5]}
    )
    gaps = pd.DataFrame({"instrument": "US10", "stamp": [DAYS[2] + pd.Timedelta(hours=23)], "gap_points": [-2.0]})
    assert anchored_prices(daily, gaps)["US10"].tolist() == [100.0, 101.0, 101.5]


def test_capital_and_target_of_a_strategy() -> None:
    # 250,000 at 20 % a year: 250,000 x 0.20 / 16 = 3,125 a day (the reference's own example).
    assert Sizing(250_000, 20.0).daily_cash_base == 3125.0
    desk = Capital(capital_base=1_600_000.0, volatility_target_percent=20.0)
    shared = StrategySettings(name="t", rules={"x": CROSSOVER}, capital_share=0.5)
    own = shared.model_copy(update={"capital_base": 250_000.0, "volatility_target_percent": 10.0})
    assert sizing(shared, desk) == Sizing(800_000.0, 20.0)
    assert sizing(own, desk) == Sizing(250_000.0, 10.0)


def test_optimal_positions_by_hand(panel_of) -> None:
    # Volatility is never below 0.5 points here; a point is worth 1,000, a unit of its currency 1.1: 550 a day.
    # 3,125 / 550 x weight 1/2 x 1.2 = 3.41 at an average forecast; a tenth of it is half the zone.
    strategy = StrategySettings(
        name="t", rules={"x": CROSSOVER}, volatility=VolatilitySettings(min_periods=2, least_points=0.5),
        forecasts=ForecastSettings(weight_smoothing_span=0),
        portfolio=PortfolioSettings(weight_smoothing_com=0, multiplier=1.2),
    )  # fmt: skip
    flat = [100.0, 100.0, 100.0, 100.0]
    panel = panel_of({"A": flat, "B": flat}, point_value=[[1000.0] * 2] * 4, rate=[[1.1] * 2] * 4)
    found = sized(panel, strategy, Capital(capital_base=250_000.0))
    assert found is not None
    row = found.wanted(3, 0)
    assert row["daily_volatility_base"] == pytest.approx(550.0)
    assert row["average_contracts"] == pytest.approx(3.4090909)
    assert row["half_width_contracts"] == pytest.approx(0.34090909)
    assert row["optimal_contracts"] == pytest.approx(0.0, abs=1e-9)


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
    (7, float("inf"), 1.0, 7),
])  # fmt: skip
def test_buffering_by_hand(held: int, optimal: float, width: float, expected: int) -> None:
    assert buffered(held, optimal, width) == expected


def test_buffering_to_the_edge_and_in_parts_of_contracts() -> None:
    assert buffered(0, 4.4, 1.0, to_edge=True) == 3
    assert buffered(6, 4.4, 1.0, to_edge=True) == 5
    assert buffered(0, 4.4, 1.0, whole=False) == 4.4
    assert buffered(0, 4.4, 1.0, whole=False, to_edge=True) == pytest.approx(3.4)
    assert buffered(3.5, 4.4, 1.0, whole=False) == 3.5


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("to_edge", [True, False])
def test_the_close_buffers_as_the_backtest_does(whole: bool, to_edge: bool) -> None:
    chance = np.random.default_rng(3)
    optimal = np.round(chance.normal(0, 8, size=(400, 6)).cumsum(axis=0) / 4) / 2  # many exact halves
    optimal[chance.random(optimal.shape) < 0.1] = NAN
    width = np.where(np.isnan(optimal), NAN, np.abs(chance.normal(0, 2, size=optimal.shape)))
    tradable = chance.random(optimal.shape) < 0.9
    ends = np.zeros(6, dtype=np.int64), np.full(6, 399, dtype=np.int64)
    tested = buffered_positions(optimal, width, tradable, *ends, whole, to_edge, False)
    for place in range(6):
        held = 0.0
        for row in range(400):
            if tradable[row, place]:
                held = buffered(held, optimal[row, place], width[row, place], whole, to_edge)
            assert held == tested[row, place]
    assert (np.diff(tested, axis=0) != 0).sum() > 400


def test_targets_by_hand() -> None:
    strategy = StrategySettings(name="t", rules={"x": CROSSOVER}, instruments=("GOLD", "US10", "NEW"))
    candidates = [
        Candidate("GOLD", 20220600, True, Wanted(10.0, 500.0, 15.2, 1.5), 0),   # outside 14 to 17: to 15
        Candidate("US10", 20220600, False, Wanted(20.0, 500.0, 30.0, 1.5), 3),  # wants 30 but does not trade today
        Candidate("NEW", 20220600, True, Wanted(), 2),                          # nothing known of it yet: keeps
        Candidate("OLD", 20220600, True, Wanted(), -6),                         # no longer listed: closed
        Candidate("GONE", 20220600, False, Wanted(), -6),                       # the same, but it does not trade
    ]  # fmt: skip
    rows = targets(candidates, strategy)
    assert [row.target_contracts for row in rows] == [15, 3, 2, 0, -6]
    assert [row.optimal_contracts for row in rows[:2]] == [15.2, 30.0]
    assert [row.target_contracts for row in closing_targets(candidates, "t")] == [0, 3, 0, 0, -6]


def test_a_strategys_own_buffer_counts_and_a_book_holds_whole_contracts() -> None:
    buffer = BufferSettings(trade_to="edge", whole_contracts=False)
    strategy = StrategySettings(name="t", rules={"x": CROSSOVER}, buffer=buffer)
    (row,) = targets([Candidate("GOLD", 20220600, True, Wanted(10.0, 500.0, 15.2, 1.5), 0)], strategy)
    assert row.target_contracts == 14  # the edge is 13.7


def test_shipped_strategy_file_is_valid(root: Path) -> None:
    found = StrategySettings(**tomllib.loads((root / "config" / "strategies" / "trend.toml").read_text()))
    assert sum(rule.weight for rule in found.rules.values()) == pytest.approx(1.0)
    assert {(rule.parameters["fast"], rule.parameters["slow"], rule.scalar) for rule in found.rules.values()} == {
        (16, 64, 3.75), (32, 128, 2.65), (64, 256, 1.87),
    }  # fmt: skip
