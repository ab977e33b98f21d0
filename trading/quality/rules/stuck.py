"""Rule: a price that repeats for days while the market is open is looked at.

The last row of a session is left out where the session has others: a vendor's settlement row can move while its
intraday feed is stuck. Exchange rates are not judged: a peg repeats for years.
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule, together

MIN_ROWS, MIN_SESSIONS = 30, 5
_PRICES = ("close", "price")


@rule(datasets=("raw_bars", "raw_multiple_prices"), severity="warning", any_of=_PRICES)
def stuck(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No price repeats over 30 rows or more and 5 sessions or more. Every row of the run within the sessions examined
    is found."""
    return together(_of_column(frame, context, name) for name in _PRICES if name in frame)


def _of_column(frame: pd.DataFrame, context: RuleContext, name: str) -> pd.DataFrame:
    rows = ordered(frame, context)
    same_day = rows.groupby(["group", "session"], sort=False)["row"]
    settlement = ~rows.duplicated(["group", "session"], keep="last") & (same_day.transform("size") > 1)
    rows = rows[~settlement & rows[name].notna()]
    changed = rows[name].ne(rows[name].shift()) | rows["group"].ne(rows["group"].shift())
    run = changed.cumsum()
    days = rows["session"].ne(rows["session"].shift()).groupby(run).sum() + 1
    long = (run.map(run.value_counts()) >= MIN_ROWS) & (run.map(days) >= MIN_SESSIONS)
    said = "the price repeats for days. The feed may be stuck: compare with the exchange and load a correction."
    return found(rows[long & (rows["row"] != WHOLE_SERIES)], context, said, name)
