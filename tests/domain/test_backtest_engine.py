"""The backtest engine: worked by hand and blind to the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading.backtest.recurrence import History, run
from trading.config.models import Capital, RuleSettings, StrategySettings
from trading.errors import CalculationError
from trading.market.instruments import Instrument, in_force

CAPITAL = Capital(base_currency="USD", capital_base=100_000.0, volatility_target_percent=16.0)


def instrument(code: str, point_value: float, slippage: float = 0.0, commission: float = 0.0) -> Instrument:
    return Instrument(
        code, code, "WEEKDAYS", "USD", point_value, 0.01, "equity", "", "", slippage, commission,
        effective_from=date(1900, 1, 1),
    )  # fmt: skip


def strategy(**more: object) -> StrategySettings:
    rule = RuleSettings(fast=1, slow=2, scalar=10.0, weight=1.0)
    given = {"forecast_multiplier": 1.0, "instrument_multiplier": 1.0, "buffer_fraction": 0.0, **more}
    return StrategySettings(name="test", rules={"cross": rule}, **given)


def wide(columns: dict[str, list[float]]) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.bdate_range("2024-01-01", periods=size, name="session"))


def history(prices: dict[str, list[float]], volatility: float = 1.0, rate: float = 1.0) -> History:
    frame = wide(prices)
    steady = frame * 0.0
    return History(frame, frame, steady.fillna(0.0) + volatility, steady.fillna(0.0) + rate, steady.fillna(0.0))


def test_five_sessions_of_one_instrument_by_hand() -> None:
    # Spans 1 and 2: the fast average is the price itself, the slow one has decay 2/3.
    # Prices 100, 103, 103, 103, 106. Slow averages, weights 1, 1/3, 1/9 ... of the newest backwards:
    #   session 1: 100
    #   session 2: (103 + 100/3) / (4/3)             = 102.25       spread 0.75
    #   session 3: (103 + 103/3 + 100/9) / (13/9)    = 102.769231   spread 0.230769
    #   session 4: (103 x (1 + 1/3 + 1/9) + 100/27) / (40/27) = 102.925  spread 0.075
    # Forecast = 10 x spread (volatility 1): 0, 7.5, 2.307692, 0.75.
    # Risk wanted a day: 100000 x 16 % / 16 = 1000; one contract risks 1 x 10 = 10: 100 contracts at forecast 10.
    # Targets: 0, 75, 23, 8 (7.5 rounds to even: 8). Each is traded at the next close:
    # held after sessions 1..5: 0, 0, 75, 23, 8 (forecast of session 5 does not matter).
    # P&L of session 5: held after session 4 (23) x 3 points x 10 = 690: 0.69 % of 100000.
    # Costs: slippage 0.1 x 10 = 1 a contract + commission 2: 3 a contract on 75, 52 and 15 traded.
    listed = {"A": instrument("A", 10.0, slippage=0.1, commission=2.0)}
    found = run(history({"A": [100.0, 103.0, 103.0, 103.0, 106.0]}), strategy(), listed, CAPITAL)
    assert found.positions["A"].tolist() == [0, 0, 75, 23, 8]
    np.testing.assert_allclose(found.curve["gross_percent"], [0, 0, 0, 0, 0.69], atol=1e-12)
    np.testing.assert_allclose(found.curve["costs_percent"], [0, 0, -0.225, -0.156, -0.045], atol=1e-12)
    np.testing.assert_allclose(found.curve["net_percent"], [0, 0, -0.225, -0.156, 0.645], atol=1e-12)


def test_each_session_has_its_own_point_value() -> None:
    # As above, but a point is worth 10 through session 4 and 20 in session 5: 23 x 3 x 20 = 1380.
    given = history({"A": [100.0, 103.0, 103.0, 103.0, 106.0]})
    given = replace(given, point_values=wide({"A": [10.0, 10.0, 10.0, 10.0, 20.0]}))
    found = run(given, strategy(), {"A": instrument("A", 20.0)}, CAPITAL)
    assert found.positions["A"].tolist() == [0, 0, 75, 23, 8]
    np.testing.assert_allclose(found.curve["gross_percent"], [0, 0, 0, 0, 1.38], atol=1e-12)


def test_instruments_in_force_are_asked_for_once_a_change() -> None:
    asked = []

    def on(day: date) -> dict[str, Instrument]:
        asked.append(day)
        changed = replace(instrument("A", 20.0), effective_from=date(2024, 3, 1))
        return {"A": changed if day >= date(2024, 3, 1) else instrument("A", 10.0)}

    found = [(since, given["A"].point_value_local) for since, given in in_force(on, date(2024, 1, 2), date(2024, 6, 3))]
    assert found == [(date(2024, 3, 1), 20.0), (date(1900, 1, 1), 10.0)]
    assert asked == [date(2024, 6, 3), date(2024, 2, 29)]


def test_two_instruments_share_the_risk_and_rates_convert() -> None:
    # With two sized instruments each gets half: 50 contracts at forecast 10 of A. B is worth twice in base: 25.
    listed = {"A": instrument("A", 10.0), "B": instrument("B", 10.0)}
    given = history({"A": [100.0, 103.0, 103.0], "B": [100.0, 103.0, 103.0]})
    given.rates["B"] = 2.0
    found = run(given, strategy(), listed, CAPITAL)
    assert found.positions.iloc[2].tolist() == [round(37.5), round(18.75)]


def test_a_roll_costs_both_legs() -> None:
    listed = {"A": instrument("A", 10.0, slippage=0.1)}
    given = history({"A": [100.0, 103.0, 103.0, 103.0]})
    quiet = run(given, strategy(), listed, CAPITAL).curve["costs_percent"]
    given.rolls.iloc[3, 0] = 1.0
    rolled = run(given, strategy(), listed, CAPITAL).curve["costs_percent"]
    # 75 contracts held before session 4, two legs, 1 each: 150 more, 0.15 %.
    np.testing.assert_allclose(rolled - quiet, [0, 0, 0, -0.15], atol=1e-12)


def test_a_target_waits_for_an_instrument_that_does_not_trade() -> None:
    listed = {"A": instrument("A", 10.0)}
    found = run(history({"A": [100.0, 103.0, np.nan, 103.0]}), strategy(), listed, CAPITAL)
    assert found.positions["A"].tolist() == [0, 0, 0, 75]


@pytest.mark.parametrize("cut", [150, 201, 260, 299])
def test_nothing_of_the_future_is_known(cut: int) -> None:
    chance = np.random.default_rng(7)
    prices = {code: list(1000 + chance.normal(size=300).cumsum()) for code in "ABC"}
    listed = {code: instrument(code, 10.0, 0.1, 1.0) for code in "ABC"}
    whole = run(history(prices), strategy(buffer_fraction=0.1), listed, CAPITAL)
    early = run(
        history({code: values[:cut] for code, values in prices.items()}), strategy(buffer_fraction=0.1), listed, CAPITAL
    )
    pd.testing.assert_frame_equal(whole.positions.iloc[:cut], early.positions, check_freq=False)
    pd.testing.assert_frame_equal(whole.curve.iloc[:cut], early.curve, check_freq=False)


def test_a_strategy_without_any_of_its_instruments_says_so() -> None:
    with pytest.raises(CalculationError, match=r"lists X, and none of them has prices\. Load their prices"):
        run(history({"A": [1.0, 2.0]}), strategy(instruments=("X",)), {"A": instrument("A", 1.0)}, CAPITAL)
