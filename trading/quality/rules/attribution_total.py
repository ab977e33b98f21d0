"""Rule: the totals that are attributed are the change of account equity.

Each position's total is folded from the journal by itself, the account by instrument, and they meet here: to 1e-9 of
the money that moved, |sum of totals - sum of changes| <= 1e-9 x max(1, sum of |rows| of both). Interest and fees count
on both sides.
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

TOLERANCE = 1e-9


@rule(datasets=("attribution",), companions=("equity",), judges_absence=True, blocking=True)
def attribution_total(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On every session the totals of positions sum to the change of account equity, to 1e-9 of the money that moved."""
    equity = context.companions["equity"]
    days = pd.to_datetime(equity["session"])
    within = (days >= pd.Timestamp(context.first)) & (days <= pd.Timestamp(context.last))
    moved = equity[within].set_index("session")
    changes = moved["change_base"] + moved["booked_base"].fillna(0.0)
    totals = frame.set_index("session")["total_base"]
    scale = pd.concat([totals, changes]).abs().groupby(level=0).sum().clip(lower=1.0)
    sums = pd.DataFrame({name: _by_session(each, scale.index) for name, each in (("a", totals), ("e", changes))})
    off = sums[~((sums["a"] - sums["e"]).abs() <= TOLERANCE * scale)]
    said = "{:.9f} are attributed and the account changed by {:.9f}. Close the session again; do not sign it."
    return findings(
        finding("*", session.date(), said.format(total, change), column="total_base", value=total)
        for session, total, change in off.itertuples()
    )


def _by_session(amounts: pd.Series, sessions: pd.Index) -> pd.Series:
    """Sums of sessions: nothing where there are no rows, and no number where one of them is none."""
    return amounts.groupby(level=0).sum(skipna=False).reindex(sessions, fill_value=0.0)
