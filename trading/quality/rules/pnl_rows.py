"""Rule: the parts of each P&L row add up."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule

TOLERANCE = 1e-9
_PARTS = ["held_base", "traded_base", "commission_base"]


@rule(datasets=("pnl",), needs=("total_base", "held_base", "traded_base", "commission_base"), blocking=True)
def pnl_rows(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """held + traded + commission is the total of every row, to 1e-9 of its money; commission is never received."""
    money = frame[_PARTS].abs().sum(axis=1).clip(lower=1.0)
    off = (frame["total_base"] - frame[_PARTS].sum(axis=1)).abs() > TOLERANCE * money
    said = "held + traded + commission is not the total, or commission was received. Materialise the P&L again."
    return found(frame[off | (frame["commission_base"] > 0)], context, said, "total_base")
