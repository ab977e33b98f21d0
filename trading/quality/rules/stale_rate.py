"""Rule: the exchange rate a session is valued at is recent."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule

MAX_DAYS = 10


@rule(datasets=("fx_rates",), severity="warning", needs=("quoted_on", "session"))
def stale_rate(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The rate of a session was quoted at most ten days before it."""
    age = (frame["session"] - frame["quoted_on"]).dt.days
    said = "the session is valued at a quote more than ten days old. Load newer rates for the pair."
    return found(frame[age > MAX_DAYS], context, said, "quoted_on")
