"""Rule: what a vendor delivered once, it still delivers."""

from __future__ import annotations

import pandas as pd

from trading.market.arrivals import value_names
from trading.quality.rule import RuleContext, found, rule

_SAID = (
    "the vendor delivers this row no longer, or without a value, so it is not used since known_at. If that is a "
    "mistake of the vendor's, have the row put back and load its sessions again."
)


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates"),
    severity="warning",
    needs=("known_at", "loaded_at"),
)
def withdrawn(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No row was taken back: stored, and missing from a later delivery of the times around it. Such a row is kept raw
    and a row without values follows it, known from the load that missed it; clean has neither."""
    names = [name for name in value_names(context.dataset) if name in frame]
    taken_back = frame[names].isna().all(axis=1) & (frame["known_at"] == frame["loaded_at"])
    return found(frame[taken_back], context, _SAID, "known_at")
