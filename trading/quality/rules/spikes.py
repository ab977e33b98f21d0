"""Rule: prices that jump away and come back at once are looked at.

A jump counts when it and its return are both larger than `max_spike` (20 where nothing else is set for the instrument)
times the usual change: the median absolute change of
the last 101 rows, but not less than 0.3 times the median of the changes that are not zero among the last 250 rows (so
that a quiet night does not make every tick a spike). A jump that stays, such as the end of a currency peg or a
negative settlement that trades on from there, does not reverse and is never found.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.quality.rule import WHOLE_SERIES, RuleContext, found, ordered, rule, together

_RECENT, _LONGER, _ENOUGH, _FLOOR = 101, 250, 20, 0.3
_PRICES = ("close", "price", "rate")
_RATE_LIMIT_FRACTION = 0.03


def usual(step: pd.Series) -> pd.Series:
    """The usual absolute step before each value of one series; NaN until 20 steps are known."""
    changes = step.abs()
    recent = changes.rolling(_RECENT, min_periods=_ENOUGH).median()
    floor = changes.where(changes > 0).rolling(_LONGER, min_periods=_ENOUGH).median() * _FLOOR
    return pd.concat([recent, floor], axis=1).max(axis=1).shift(1)


def steps(rows: pd.DataFrame, name: str) -> pd.Series:
    """The change of a column from row to row of `ordered` rows: NaN at the first row of a series, and where a roll
    changes the contract, since that step is the calendar spread and not a move."""
    step = rows[name].diff().mask(rows["group"].ne(rows["group"].shift()))
    if "price_contract" in rows:
        step = step.mask(rows["price_contract"].ne(rows["price_contract"].shift()))
    return step


def usual_steps(rows: pd.DataFrame, step: pd.Series) -> pd.Series:
    """`usual` of each series of `ordered` rows."""
    parts = [usual(step[place]) for place in rows.groupby("group").groups.values()]
    return pd.concat(parts).sort_index() if parts else step


def _undone(step: pd.Series) -> pd.Series:
    """The smaller of the step to a value and from it, where they undo each other to more than half; 0 elsewhere."""
    after = step.shift(-1)
    undone = (np.sign(step) * np.sign(after) < 0) & ((step + after).abs() < 0.5 * step.abs())
    return pd.concat([step.abs(), after.abs()], axis=1).min(axis=1).where(undone & after.notna(), 0.0)


@rule(
    datasets=("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates"),
    severity="warning",
    any_of=_PRICES,
)
def spikes(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No price jumps away by more than `max_spike` times the usual change, 20 as shipped (exchange rates: also 3 %),
    and comes back with the next row. The finding belongs to the session whose row came back."""
    return together(_of_column(frame, context, name) for name in _PRICES if name in frame)


def limits_of(rows: pd.DataFrame, context: RuleContext) -> pd.Series | float:
    """The setting of each row's instrument; of rates, which have none, what is shipped."""
    if "instrument" not in rows:
        return context.of("").max_spike
    codes = rows["instrument"]
    return codes.map({code: context.of(str(code)).max_spike for code in codes.unique()}).astype("float64")


def _of_column(frame: pd.DataFrame, context: RuleContext, name: str) -> pd.DataFrame:
    rows = ordered(frame, context, name)
    step = steps(rows, name)
    size, ordinary = _undone(step), usual_steps(rows, step)
    spiky = (size > limits_of(rows, context) * ordinary) & (ordinary > 0)
    if name == "rate":
        spiky |= (size > 0) & (size > _RATE_LIMIT_FRACTION * rows[name].abs())
    revealed = spiky & (rows["row"].shift(-1) != WHOLE_SERIES)
    said = "it jumps and comes back with the next row. Compare with the exchange and load a correction; it is kept."
    return found(rows.assign(session=rows["session"].shift(-1))[revealed], context, said, name)
