"""Rule: the high of a bar is its highest price, and the low its lowest."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together

_BAR = ["open", "high", "low", "close"]


@rule(datasets=("raw_bars", "clean_bars"), needs=("open", "high", "low", "close"), quarantine=True)
def ohlc(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """high >= open, close, low and low <= open, close. A bar that lacks some of the four is judged by the others."""
    high = frame["high"] < frame[_BAR].max(axis=1)
    low = ~high & (frame["low"] > frame[_BAR].min(axis=1))
    said = "another price of the bar is {}. The row is quarantined; ask the vendor for a corrected bar."
    return together(
        (
            found(frame[high], context, said.format("higher"), "high"),
            found(frame[low], context, said.format("lower"), "low"),
        )
    )
