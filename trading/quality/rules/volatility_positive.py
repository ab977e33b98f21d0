"""Rule: volatility is above zero."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together

_MEASURES = ("ewma_points", "mixed_points", "robust_points")


@rule(datasets=("volatility",), any_of=_MEASURES)
def volatility_positive(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Every volatility is above zero: positions are divided by it."""
    said = "positions are divided by volatility, so it must be above zero. The prices of the instrument may be stuck."
    names = [name for name in _MEASURES if name in frame]
    return together(found(frame[frame[name] <= 0], context, said, name) for name in names)
