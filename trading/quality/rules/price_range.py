"""Rule: no price is infinite or absurd, and no exchange rate is zero or below."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together

PRICES = ("open", "high", "low", "close", "price", "carry", "forward", "rate")


@rule(
    datasets=(
        "raw_bars",
        "raw_multiple_prices",
        "raw_adjusted_prices",
        "raw_fx_rates",
        "clean_bars",
        "clean_multiple_prices",
        "clean_fx_rates",
        "multiple_prices",
        "daily_prices",
        "fx_rates",
    ),
    any_of=PRICES,
    quarantine=True,
)
def price_range(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Prices are finite and no larger than `max_price_points` of their instrument, a billion as shipped; exchange
    rates are above zero. Zero and negative prices are left
    to the rule price_sign: they can be real."""
    return together(_of_column(frame, context, name) for name in PRICES if name in frame)


def _largest(frame: pd.DataFrame, context: RuleContext) -> pd.Series | float:
    """The setting of each row's instrument; of rates, which have none, what is shipped."""
    if "instrument" not in frame:
        return context.of("").max_price_points
    codes = frame["instrument"]
    return codes.map({code: context.of(str(code)).max_price_points for code in codes.unique()}).astype("float64")


def _of_column(frame: pd.DataFrame, context: RuleContext, name: str) -> pd.DataFrame:
    outside = frame[frame[name].abs() > _largest(frame, context)]
    said = "that is no price. The row is quarantined; ask the vendor for a correction."
    parts = [found(outside, context, said, name)]
    if name == "rate":
        said = "an exchange rate is above zero. The row is quarantined; ask the vendor for a correction."
        parts.append(found(frame[frame[name] <= 0], context, said, name))
    return together(parts)
