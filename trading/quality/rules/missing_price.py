"""Rule: a delivered row has a price."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule, series_text

_PRICE_COLUMNS = ("close", "price", "rate")


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_fx_rates"),
    severity="warning",
    any_of=_PRICE_COLUMNS,
)
def missing_price(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """A delivered row has a price. Missing is not zero: it counts as no price. One finding a series and session."""
    return findings(found for name in _PRICE_COLUMNS if name in frame for found in _of_column(frame, context, name))


def _of_column(frame: pd.DataFrame, context: RuleContext, name: str) -> Iterator[dict[str, object]]:
    rows = frame[["session"]].assign(series=series_text(frame, context.dataset), missing=frame[name].isna())
    counts = rows.groupby(["series", "session"])["missing"].agg(["sum", "count"]).reset_index()
    for series, session, missing, count in counts[counts["sum"] > 0].itertuples(index=False):
        said = f"{missing} of {count} rows have no {name}. Nothing to do if the vendor delivers it later."
        yield finding(series, session, said, column=name, value=missing)
