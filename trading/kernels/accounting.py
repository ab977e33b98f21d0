"""Gross, costs and net as curves: sums over sessions that say where nothing is known yet.

Belongs here: loops over sessions of arrays of shape `(n_sessions, n_instruments)`, NaN a missing row. Does not belong
here: which contracts were held (`fills.py`), or what anything means (`trading/backtest/accounts.py`). Definitions:
reference numbers, sections 12 to 14.

A *curve with a lost start* is the difference of a running sum from one known value to the next, so its first value is
missing, and so is every value that the sum does not have.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@compiled
def earned(held: Floats, unit: Floats, first: Integers, last: Integers) -> tuple[Floats, Floats]:
    """Profit of each session by instrument, and in all, of what was held after the session before.

    `unit` is the profit of one contract. By instrument: NaN outside `first` to `last` and where `unit` is missing. In
    all, shape `(n_sessions,)`: missing counts as nothing, NaN where no instrument has a row.
    """
    rows, columns = held.shape
    out, total = np.full((rows, columns), np.nan), np.full(rows, np.nan)
    before = np.zeros(columns)
    for row in range(rows):
        everything, known = 0.0, False
        for column in range(columns):
            if first[column] <= row <= last[column]:
                known = True
                profit = before[column] * unit[row, column]
                out[row, column] = profit
                if profit == profit:
                    everything += profit
            if held[row, column] == held[row, column]:
                before[column] = held[row, column]
        if known:
            total[row] = everything
    return out, total


@compiled
def costs_known(
    rows: int, first: Integers, last: Integers, row_of: Integers, column_of: Integers, amount: Floats, lost: bool
) -> Floats:
    """Costs that became known since the row before, shape `(rows, len(first))`; NaN outside `first` to `last`.

    `row_of` ascends: the first row at or after a cost's date. With `lost` nothing is known up to the row in which the
    sum of costs first is, and a missing `amount` hides it until the next one; otherwise what is missing counts as
    nothing, and a first row has all costs before it.
    """
    out = np.full((rows, len(first)), np.nan)
    unknown = np.nan if lost else 0.0
    paid, known, seen = np.zeros(len(first)), np.full(len(first), unknown), np.full(len(first), unknown)
    place = 0
    for row in range(rows):
        while place < len(row_of) and row_of[place] <= row:
            column = column_of[place]
            if amount[place] == amount[place]:
                paid[column] += amount[place]
                known[column] = paid[column]
            elif lost:
                known[column] = np.nan
            place += 1
        for column in range(len(first)):
            if first[column] <= row <= last[column]:
                out[row, column] = known[column] - seen[column]
                seen[column] = known[column]
    return out


@compiled
def lost_start(values: Floats) -> Floats:
    """Curve with a lost start of the values of each column."""
    rows, columns = values.shape
    out = np.full((rows, columns), np.nan)
    sums, before = np.zeros(columns), np.full(columns, np.nan)
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            if value == value:
                sums[column] += value
                out[row, column] = sums[column] - before[column]
                before[column] = sums[column]
    return out


@compiled
def dated_curve(bin_of: Integers, column_of: Integers, amount: Floats, bins: int, columns: int, lost: bool) -> Floats:
    """Curve of dated amounts, shape `(bins, columns)`; `bin_of` ascends.

    With `lost` it has a lost start and is NaN in a bin without a known amount; otherwise such a bin is zero.
    """
    out = np.full((bins, columns), np.nan if lost else 0.0)
    sums, before = np.zeros(columns), np.full(columns, np.nan)
    for place in range(len(bin_of)):
        bin_, column, value = bin_of[place], column_of[place], amount[place]
        if value != value:
            continue
        if not lost:
            out[bin_, column] += value
            continue
        sums[column] += value
        out[bin_, column] = sums[column]
    if not lost:
        return out
    for bin_ in range(bins):
        for column in range(columns):
            value = out[bin_, column]
            if value == value:
                out[bin_, column] = value - before[column]
                before[column] = value
    return out
