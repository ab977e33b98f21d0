"""Rule: each session's account starts where the one before ended.

A session that was closed again after a correction changes its own account; those after it keep the old one until they
are closed again too. Nothing else would notice: each session's P&L still equals its own change.
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

TOLERANCE = 1e-9


@rule(datasets=("equity",), needs=("account_base", "change_base"), blocking=True)
def account_chain(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The account of every session, also in the weeks before, is the session before's plus its changes and bookings."""
    rows = pd.concat([context.earlier, frame]) if len(context.earlier) else frame
    rows = rows.assign(change=rows["change_base"] + rows["booked_base"].fillna(0.0))
    by_session = rows.groupby("session").agg(account=("account_base", "first"), change=("change", "sum"))
    step = by_session["account"].diff() - by_session["change"]
    off = by_session[step.abs() > TOLERANCE * by_session["account"].abs().clip(lower=1.0)]
    said = (
        "the account is {:.2f}, which is not the session before plus {:.2f}. Close this session again, and those after."
    )
    return findings(
        finding("*", session.date(), said.format(account, change), column="account_base", value=account)
        for session, account, change in off.itertuples()
    )
