"""Rule: a delivered row has a price."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together

_PRICE_COLUMNS = ("close", "price", "rate")


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_fx_rates"),
    severity="warning",
    any_of=_PRICE_COLUMNS,
)
def missing_price(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """A delivered row has a price. Missing is not zero: the row is left out of the clean data."""
    said = "the row has no price and is left out. Nothing to do if the vendor delivers it later."
    names = [name for name in _PRICE_COLUMNS if name in frame]
    return together(found(frame[frame[name].isna()], context, said, name) for name in names)
