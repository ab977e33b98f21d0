"""Rule: a held contract at zero or below is looked at, unless its market is known to go there."""

from __future__ import annotations

import pandas as pd

from trading.market.instruments import Instrument
from trading.quality.rule import RuleContext, found, rule, together

# Energy has settled below zero (crude oil, April 2020; gas and power often); spreads and volatility differences do.
_MAY_BE_NEGATIVE = ("energ", "oil", "gas", "power", "spread")


def may_be_negative(instrument: Instrument) -> bool:
    """Whether prices at zero and below are ordinary for an instrument's market."""
    words = f"{instrument.asset_class} {instrument.sector}".lower()
    return any(word in words for word in _MAY_BE_NEGATIVE)


@rule(datasets=("raw_bars", "raw_multiple_prices"), severity="warning", any_of=("close", "price"))
def price_sign(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Unadjusted prices are above zero, except in markets that are known to trade below. Back-adjusted prices are not
    judged: adjustment alone takes them below zero."""
    ordinary = {code for code, held in context.instruments.items() if not may_be_negative(held)}
    rows = frame[frame["instrument"].isin(ordinary)]
    said = "this market is not known to trade at or below zero. Compare with the exchange; the row is kept."
    names = [name for name in ("close", "price") if name in rows]
    return together(found(rows[rows[name] <= 0], context, said, name) for name in names)
