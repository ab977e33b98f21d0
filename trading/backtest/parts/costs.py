"""Cost models that any strategy can be backtested with in place of its own costs.

Belongs here: registered cost models. Does not belong here: costs as the strategy's settings say (`costs.py` of the
engine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from trading.backtest.panel import Floats, Panel
from trading.backtest.registry import Nothing, cost_model
from trading.backtest.specification import CostModel
from trading.config.settings import Settings
from trading.config.strategies import StrategySettings


class FlatParameters(Settings):
    """Parameters of `flat`."""

    per_contract_base: float = Field(ge=0, le=1e6, description="base currency for each contract bought or sold")


@dataclass(frozen=True, slots=True)
class FlatCosts:
    """The same money for every contract traded."""

    per_contract_base: float

    def costs(self, panel: Panel, held: Floats, filled: Floats, strategy: StrategySettings) -> Floats:
        """As the Protocol: -|filled| x money; 0 where nothing is filled."""
        return -self.per_contract_base * np.abs(np.nan_to_num(filled))


@dataclass(frozen=True, slots=True)
class NoCosts:
    """Trading for nothing."""

    def costs(self, panel: Panel, held: Floats, filled: Floats, strategy: StrategySettings) -> Floats:
        """As the Protocol: 0 everywhere."""
        return np.zeros(filled.shape)


@cost_model(version="1", parameters=FlatParameters)
def flat(parameters: FlatParameters) -> CostModel:
    """The same money for every contract traded, whatever the instrument; rolls cost nothing."""
    return FlatCosts(parameters.per_contract_base)


@cost_model(version="1")
def free(_: Nothing) -> CostModel:
    """No costs at all."""
    return NoCosts()
