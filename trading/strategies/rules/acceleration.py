"""Acceleration: whether a trend is getting stronger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule

if TYPE_CHECKING:
    from trading.strategies.rule import Floats


class Parameters(Settings):
    """The crossover whose change counts."""

    fast: int = Field(4, ge=1, le=5000, description="span of the fast average, sessions; the slow one is four times it")


@forecast_rule(Parameters)
def acceleration(market: Market, parameters: Parameters) -> Floats:
    """The moving average crossover less what it was `fast` rows ago.

    Source: Carver, Advanced Futures Trading Strategies, strategy 23.
    """
    import numpy as np

    from trading.kernels.averages import crossover, of_span

    trend = crossover(market.price, market.scale, of_span(parameters.fast), of_span(4.0 * parameters.fast))
    change = np.full_like(trend, np.nan)
    change[parameters.fast :] = trend[parameters.fast :] - trend[: -parameters.fast]
    return change
