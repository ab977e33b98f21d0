"""Exponentially weighted averages and deviations, and carrying values forward.

Belongs here: loops over sessions of arrays of shape `(n_sessions, n_instruments)`, NaN a missing row. Does not belong
here: which span means what (`trading/analytics`, `trading/strategies`). Definitions: reference numbers, section 0.

`decay` is the share a weight keeps from one row to the next: 1 - 2/(span+1), or 1 - 1/(centre of mass+1). Missing rows
decay weights too, so a value is repeated over them; nothing before a column's first value. The mean of a value and the
same again is that value exactly: a price that never moves has a crossover of 0, not of rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]


def of_span(span: float) -> float:
    """Decay of a span: 1 - 2 / (span + 1)."""
    return 1.0 - 2.0 / (span + 1.0)


def of_centre(centre_of_mass: float) -> float:
    """Decay of a centre of mass: 1 - 1 / (centre of mass + 1)."""
    return 1.0 - 1.0 / (centre_of_mass + 1.0)


@compiled
def averaged(values: Floats, decay: float) -> Floats:
    """Exponentially weighted mean of each column."""
    rows, columns = values.shape
    out = np.empty((rows, columns))
    mean = np.full(columns, np.nan)
    weight = np.zeros(columns)
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            kept = weight[column] * decay
            if value == value:
                if mean[column] != value:
                    before = mean[column] if kept > 0.0 else 0.0
                    mean[column] = (kept * before + value) / (kept + 1.0)
                kept += 1.0
            weight[column] = kept
            out[row, column] = mean[column]
    return out


@compiled
def crossover(prices: Floats, scale: Floats, fast: float, slow: float) -> Floats:
    """Exponential mean of decay `fast` less the one of decay `slow`, divided by `scale`; one pass over the rows."""
    rows, columns = prices.shape
    out = np.empty((rows, columns))
    quick = np.full(columns, np.nan)
    calm = np.full(columns, np.nan)
    quick_weight = np.zeros(columns)
    calm_weight = np.zeros(columns)
    for row in range(rows):
        for column in range(columns):
            price = prices[row, column]
            quick_kept = quick_weight[column] * fast
            calm_kept = calm_weight[column] * slow
            if price == price:
                if quick[column] != price:
                    before = quick[column] if quick_kept > 0.0 else 0.0
                    quick[column] = (quick_kept * before + price) / (quick_kept + 1.0)
                if calm[column] != price:
                    before = calm[column] if calm_kept > 0.0 else 0.0
                    calm[column] = (calm_kept * before + price) / (calm_kept + 1.0)
                quick_kept += 1.0
                calm_kept += 1.0
            quick_weight[column] = quick_kept
            calm_weight[column] = calm_kept
            out[row, column] = (quick[column] - calm[column]) / scale[row, column]
    return out


@compiled
def deviation(values: Floats, decay: float, min_periods: int) -> Floats:
    """Exponentially weighted standard deviation of each column around its own mean, unbiased (v W² / (W² - Σw²)).

    NaN until `min_periods` values are present; repeated on missing rows.
    """
    rows, columns = values.shape
    out = np.empty((rows, columns))
    last = np.full(columns, np.nan)
    mean, variance, weight = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    total, squares = np.zeros(columns), np.zeros(columns)
    count = np.zeros(columns, dtype=np.int64)
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            kept = weight[column] * decay
            total[column] *= decay
            squares[column] *= decay * decay
            if value == value:
                old = mean[column]
                new = (kept * old + value) / (kept + 1.0)
                off, shift = value - new, old - new
                variance[column] = (kept * (variance[column] + shift * shift) + off * off) / (kept + 1.0)
                mean[column] = new
                kept += 1.0
                total[column] += 1.0
                squares[column] += 1.0
                count[column] += 1
                square = total[column] * total[column]
                if count[column] >= min_periods and square > squares[column]:
                    last[column] = np.sqrt(variance[column] * square / (square - squares[column]))
            weight[column] = kept
            out[row, column] = last[column]
    return out


@compiled
def filled(values: Floats) -> Floats:
    """Each column with its last value carried forward over missing rows."""
    rows, columns = values.shape
    out = np.empty((rows, columns))
    last = np.full(columns, np.nan)
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            if value == value:
                last[column] = value
            out[row, column] = last[column]
    return out


@compiled
def changes(prices: Floats, over_gaps: bool) -> Floats:
    """Change of each column from the row before; with `over_gaps` from the last row that had a value.

    NaN where there is no value, none before it, or (without `over_gaps`) the row before has none.
    """
    rows, columns = prices.shape
    out = np.empty((rows, columns))
    last = np.full(columns, np.nan)
    for row in range(rows):
        for column in range(columns):
            price = prices[row, column]
            out[row, column] = price - last[column]
            if price == price or not over_gaps:
                last[column] = price
    return out
