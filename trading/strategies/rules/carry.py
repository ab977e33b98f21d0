"""Carry: what a position earns if prices do not move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from trading.analytics.years import ROOT_OF_YEAR
from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule

if TYPE_CHECKING:
    from trading.strategies.rule import Floats


class Parameters(Settings):
    """How much the raw carry is smoothed."""

    smooth: float = Field(90.0, ge=0, le=5000, description="centre of mass of the average, sessions")


@forecast_rule(Parameters, uses_carry=True)
def carry(market: Market, parameters: Parameters) -> Floats:
    """Annualised roll over annual volatility, both in points, exponentially averaged; repeated over missing sessions.

    A roll between two prices of one contract is infinite, and counts as missing.

    Source: Carver, Systematic Trading, appendix B.
    """
    import numpy as np

    from trading.kernels.averages import averaged, of_centre

    raw = market.carry / (market.volatility * ROOT_OF_YEAR)
    return averaged(np.where(np.isfinite(raw), raw, np.nan), of_centre(parameters.smooth))
