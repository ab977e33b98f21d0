"""A rule of one's own that fails is named in the sentence."""

from __future__ import annotations

import numpy as np
import pytest

from trading.backtest.rehearsal import made_panel
from trading.config.settings import Settings
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.strategies.mixture import forecasts
from trading.strategies.rule import Market, forecast_rule
from trading.strategies.workbench import Workbench


class Nothing(Settings):
    """No parameters."""


@forecast_rule(Nothing)
def forgetful(market: Market, _: Nothing) -> np.ndarray:
    """Looks for what is not there."""
    return {"price": market.price}["volume"]


@forecast_rule(Nothing)
def short(market: Market, _: Nothing) -> np.ndarray:
    """Leaves the first row out."""
    return market.price[1:]


@pytest.mark.parametrize(("rule", "said"), [
    (forgetful, "rule forgetful failed: KeyError: 'volume'. Correct the file of the rule."),
    (short, r"rule short gave an array of shape \(2, 1\) for prices of \(3, 1\)"),
])  # fmt: skip
def test_it_is_named(rule, said: str) -> None:
    strategy = StrategySettings.model_validate({"name": "mine", "rules": {"x": {"rule": rule.name, "weight": 1.0}}})
    with pytest.raises(CalculationError, match=said):
        forecasts(Workbench(made_panel({"A": [1.0, 2.0, 3.0]})), strategy, {rule.name: rule})
