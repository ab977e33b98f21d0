"""Rule: a daily bar is not yesterday's once more."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule

_BAR = ["open", "high", "low", "close"]


@rule(datasets=("raw_bars",), severity="warning", needs=("open", "high", "low", "close", "volume"))
def repeated_bar(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No daily bar in which contracts traded is the whole bar before it again, or stood at its close all day. Hourly
    bars and bars without volume are not judged: quiet markets do repeat themselves."""
    rows = ordered(frame, context, "close")
    rows = rows[rows["frequency"] == "daily"]
    before = rows.groupby("group")[[*_BAR, "volume", "stamp"]].shift()
    whole = (rows[[*_BAR, "volume"]] == before[[*_BAR, "volume"]]).all(axis=1)
    stood = rows[_BAR].eq(before["close"], axis=0).all(axis=1)
    again = (whole | stood) & (rows["volume"] > 0) & rows["stamp"].ne(before["stamp"])
    said = "contracts traded, and still it is the price of the bar before. The vendor may be stale; the row is kept."
    return found(rows[again & (rows["row"] != WHOLE_SERIES)], context, said, "close")
