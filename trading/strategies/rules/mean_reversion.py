"""Mean reversion in the wings: against a fast trend once it is unusually strong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule

if TYPE_CHECKING:
    from trading.strategies.rule import Floats


class Parameters(Settings):
    """The crossover that is faded, and when."""

    fast: float = Field(4, ge=1, le=5000, description="span of the fast average, sessions")
    slow: float = Field(16, ge=1, le=20_000, description="span of the slow average, sessions")
    window: int = Field(5000, ge=3, le=50_000, description="rows of the deviation that is usual")
    deviations: float = Field(3.0, ge=0, le=100, description="a crossover within so many deviations gives no forecast")


@forecast_rule(Parameters)
def mean_reversion(market: Market, parameters: Parameters) -> Floats:
    """Minus the moving average crossover where it is beyond `deviations` of its own rolling standard deviation, else 0.

    Source: Carver, Advanced Futures Trading Strategies, part four, for fading extremes of a fast trend.
    """
    import numpy as np

    from trading.kernels.averages import crossover, of_span
    from trading.kernels.windows import running_deviation

    trend = crossover(market.price, market.scale, of_span(parameters.fast), of_span(parameters.slow))
    usual = running_deviation(trend, parameters.window, 3)
    return np.where(np.abs(trend) < parameters.deviations * usual, 0.0, -trend)
