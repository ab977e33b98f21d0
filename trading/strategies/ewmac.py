"""The moving average crossover: the trend rule.

Belongs here: this one rule, unscaled. Does not belong here: scaling, capping and mixing rules (`combination.py`).
"""

from __future__ import annotations

import pandas as pd


def ewmac(prices: pd.DataFrame, volatility: pd.DataFrame, fast: int, slow: int) -> pd.DataFrame:
    """Fast minus slow exponential average of the price, in units of daily volatility.

    Wide frames, shape `(n_sessions, n_instruments)` on the same index: continuous daily `prices` in points (NaN where
    an instrument did not trade: such rows still age the weights) and `volatility` in points a day, carried forward
    here. `fast` and `slow` are spans. NaN until both price and volatility exist. The row of a session uses nothing
    later. Adding a constant to a price series changes nothing, so where the series is anchored does not matter.
    Source: Carver, Systematic Trading, appendix B.
    """
    spread = prices.ewm(span=fast).mean() - prices.ewm(span=slow).mean()
    return spread / volatility.reindex_like(prices).ffill()
