"""The forecasts of a strategy: every rule and their combination, for all sessions at once.

Belongs here: running a strategy's rules over wide frames and laying the answer out as rows. Does not belong here: the
rules themselves (one file each), positions (`sizing.py`).
"""

from __future__ import annotations

from datetime import date

import pandas as pd

from trading.config.models import StrategySettings
from trading.strategies.combination import combined, scaled
from trading.strategies.ewmac import ewmac

COMBINED = "combined"


def wide_forecasts(
    prices: pd.DataFrame, volatility: pd.DataFrame, strategy: StrategySettings
) -> dict[str, pd.DataFrame]:
    """Wide forecasts by rule name, and under `combined` their mixture. See `ewmac` for shapes, units and NaN."""
    codes = [code for code in prices.columns if not strategy.instruments or code in strategy.instruments]
    prices = prices[codes]
    rules = {
        name: scaled(ewmac(prices, volatility, rule.fast, rule.slow), rule.scalar, strategy.forecast_cap)
        for name, rule in strategy.rules.items()
    }
    weights = {name: rule.weight for name, rule in strategy.rules.items()}
    return {**rules, COMBINED: combined(rules, weights, strategy.forecast_multiplier, strategy.forecast_cap)}


def forecasts(
    prices: pd.DataFrame, volatility: pd.DataFrame, strategy: StrategySettings, first: date, last: date
) -> pd.DataFrame:
    """Rows of the dataset `forecasts` for the sessions `first` to `last`, from history that starts earlier.

    An instrument has rows from its first price on. NaN until a rule has history. No row uses a later session.
    """
    listed = prices.notna().cummax().loc[str(first) : str(last)]
    parts = [
        _rows(frame.loc[str(first) : str(last)], listed, strategy.name, rule)
        for rule, frame in wide_forecasts(prices, volatility, strategy).items()
    ]
    return pd.concat(parts, ignore_index=True)


def _rows(wide: pd.DataFrame, listed: pd.DataFrame, strategy: str, rule: str) -> pd.DataFrame:
    listed = listed[list(wide.columns)]
    long = wide.reset_index(names="session").melt(id_vars="session", var_name="instrument", value_name="forecast")
    return long[listed.to_numpy().ravel(order="F")].assign(strategy=strategy, rule=rule)
