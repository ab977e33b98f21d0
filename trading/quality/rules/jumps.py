"""Rule: the newest price of a series is not far from the one before it.

The rule on spikes waits for the price to come back. At the close nobody can wait: whether the newest price is a spike
or a real jump is not known yet, so a person looks.
"""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule, together
from trading.quality.rules.spikes import limits_of, steps, usual_steps

_PRICES = ("close", "price", "rate")


@rule(datasets=("raw_bars", "raw_multiple_prices", "raw_fx_rates"), severity="warning", any_of=_PRICES)
def jumps(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The last price of each series is within `max_spike` times the usual change of the price before it, 20 as shipped.
    A jump may be real: the row is kept, and it is asked about once, while it is the newest."""
    return together(_of_column(frame, context, name) for name in _PRICES if name in frame)


def _of_column(frame: pd.DataFrame, context: RuleContext, name: str) -> pd.DataFrame:
    rows = ordered(frame, context, name)
    step = steps(rows, name)
    ordinary = usual_steps(rows, step)
    newest = ~rows.duplicated("group", keep="last") & (rows["row"] != WHOLE_SERIES)
    far = newest & (step.abs() > limits_of(rows, context) * ordinary) & (ordinary > 0)
    said = "it is far from the price before it. If the exchange has another price, load the correction; it is kept."
    return found(rows[far], context, said, name)
