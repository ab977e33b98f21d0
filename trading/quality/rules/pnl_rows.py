"""Rule: the parts of each P&L row add up."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule

TOLERANCE = 1e-9
_PARTS = ["held_base", "traded_base", "commission_base"]


KEY = ["session", "strategy", "instrument", "contract"]


@rule(
    datasets=("pnl",),
    companions=("fills",),
    needs=("total_base", "held_base", "traded_base", "commission_base"),
    blocking=True,
)
def pnl_rows(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """held + traded + commission is the total of every row, to 1e-9 of its money; commission is received only where a
    fill of that session gave some back (it was taken back or corrected)."""
    money = frame[_PARTS].abs().sum(axis=1).clip(lower=1.0)
    off = (frame["total_base"] - frame[_PARTS].sum(axis=1)).abs() > TOLERANCE * money
    said = "held + traded + commission is not the total, or commission was received. Materialise the P&L again."
    received = (frame["commission_base"] > 0) & ~_given_back(frame, context.companions["fills"])
    return found(frame[off | received], context, said, "total_base")


def _given_back(frame: pd.DataFrame, fills: pd.DataFrame) -> pd.Series:
    """Which rows have a fill, of their session and contract, with a commission below nothing."""
    back = fills[fills["commission_local"] < 0] if len(fills) else fills.reindex(columns=KEY)
    known = pd.MultiIndex.from_frame(back[KEY]) if len(back) else pd.MultiIndex.from_tuples([], names=KEY)
    return pd.Series(pd.MultiIndex.from_frame(frame[KEY]).isin(known), index=frame.index)
