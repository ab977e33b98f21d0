"""Rule: prices stamped on a Saturday or Sunday are looked at."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates"),
    severity="warning",
    needs=("stamp",),
)
def weekend_rows(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No row is stamped on a weekend: counted to Friday it would overwrite Friday's close."""
    said = "the stamp is on a weekend. With the `weekdays` calendar it counts to Friday and replaces Friday's close."
    return found(frame[frame["stamp"].dt.day_of_week >= 5], context, said, "stamp")
