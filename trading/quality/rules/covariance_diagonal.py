"""Rule: variances are not negative."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(datasets=("covariance",), needs=("covariance",), blocking=True)
def covariance_diagonal(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The covariance of an instrument with itself, its variance, is not below zero."""
    same = frame["instrument_a"] == frame["instrument_b"]
    said = "a variance is not below zero. Materialise the covariance of the session again."
    return found(frame[same & (frame["covariance"] < 0)], context, said, "covariance")
