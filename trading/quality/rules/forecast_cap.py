"""Rule: forecasts stay within their cap."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(datasets=("forecasts", "optimal_positions", "targets"), needs=("forecast",), blocking=True)
def forecast_cap(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No forecast is larger than the cap of the strategies, either way."""
    said = f"the cap is {context.forecast_cap:g}. Materialise the signals again; if it stays, report it as a fault."
    return found(frame[frame["forecast"].abs() > context.forecast_cap + 1e-9], context, said, "forecast")
