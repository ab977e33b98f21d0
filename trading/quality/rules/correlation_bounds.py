"""Rule: correlations are correlations."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together

TOLERANCE = 1e-9


@rule(datasets=("correlation",), needs=("correlation",), blocking=True)
def correlation_bounds(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Correlations lie between -1 and 1, are 1 on the diagonal, and are kept as the upper triangle, so that the matrix
    is symmetric by construction."""
    values = frame["correlation"]
    same = frame["instrument_a"] == frame["instrument_b"]
    cases = (
        (values.abs() > 1 + TOLERANCE, "a correlation lies between -1 and 1."),
        (same & ((values - 1).abs() > TOLERANCE), "an instrument's correlation with itself is 1."),
        (frame["instrument_a"] > frame["instrument_b"], "the pair is not in alphabetical order."),
    )
    cure = " Materialise the correlation of the session again; if it stays, report it as a fault."
    return together(found(frame[wrong], context, said + cure, "correlation") for wrong, said in cases)
