"""Rule: the settlement row of a session is not the price of the session before.

Some vendors stamp yesterday's close with today's date. On days with a clear move that shows: the row at 23:00 is next
to the last price of the session before, and far from the last price of its own.
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule

CLEAR_MOVE = 10.0
_NEAR = 0.4
_SETTLEMENT_HOUR = 23


@rule(datasets=("raw_multiple_prices",), severity="warning", needs=("price", "stamp"))
def stale(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On a session that moved more than 10 times its usual change from row to row, the 23:00 row is nearer to the
    session's own last price than to that of the session before."""
    rows = ordered(frame, context, "price")
    at_close = (rows["stamp"].dt.hour == _SETTLEMENT_HOUR) & (rows["stamp"].dt.minute == 0)
    days = _last_prices(rows[rows["stamp"].dt.hour < _SETTLEMENT_HOUR])
    rows = rows[at_close & (rows["row"] != WHOLE_SERIES)].merge(days, on=["group", "session", "price_contract"])
    move = (rows["own"] - rows["before"]).abs()
    clear = (move > CLEAR_MOVE * rows["usual"]) & (rows["usual"] > 0)
    old = ((rows["price"] - rows["before"]).abs() < _NEAR * move) & clear
    said = "it is the price of the session before, one session old. It is kept; prefer the session's last other row."
    return found(rows[old], context, said, "price")


def _last_prices(rows: pd.DataFrame) -> pd.DataFrame:
    """Last price before the settlement row, by series and session: `own`, `before` (same contract, the session
    before) and `usual`, the median absolute change from row to row."""
    changes = rows.assign(change=rows.groupby(["group", "price_contract"])["price"].diff().abs())
    by = changes.groupby(["group", "price_contract", "session"])
    days = by.agg(own=("price", "last"), median=("change", "median")).reset_index()
    held = days.groupby(["group", "price_contract"])
    usual = held["median"].transform(lambda medians: medians.rolling(20, min_periods=3).median())
    return days.assign(before=held["own"].shift(), usual=usual).drop(columns="median")
