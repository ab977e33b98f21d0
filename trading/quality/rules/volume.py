"""Rule: volume is a count."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(datasets=("raw_bars", "clean_bars", "daily_prices"), needs=("volume",), quarantine=True)
def volume(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Volume is zero or more and finite; a missing volume is not judged."""
    wrong = (frame["volume"] < 0) | (frame["volume"] == float("inf"))
    said = "volume is zero or more. The row is quarantined; ask the vendor for a correction."
    return found(frame[wrong], context, said, "volume")
