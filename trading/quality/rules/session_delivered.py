"""Rule: the session being closed has prices at all. The one rule on data that stops the day."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule


@rule(
    datasets=("raw_bars", "raw_multiple_prices"),
    needs=("instrument", "session"),
    judges_absence=True,
    blocking=True,
)
def session_delivered(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Of the instruments seen in the last weeks whose exchange is open on the session being closed, at least one has
    a row on it."""
    rows = pd.concat([context.earlier, frame]) if len(context.earlier) else frame
    codes = sorted(rows["instrument"].dropna().unique())
    expected = [code for code in codes if context.open_sessions(code, context.last, context.last)]
    today = rows.loc[rows["session"] == pd.Timestamp(context.last), "instrument"]
    if not expected or today.isin(expected).any():
        return findings()
    said = (
        f"no instrument has a price on {context.last}, though {len(expected)} should ({', '.join(expected[:5])} ...). "
        "The vendor's file is missing or late: load it, then close again."
    )
    return findings([finding("*", context.last, said, column="session", value=context.last)])
