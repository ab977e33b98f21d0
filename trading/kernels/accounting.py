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
def net_curves(
    gross: Floats, first: Integers, last: Integers, row_of: Integers, column_of: Integers, amount: Floats, lost: bool
) -> tuple[Floats, Floats]:
    """Curves of gross and of net: gross and the costs that became known since the row before.

    `row_of` ascends: the first row at or after a cost's date. A missing `amount` hides the sum of costs until the next
    one. With `lost` both curves have a lost start, and net has nothing up to the row in which a cost is first known;
    otherwise what is missing counts as nothing and a first row has all costs before it. NaN outside `first` to `last`.
    """
    rows, columns = gross.shape
    curve, net = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    paid, known, seen = np.zeros(columns), np.full(columns, np.nan), np.full(columns, np.nan)
    if not lost:
        known[:] = 0.0
        seen[:] = 0.0
    sums, net_sums = np.zeros(columns), np.zeros(columns)
    started, net_started = np.zeros(columns, dtype=np.bool_), np.zeros(columns, dtype=np.bool_)
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
        for column in range(columns):
            if row < first[column] or row > last[column]:
                continue
            profit = gross[row, column]
            after = profit + (known[column] - seen[column])
            seen[column] = known[column]
            if not lost:
                curve[row, column], net[row, column] = profit, after
                continue
            if profit == profit:
                before = sums[column]
                sums[column] += profit
                if started[column]:
                    curve[row, column] = sums[column] - before
                started[column] = True
            if after == after:
                before = net_sums[column]
                net_sums[column] += after
                if net_started[column]:
                    net[row, column] = net_sums[column] - before
                net_started[column] = True
    return curve, net


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
