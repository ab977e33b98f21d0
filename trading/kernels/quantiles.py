"""Rolling quantiles of columns, and medians of rows.

Belongs here: ranks. Does not belong here: averages (`averages.py`), or what a quantile is used
for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def rolling_quantile(values: Floats, window: int, min_periods: int, quantile: float) -> Floats:
    """Quantile of the present values of the last `window` rows, the row itself included, column by column.

    `values` and the result are (n_sessions, n_instruments). Missing rows (NaN) take a place in the window but are not
    counted; NaN until `min_periods` values are present in it. Between two ranks the value is interpolated linearly
    (Hyndman and Fan 1996, type 7; NumPy's `linear`). `quantile` is within 0 and 1, `window` at least 1.
    """
    result = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        one = np.ascontiguousarray(values[:, column])
        result[:, column] = _rolling(one, np.argsort(one), window, max(min_periods, 1), quantile)
    return result


@compiled
def _rolling(values: Floats, order: Integers, window: int, min_periods: int, quantile: float) -> Floats:
    """The same for one series of shape (n_sessions,), with the rows in order of value, missing last.

    Ranks are known beforehand, so the window is a set of flags by rank, and the quantile a place among them that moves
    by a flag or so from row to row: no sorting, and a time that hardly depends on the window.
    """
    rows = len(values)
    ranks = np.empty(rows, dtype=np.int64)
    ranks[order] = np.arange(rows)
    inside = np.zeros(rows, dtype=np.bool_)
    result = np.full(rows, np.nan)
    count, below, place = 0, 0, 0
    for row in range(rows):
        if row >= window and not np.isnan(values[row - window]):
            inside[ranks[row - window]] = False
            count -= 1
            below -= ranks[row - window] < place
        if not np.isnan(values[row]):
            inside[ranks[row]] = True
            count += 1
            below += ranks[row] < place
        if count >= min_periods:
            exact = quantile * (count - 1)
            place, below = _moved(inside, place, below, int(exact))
            result[row] = _interpolated(values, order, inside, place, exact - int(exact))
    return result


@compiled
def _moved(inside: Flags, place: int, below: int, wanted: int) -> tuple[int, int]:
    """The rank whose flag has `wanted` flags below it, from a rank that has `below` of them, and that number."""
    while below > wanted:
        place -= 1
        below -= inside[place]
    while below < wanted or not inside[place]:
        below += inside[place]
        place += 1
    return place, below


@compiled
def _interpolated(values: Floats, order: Integers, inside: Flags, place: int, share: float) -> float:
    """The value at a rank, moved by a share of the way to the next flagged one."""
    low = values[order[place]]
    if share == 0.0:
        return float(low)
    above = place + 1
    while not inside[above]:
        above += 1
    return float(low + (values[order[above]] - low) * share)


@compiled
def row_medians(values: Floats) -> Floats:
    """Median of the present values of each row, shape (n_sessions,), of `values` (n_sessions, n_columns); NaN without
    one. Of an even number the mean of the middle two."""
    rows, columns = values.shape
    out = np.full(rows, np.nan)
    ordered = np.empty(columns)
    for row in range(rows):
        count = 0
        for column in range(columns):
            value = values[row, column]
            if value != value:
                continue
            place = count
            while place > 0 and ordered[place - 1] > value:
                ordered[place] = ordered[place - 1]
                place -= 1
            ordered[place] = value
            count += 1
        if count:
            out[row] = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0
    return out
