"""From decided positions to contracts held, to fills, and to what surrounds the cost of a fill.

Belongs here: loops over sessions of arrays of shape `(n_sessions, n_instruments)`, NaN a missing row. Does not belong
here: what a fill costs (`trading/backtest/costs.py`), or money (`accounting.py`). Definitions: reference numbers,
sections 12 and 13.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SMALL = 16  # parts of a list of up to this many are sorted by insertion


@compiled
def held_contracts(positions: Floats, price: Floats, waits: bool, whole: bool) -> Floats:
    """Contracts held after each session's fills, given those decided with each close.

    With `waits` the last decision is filled in the next row that has a price, starting from nothing; no NaN. Otherwise
    in the next row of the instrument whatever happens there: NaN in its first row and where `positions` is NaN. `whole`
    rounds half to even.
    """
    rows, columns = positions.shape
    out = np.full((rows, columns), np.nan)
    held, wanted = np.zeros(columns), np.full(columns, 0.0 if waits else np.nan)
    for row in range(rows):
        for column in range(columns):
            decided = positions[row, column]
            if waits:
                if price[row, column] == price[row, column]:
                    held[column] = wanted[column]
                out[row, column] = held[column]
            elif decided == decided:
                out[row, column] = wanted[column]
            if decided == decided:
                wanted[column] = (np.rint(decided) if whole else decided) + 0.0
    return out


@compiled
def trades(held: Floats, start: float, rolls: Floats) -> tuple[Integers, Integers, Floats, Floats]:
    """Fills in order of sessions: row, column, contracts (signed) and how often that fill is paid.

    A change of `held` is paid once; the first row changes from `start` (NaN: it is no fill). What was held before a row
    with rolls is paid twice for each roll: both legs. `rolls` may have no rows: then they cost nothing here.
    """
    rows, columns = held.shape
    size = 2 * rows * columns
    row_of, column_of = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    contracts, times = np.empty(size), np.empty(size)
    before = np.full(columns, start)
    count, rolling = 0, rolls.shape[0] > 0
    for row in range(rows):
        for column in range(columns):
            change = held[row, column] - before[column]
            if rolling and rolls[row, column] > 0.0 and abs(before[column]) > 0.0:
                row_of[count], column_of[count] = row, column
                contracts[count], times[count] = before[column], 2.0 * rolls[row, column]
                count += 1
            if abs(change) > 0.0:
                row_of[count], column_of[count] = row, column
                contracts[count], times[count] = change, 1.0
                count += 1
            before[column] = held[row, column]
    return row_of[:count].copy(), column_of[:count].copy(), contracts[:count].copy(), times[:count].copy()


@compiled
def average_held(held: Floats, row_of: Integers, column_of: Integers, again: Flags) -> Floats:
    """Mean absolute contracts between one date of an instrument and its next, both included; 0 where there are none.

    Dates ascend: `row_of` is the last row at or before each (-1: none), `again` whether that row is the date itself and
    so counts for the next one too.
    """
    rows, columns = held.shape
    out = np.zeros(len(row_of))
    total, count = np.zeros(columns), np.zeros(columns)
    place = 0
    while place < len(row_of) and row_of[place] < 0:
        place += 1
    for row in range(rows):
        for column in range(columns):
            size = abs(held[row, column])
            if size == size:
                total[column] += size
                count[column] += 1.0
        while place < len(row_of) and row_of[place] == row:
            column = column_of[place]
            out[place] = total[column] / count[column] if count[column] > 0.0 else 0.0
            size = abs(held[row, column])
            counts = again[place] and size == size
            total[column] = size if counts else 0.0
            count[column] = 1.0 if counts else 0.0
            place += 1
    return out


@compiled
def carried(values: Floats, column_of: Integers, columns: int) -> Floats:
    """Each value, or the last one of its column where it is missing; in the order given."""
    out = np.empty(len(values))
    last = np.full(columns, np.nan)
    for place in range(len(values)):
        if values[place] == values[place]:
            last[column_of[place]] = values[place]
        out[place] = last[column_of[place]]
    return out


@compiled
def deflators(price: Floats, first: Integers, last: Integers, window: int, min_periods: int) -> Floats:
    """Deviation of price changes over the last `window` rows, against its last value; NaN outside `first` to `last`.

    Changes of the price carried forward, n - 1, carried forward. Running sums, begun anew each `window` rows.
    """
    rows, columns = price.shape
    out = np.full((rows, columns), np.nan)
    change = np.empty(rows)
    for column in range(columns):
        count, mean, squares, latest = 0, 0.0, 0.0, np.nan
        before = np.nan
        for row in range(first[column], last[column] + 1):
            now = price[row, column] if price[row, column] == price[row, column] else before
            move = now - before
            before = now
            if move == move:
                change[count] = move
                count += 1
                size = min(count, window)
                if count <= window:
                    off = move - mean
                    mean += off / count
                    squares += off * (move - mean)
                elif count % window == 0:
                    mean = change[count - window : count].mean()
                    squares = ((change[count - window : count] - mean) ** 2).sum()
                else:
                    gone = change[count - window - 1]
                    old = mean
                    mean += (move - gone) / window
                    squares += (move - gone) * (move - mean + gone - old)
                if size >= min_periods:
                    latest = np.sqrt(max(squares, 0.0) / (size - 1))
            out[row, column] = latest
        for row in range(first[column], last[column] + 1):
            out[row, column] /= latest
    return out


@compiled
def relative_turnover(positions: Floats, average: Floats, decay: float) -> Floats:
    """Mean absolute change of a position from row to row, as a share of the average position's exponential mean.

    Rows are those where `positions` is present; `average` may be missing, and its mean is then repeated. Shape
    `(n_instruments,)`; NaN where no change is known.
    """
    rows, columns = positions.shape
    total, count = np.zeros(columns), np.zeros(columns)
    mean, weight = np.full(columns, np.nan), np.zeros(columns)
    before = np.full(columns, np.nan)
    for row in range(rows):
        for column in range(columns):
            if positions[row, column] != positions[row, column]:
                continue
            kept = weight[column] * decay
            size = average[row, column]
            if size == size:
                old = mean[column] if kept > 0.0 else 0.0
                mean[column] = (kept * old + size) / (kept + 1.0)
                kept += 1.0
            weight[column] = kept
            share = positions[row, column] / mean[column]
            change = abs(share - before[column])
            if change == change:
                total[column] += change
                count[column] += 1.0
            before[column] = share
    return total / count


@compiled
def unstable_order(keys: Integers) -> Integers:
    """Order that sorts `keys` as numpy's scalar introsort leaves it, in which equal keys may change places.

    Quicksort of the shorter part first, insertion in parts of up to `SMALL`, heapsort of parts that were divided too
    often (Sedgewick 1978; Musser 1997). The reference keeps one of several costs of a date by this order.
    """
    order = np.arange(len(keys))
    starts, ends, depths = np.empty(128, dtype=np.int64), np.empty(128, dtype=np.int64), np.empty(128, dtype=np.int64)
    left, right, waiting, depth = 0, len(keys) - 1, 0, 0
    while (2 << (depth // 2)) <= len(keys):
        depth += 2
    while True:
        if depth < 0:
            _heap_sorted(keys, order[left : right + 1])
        else:
            while right - left >= SMALL:
                middle = _divided(keys, order, left, right)
                depth -= 1
                longer_is_right = middle - left < right - middle
                starts[waiting] = middle + 1 if longer_is_right else left
                ends[waiting] = right if longer_is_right else middle - 1
                depths[waiting] = depth
                left, right = (left, middle - 1) if longer_is_right else (middle + 1, right)
                waiting += 1
            _inserted(keys, order, left, right)
        if waiting == 0:
            return order
        waiting -= 1
        left, right, depth = starts[waiting], ends[waiting], depths[waiting]


@compiled
def _divided(keys: Integers, order: Integers, left: int, right: int) -> int:
    """Where the median of the first, middle and last key is after all smaller ones came before it."""
    middle = left + ((right - left) >> 1)
    for low, high in ((left, middle), (middle, right), (left, middle)):
        if keys[order[high]] < keys[order[low]]:
            order[low], order[high] = order[high], order[low]
    pivot = keys[order[middle]]
    i, j = left, right - 1
    order[middle], order[j] = order[j], order[middle]
    while True:
        i += 1
        while keys[order[i]] < pivot:
            i += 1
        j -= 1
        while pivot < keys[order[j]]:
            j -= 1
        if i >= j:
            break
        order[i], order[j] = order[j], order[i]
    order[i], order[right - 1] = order[right - 1], order[i]
    return i


@compiled
def _inserted(keys: Integers, order: Integers, left: int, right: int) -> None:
    """Sorts a short part by insertion."""
    for place in range(left + 1, right + 1):
        moving, hole = order[place], place
        while hole > left and keys[moving] < keys[order[hole - 1]]:
            order[hole] = order[hole - 1]
            hole -= 1
        order[hole] = moving


@compiled
def _heap_sorted(keys: Integers, part: Integers) -> None:
    """Sorts a part as a heap."""
    for root in range(len(part) // 2, 0, -1):
        _sifted(keys, part, root, len(part), part[root - 1])
    for size in range(len(part) - 1, 0, -1):
        moving = part[size]
        part[size] = part[0]
        _sifted(keys, part, 1, size, moving)


@compiled
def _sifted(keys: Integers, part: Integers, root: int, size: int, moving: int) -> None:
    """Puts `moving` at `root`, counted from one, or below it, so that the heap of `size` is one again."""
    child = 2 * root
    while child <= size:
        if child < size and keys[part[child - 1]] < keys[part[child]]:
            child += 1
        if keys[moving] >= keys[part[child - 1]]:
            break
        part[root - 1] = part[child - 1]
        root, child = child, 2 * child
    part[root - 1] = moving
