"""Breakout: where a price stands within its recent range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule

if TYPE_CHECKING:
    from trading.strategies.rule import Floats


class Parameters(Settings):
    """Length of the range, and of the smoothing after it."""

    lookback: int = Field(10, ge=2, le=5000, description="rows of the range")
    smooth: float | None = Field(None, ge=1, le=5000, description="span of the smoothing; none: a quarter of lookback")


@forecast_rule(Parameters)
def breakout(market: Market, parameters: Parameters) -> Floats:
    """40 x (price less the middle of its range) / range over `lookback` rows, exponentially averaged.

    Needs half the rows to have a price. NaN where the range is zero. Source: Carver, "A simple breakout trading rule"
    (2015).
    """
    import numpy as np

    from trading.kernels.averages import averaged, of_span
    from trading.kernels.windows import rolling_range

    low, high = rolling_range(market.price, parameters.lookback, math.ceil(parameters.lookback / 2.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = 40.0 * (market.price - (high + low) / 2.0) / (high - low)
    raw[~np.isfinite(raw)] = np.nan
    span = parameters.smooth or max(parameters.lookback // 4, 1)
    smoothed = averaged(raw, of_span(span))
    smoothed[np.cumsum(np.isfinite(raw), axis=0) < math.ceil(span / 2.0)] = np.nan
    return smoothed
