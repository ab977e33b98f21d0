"""The moving average crossover: trend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule

if TYPE_CHECKING:
    from trading.strategies.rule import Floats


class Parameters(Settings):
    """Spans of the two averages, sessions."""

    fast: float = Field(ge=1, le=5000, description="span of the fast average, sessions")
    slow: float = Field(ge=1, le=20_000, description="span of the slow average, sessions")

    @model_validator(mode="after")
    def _ordered(self) -> Parameters:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast:g}) must be shorter than slow ({self.slow:g})")
        return self


@forecast_rule(Parameters)
def ewmac(market: Market, parameters: Parameters) -> Floats:
    """Fast less slow exponential average of the price, in units of daily volatility in points.

    Sessions without a price age the averages. Adding a constant to a price changes nothing, so where the continuous
    series is anchored does not matter. Source: Carver, Systematic Trading, appendix B.
    """
    from trading.kernels.averages import crossover, of_span

    return crossover(market.price, market.scale, of_span(parameters.fast), of_span(parameters.slow))
