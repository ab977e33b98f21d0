"""Rule: exchange rates are quoted at least every ten days."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule, together

MAX_DAYS = 10


@rule(
    datasets=("raw_fx_rates",),
    severity="warning",
    needs=("rate", "stamp"),
    judges_absence=True,
)
def fx_gaps(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No pair goes more than ten days without a quote. The finding is at the quote that ends the gap, or at the last
    session examined while it lasts."""
    rows = ordered(frame, context, "rate")
    days = rows.groupby("group")["stamp"].diff().dt.days
    ended = rows[(days > MAX_DAYS) & (rows["row"] != WHOLE_SERIES)]
    newest = rows[~rows.duplicated("group", keep="last")]
    silent = newest[(pd.Timestamp(context.last) - newest["stamp"]).dt.days > MAX_DAYS]
    lasting = silent.assign(row=WHOLE_SERIES, session=pd.Timestamp(context.last))
    said = "no quote for more than ten days {} this one. Values use the last rate before it; load the missing days."
    return together(
        (
            found(ended, context, said.format("before"), "stamp"),
            found(lasting, context, said.format("since"), "stamp"),
        )
    )
