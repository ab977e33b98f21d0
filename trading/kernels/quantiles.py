"""Rolling quantiles of columns.

Belongs here: quantiles over a moving window. Does not belong here: averages (`averages.py`), or what a quantile is used
for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]


@compiled
def rolling_quantile(values: Floats, window: int, min_periods: int, quantile: float) -> Floats:
    """Quantile of the present values of the last `window` rows, the row itself included, column by column.

    `values` and the result are (n_sessions, n_instruments). Missing rows (NaN) take a place in the window but are not
    counted; NaN until `min_periods` values are present in it. Between two ranks the value is interpolated linearly
    (Hyndman and Fan 1996, type 7; NumPy's `linear`). `quantile` is within 0 and 1, `window` at least 1.

    Each column keeps its window sorted, and a session replaces one value by another: what lies between their places
    moves by one. Columns are the outer loop so that one window stays near the processor.
    """
    n_sessions, n_instruments = values.shape
    result = np.full((n_sessions, n_instruments), np.nan)
    ordered = np.empty(min(window, n_sessions) + 1)
    needed = max(min_periods, 1)
    for column in range(n_instruments):
        count = 0
        for row in range(n_sessions):
            leaving = values[row - window, column] if row >= window else np.nan
            count = _exchanged(ordered, count, leaving, values[row, column])
            if count >= needed:
                result[row, column] = _interpolated(ordered, count, quantile)
    return result


@compiled
def _exchanged(ordered: Floats, count: int, leaving: float, coming: float) -> int:
    """`ordered[:count]` without one value and with another, still sorted; NaN is no value. Returns the new count."""
    if np.isnan(leaving):
        if np.isnan(coming):
            return count
        gap = count
        count += 1
    else:
        gap = np.searchsorted(ordered[:count], leaving)
    if np.isnan(coming):
        place = count - 1
    else:
        place = np.searchsorted(ordered[: count - (gap == count - 1)], coming)
        place -= place > gap
    for moved in range(gap, place):
        ordered[moved] = ordered[moved + 1]
    for moved in range(gap, place, -1):
        ordered[moved] = ordered[moved - 1]
    if np.isnan(coming):
        return count - 1
    ordered[place] = coming
    return count


@compiled
def _interpolated(ordered: Floats, count: int, quantile: float) -> float:
    """The quantile of the sorted `ordered[:count]`."""
    rank = quantile * (count - 1)
    below = int(rank)
    if below + 1 >= count:
        return float(ordered[count - 1])
    return float(ordered[below] + (ordered[below + 1] - ordered[below]) * (rank - below))
