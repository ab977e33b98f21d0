"""From raw forecasts to one: scaling, capping, weighting.

Belongs here: arithmetic on forecasts of several rules. Does not belong here: a rule, or a position.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def scaled(raw: pd.DataFrame, scalar: float, cap: float) -> pd.DataFrame:
    """Raw forecasts times `scalar`, within plus and minus `cap`. NaN stays NaN."""
    return (raw * scalar).clip(-cap, cap)


def combined(
    forecasts: Mapping[str, pd.DataFrame], weights: Mapping[str, float], multiplier: float, cap: float
) -> pd.DataFrame:
    """Weighted mean of the rules that have a forecast, times the diversification multiplier, within the cap.

    Wide frames of one shape by rule name. A rule without a forecast yet lends its weight to the others; NaN where no
    rule with a weight has one. Forecasts are carried forward over missing sessions.
    """
    total: pd.DataFrame | float = 0.0
    weight: pd.DataFrame | float = 0.0
    for rule, frame in sorted(forecasts.items()):
        known = frame.ffill()
        total = total + known.fillna(0.0) * weights[rule]
        weight = weight + known.notna() * weights[rule]
    assert isinstance(total, pd.DataFrame)
    assert isinstance(weight, pd.DataFrame)
    return (total / weight.where(weight > 0) * multiplier).clip(-cap, cap)
