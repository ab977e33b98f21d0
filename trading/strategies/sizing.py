"""From a forecast to contracts: how much of an instrument a strategy should hold at its risk target.

Belongs here: arithmetic of position size. Does not belong here: when to trade towards it (`buffering.py`).
Source: Carver, Systematic Trading, chapters 9 to 11.
"""

from __future__ import annotations

from trading.analytics.volatility import ROOT_OF_YEAR

AVERAGE_FORECAST = 10.0


def daily_cash_target(capital_base: float, volatility_target_percent: float) -> float:
    """Money a day that one standard deviation should be, in base currency, from an annual target in percent."""
    return capital_base * volatility_target_percent / 100.0 / ROOT_OF_YEAR


def daily_volatility_base(volatility_points: float, point_value_local: float, rate: float) -> float:
    """One standard deviation a day of one contract in base currency. `rate` is base currency for one local unit."""
    return volatility_points * point_value_local * rate


def average_contracts(
    cash_target_base: float, contract_volatility_base: float, instrument_weight: float, instrument_multiplier: float
) -> float:
    """Contracts, unrounded, at an average forecast of +10."""
    return cash_target_base / contract_volatility_base * instrument_weight * instrument_multiplier


def optimal_contracts(average: float, forecast: float) -> float:
    """Contracts, unrounded and signed, at a forecast. NaN forecast gives NaN."""
    return average * forecast / AVERAGE_FORECAST
