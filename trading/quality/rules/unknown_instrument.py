"""Rule: every instrument delivered is in the reference data."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_roll_calendars"),
    needs=("instrument",),
    quarantine=True,
)
def unknown_instrument(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Every instrument is in the reference data: without its point value and currency it cannot be valued."""
    rows = frame[~frame["instrument"].isin(list(context.instruments))]
    said = "not in the reference data. The row is quarantined; add the instrument to reference/instruments.csv."
    return found(rows, context, said, "instrument")
