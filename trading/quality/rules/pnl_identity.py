"""Rule: total P&L is the change of account equity, which is valued from cash and marks alone.

The two are calculated by different roads: P&L from positions and price changes, equity from cash and marks. They agree
to 1e-9 of the money that moved: |sum of totals - sum of changes| <= 1e-9 x max(1, sum of |rows| of both).
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

TOLERANCE = 1e-9


@rule(datasets=("equity",), companions=("pnl",), needs=("change_base",), blocking=True)
def pnl_identity(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On every session the P&L rows sum to the change of account equity, to 1e-9 of the money that moved."""
    pnl = context.companions["pnl"].set_index("session")["total_base"]
    equity = frame.set_index("session")["change_base"]
    sums = pd.DataFrame({"pnl": pnl.groupby(level=0).sum(), "equity": equity.groupby(level=0).sum()})
    scale = pnl.abs().groupby(level=0).sum().add(equity.abs().groupby(level=0).sum(), fill_value=0).clip(lower=1.0)
    within = sums.index.isin(equity.index)
    sums = sums[within].fillna(0.0)
    off = sums[(sums["pnl"] - sums["equity"]).abs() > TOLERANCE * scale.reindex(sums.index)]
    said = "P&L is {:.9f} and the account changed by {:.9f}. Value the book again; do not send the report."
    rows = zip(off.index, off["pnl"], off["equity"], strict=True)
    return findings(
        finding("*", session.date(), said.format(pnl, change), column="total_base", value=pnl)
        for session, pnl, change in rows
    )
