"""The daily engine: a strategy from prices to money, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading.backtest.engine import Evaluation, bench_of, evaluate, instruments_of
from trading.backtest.panel import Panel
from trading.config.strategies import (
    BufferSettings,
    ForecastSettings,
    PortfolioSettings,
    RuleSettings,
    StrategySettings,
    VolatilitySettings,
)
from trading.errors import CalculationError
from trading.market.instruments import Instrument, in_force
from trading.strategies.optimal import Sizing, value_volatility
from trading.strategies.rule import Market
from trading.strategies.rules.carry import Parameters, carry
from trading.strategies.volatility import estimated
from trading.strategies.workbench import Workbench

NAN = float("nan")
UP = [100.0, 100.0, 100.0, 103.0, 103.0, 103.0, 106.0]
CAPITAL = Sizing(1_000_000.0, 16.0)  # 10,000 a day


def strategy(**more: object) -> StrategySettings:
    """A quick crossover, every volatility 10 points (none is that large, and none is smaller than `least_points`)."""
    return StrategySettings(
        name="test",
        rules={"cross": RuleSettings(rule="ewmac", parameters={"fast": 1, "slow": 2}, scalar=100.0, weight=1.0)},
        volatility=VolatilitySettings(min_periods=2, least_points=10.0),
        forecasts=ForecastSettings(weight_smoothing_span=0),
        portfolio=PortfolioSettings(weight_smoothing_com=0),
        buffer=BufferSettings(fraction=0.0),
        **more,
    )


def run(panel: Panel, how: StrategySettings | None = None) -> Evaluation:
    how = how or strategy()
    return evaluate(bench_of(panel, how), how, CAPITAL)


def test_seven_sessions_of_one_instrument_by_hand(panel_of) -> None:
    # Spans 1 and 2: the fast average is the price itself, the slow one has decay 1/3.
    #   session 4: (103 x 27 + 100 x (9 + 3 + 1)) / 40             = 102.025     spread 0.975
    #   session 5: (103 x (81 + 27) + 100 x (9 + 3 + 1)) / 121     = 102.677686  spread 0.322314
    #   session 6: (103 x (243 + 81 + 27) + 100 x 13) / 364        = 102.892857  spread 0.107143
    # Forecast = 100 x spread / 10 points: 9.75, 3.22, 1.07. Risk wanted a day: 1,000,000 x 16 % / 16 = 10,000; one
    # contract risks 10 points x 10 = 100: 100 contracts at forecast 10, so 97.5, 32.2, 10.7 in sessions 4 to 6.
    # Decided 98 (half to even), 32, 11; each is filled in the next session and earns from the one after on.
    # P&L of session 7: held after session 6 (32) x 3 points x 10 = 960: 0.096 % of 1,000,000.
    # Costs: slippage 0.1 x 10 = 1 a contract + commission 2: 3 a contract on 98, 66 and 21 traded.
    found = run(panel_of({"A": UP}, slippage=[0.1], per_contract=[2.0]))
    assert found.decisions.positions[3:6, 0].tolist() == [98, 32, 11]
    assert found.account.holdings.held[:, 0].tolist() == [0, 0, 0, 0, 98, 32, 11]
    np.testing.assert_allclose(found.account.percent.gross, [0, 0, 0, 0, 0, 0, 0.096], atol=1e-12)
    net = [0, 0, 0, 0, -0.0294, -0.0198, 0.096 - 0.0063]
    np.testing.assert_allclose(found.account.percent.net, net, atol=1e-12)


def test_each_session_has_its_own_point_value(panel_of) -> None:
    # As above, but a point is worth 10 through session 6 and 20 in session 7: 32 x 3 x 20 = 1920.
    found = run(panel_of({"A": UP}, point_value=[[10.0]] * 6 + [[20.0]]))
    assert found.account.holdings.held[:, 0].tolist() == [0, 0, 0, 0, 98, 32, 11]
    np.testing.assert_allclose(found.account.percent.gross, [0, 0, 0, 0, 0, 0, 0.192], atol=1e-12)


def test_two_instruments_share_the_risk_and_rates_convert(panel_of) -> None:
    # Each gets half: 97.5 / 2 = 48.75 of A; B is worth twice in base currency: 24.375.
    found = run(panel_of({"A": UP, "B": UP}, rate=[[1.0, 2.0]] * 7))
    assert found.decisions.optimal.notional[3].tolist() == pytest.approx([48.75, 24.375])
    assert found.account.holdings.held[4].tolist() == [49, 24]


def test_a_held_price_of_zero_leaves_the_size_of_the_session_before(panel_of) -> None:
    # Ten a point: 10 points of volatility are 100. In session 5 they are 30, but of a price of 0 that is no share.
    risk = np.array([[10.0], [10.0], [10.0], [10.0], [30.0], [30.0], [30.0]])
    where = replace(panel_of({"A": UP}), held=np.array([[50.0], [50.0], [50.0], [50.0], [0.0], [50.0], [50.0]]))
    bench = Workbench(where)
    bench.once(("market", strategy().volatility), lambda: Market(where.price, risk, risk, where.carry))
    assert value_volatility(bench, strategy())[:, 0].tolist() == [100, 100, 100, 100, 100, 300, 300]


def test_beyond_the_held_contracts_rows_the_size_stays_as_it_was(panel_of) -> None:
    # The adjusted price goes on for two sessions; what a contract is worth, and at which rate, is not looked up again.
    where = panel_of({"A": UP}, rate=[[1.0]] * 4 + [[2.0]] * 3)
    found = run(replace(where, held_last=np.array([4])))
    optimal = found.decisions.optimal
    contracts = optimal.subsystem[3:, 0] / optimal.forecasts.combined[3:, 0]
    assert contracts.tolist() == pytest.approx([10, 5, 5, 5])  # of 10,000 / (10 points x 10 x rate) x forecast / 10
    later = run(replace(where, held_last=np.array([3])))
    optimal = later.decisions.optimal
    contracts = optimal.subsystem[3:, 0] / optimal.forecasts.combined[3:, 0]
    assert contracts.tolist() == pytest.approx([10, 10, 10, 10])


def test_an_instrument_without_a_carry_rule_has_the_rows_of_its_price(panel_of) -> None:
    # Contracts have rows from the first session on, adjusted prices from the third; only B has weight in carry.
    where = panel_of({"A": UP, "B": UP})
    where = replace(where, first=np.array([2, 2]), price=np.where(np.arange(7)[:, None] < 2, np.nan, where.price))
    two = dict(strategy().rules) | {"carry": RuleSettings(rule="carry", weight=0.0)}
    own = ForecastSettings(weight_smoothing_span=0, weights={"B": {"cross": 0.5, "carry": 0.5}})
    found = run(where, strategy().model_copy(update={"rules": two, "forecasts": own})).decisions.optimal.forecasts
    assert found.first.tolist() == [2, 0]


def test_a_volatility_is_not_backfilled_before_an_instruments_first_row() -> None:
    prices = np.array([[np.nan], [1.0], [2.0], [4.0], [5.0]])
    settings = VolatilitySettings(method="simple", window=2, min_periods=2, backfill=True)
    found = estimated(prices, np.array([1]), np.array([4]), settings)[:, 0]
    same = 0.5**0.5  # of changes 1 and 2, and of 2 and 1
    np.testing.assert_allclose(found, [np.nan, same, same, same, same])


def test_an_infinite_roll_counts_as_missing() -> None:
    # Centre of mass 1: each session weighs half. 16 points a year at 0.5 points a day (8 a year) is 2; then 4.
    roll = np.array([[16.0], [np.inf], [32.0], [-np.inf]])
    risk = np.full((4, 1), 0.5)
    found = carry.forecast(Market(risk, risk, risk, roll), Parameters(smooth=1))
    assert found[:, 0].tolist() == pytest.approx([2, 2, (2 / 4 + 4) / (1 / 4 + 1), (2 / 4 + 4) / (1 / 4 + 1)])


def test_a_roll_costs_both_legs(panel_of) -> None:
    quiet = run(panel_of({"A": UP}, slippage=[0.1]))
    rolled = run(panel_of({"A": UP}, slippage=[0.1], rolls=[[0.0]] * 5 + [[1.0], [0.0]]))
    # 98 contracts held before session 6, two legs, 1 each: 196 more, 0.0196 %.
    more = rolled.account.percent.net - quiet.account.percent.net
    np.testing.assert_allclose(more, [0, 0, 0, 0, 0, -0.0196, 0], atol=1e-12)


def test_a_target_waits_for_an_instrument_that_does_not_trade(panel_of) -> None:
    found = run(panel_of({"A": [100.0, 100.0, 100.0, 103.0, NAN, 103.0]}))
    assert found.account.holdings.held[:, 0].tolist() == [0, 0, 0, 0, 0, 98]


def test_an_instrument_that_comes_later_takes_its_share_then(panel_of) -> None:
    # B has a volatility, and so a weight, with its third price: until then all risk is A's.
    found = run(panel_of({"A": UP, "B": [NAN, NAN, 50.0, 50.0, 50.0, 50.0, 50.0]}))
    assert found.decisions.optimal.weights[:, 0].tolist() == [0, 0, 1, 1, 0.5, 0.5, 0.5]


def test_a_strategy_without_one_of_its_instruments_says_so() -> None:
    with pytest.raises(CalculationError, match=r"trades X, and there are no such prices\. Load them"):
        instruments_of(strategy(instruments=("A", "X")), ("A", "B"))


def test_instruments_in_force_are_asked_for_once_a_change() -> None:
    asked = []

    def instrument(point_value: float, since: date = date(1900, 1, 1)) -> Instrument:
        return Instrument(
            "A", "A", "WEEKDAYS", "USD", point_value, 0.01, "equity", "", "", 0.0, 0.0, effective_from=since
        )

    def on(day: date) -> dict[str, Instrument]:
        asked.append(day)
        return {"A": instrument(20.0, date(2024, 3, 1)) if day >= date(2024, 3, 1) else instrument(10.0)}

    found = [(since, given["A"].point_value_local) for since, given in in_force(on, date(2024, 1, 2), date(2024, 6, 3))]
    assert found == [(date(2024, 3, 1), 20.0), (date(1900, 1, 1), 10.0)]
    assert asked == [date(2024, 6, 3), date(2024, 2, 29)]
