"""Rolling windows over arrays of shape `(n_sessions, n_instruments)`; NaN is a missing row, and rows are counted, not
values. Does not belong here: exponential weights (`averages.py`), quantiles (`quantiles.py`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]


@compiled
def rolling_deviation(values: Floats, window: int, min_periods: int) -> Floats:
    """Standard deviation (n - 1) of the values present in the last `window` rows; NaN with fewer than `min_periods`.

    Two passes over each window: slower than running sums, and free of their cancellation.
    """
    rows, columns = values.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for row in range(rows):
            first = max(0, row - window + 1)
            count, total = 0, 0.0
            for i in range(first, row + 1):
                value = values[i, column]
                if value == value:
                    count += 1
                    total += value
            if count >= max(min_periods, 2):
                mean, squares = total / count, 0.0
                for i in range(first, row + 1):
                    value = values[i, column]
                    if value == value:
                        squares += (value - mean) * (value - mean)
                out[row, column] = np.sqrt(squares / (count - 1))
    return out


@compiled
def rolling_range(values: Floats, window: int, min_periods: int) -> tuple[Floats, Floats]:
    """Smallest and largest of the values present in the last `window` rows; NaN with fewer than `min_periods`.

    Monotonic queues: each value enters and leaves once (Lemire 2006).
    """
    rows, columns = values.shape
    low, high = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    up, down = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
    for column in range(columns):
        up_head = up_tail = down_head = down_tail = 0
        count = 0
        for row in range(rows):
            value = values[row, column]
            leaving = row - window
            if leaving >= 0 and values[leaving, column] == values[leaving, column]:
                count -= 1
            if up_head < up_tail and up[up_head] <= leaving:
                up_head += 1
            if down_head < down_tail and down[down_head] <= leaving:
                down_head += 1
            if value == value:
                count += 1
                while up_head < up_tail and values[up[up_tail - 1], column] >= value:
                    up_tail -= 1
                up[up_tail] = row
                up_tail += 1
                while down_head < down_tail and values[down[down_tail - 1], column] <= value:
                    down_tail -= 1
                down[down_tail] = row
                down_tail += 1
            if count >= max(min_periods, 1):
                low[row, column] = values[up[up_head], column]
                high[row, column] = values[down[down_head], column]
    return low, high


@compiled
def running_deviation(values: Floats, window: int, min_periods: int) -> Floats:
    """As `rolling_deviation`, for long windows: one value enters and one leaves the running mean and squares a row
    (Welford 1962, with removal)."""
    rows, columns = values.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        count, mean, squares = 0, 0.0, 0.0
        for row in range(rows):
            value = values[row, column]
            if value == value:
                count += 1
                off = value - mean
                mean += off / count
                squares += off * (value - mean)
            if row >= window:
                gone = values[row - window, column]
                if gone == gone:
                    count -= 1
                    off = gone - mean
                    mean = mean - off / count if count > 0 else 0.0
                    squares = max(0.0, squares - off * (gone - mean)) if count > 0 else 0.0
            if count >= max(min_periods, 2):
                out[row, column] = np.sqrt(squares / (count - 1))
    return out
