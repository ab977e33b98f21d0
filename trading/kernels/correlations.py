"""Exponentially weighted correlations of all pairs, cleaned matrices, and the risk of a portfolio on every session.

Belongs here: the loops. Does not belong here: which dates are refits (`trading/analytics/refits.py`), what a span or a
measure is for (`trading/analytics/pairs.py`, `trading/risk/overlay.py`). Definitions: reference numbers, 9 and 10.

Risk is measured while the matrices are made, one after the other, so that no more than one is in memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

COUNT, WEIGHT, MEAN_A, MEAN_B, SQUARE_A, SQUARE_B, PRODUCT, MOMENTS = 0, 1, 2, 3, 4, 5, 6, 7
SPAN, LEAST, ABSENT, FLOOR, LIMIT, SHRINKAGE = 0, 1, 2, 3, 4, 5  # places in the array of a cleaning


@compiled
def binned_changes(values: Floats, bins: Integers) -> Floats:
    """Change over each bin of the running sum of each column: shape (n_bins, n_columns).

    `values` is (n_rows, n_columns), `bins` the bin of each row, ascending from 0. The sum skips missing values and is
    carried forward; NaN in the first bin, and until there was a value in a bin before.
    """
    rows, columns = values.shape
    count = bins[rows - 1] + 1 if rows else 0
    out = np.full((count, columns), np.nan)
    total = np.full(columns, np.nan)
    before = np.full(columns, np.nan)
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            if value == value:
                total[column] = total[column] + value if total[column] == total[column] else value
        if row == rows - 1 or bins[row + 1] != bins[row]:
            out[bins[row]] = total - before
            before[:] = total
    return out


@compiled
def _observed(moments: Floats, row: Floats, decay: float) -> None:
    """One more row of all pairs: `moments` is (MOMENTS, n, n), its upper triangle in use.

    Only pairs present in the row count it, and only their weights decay. Means and squares move by differences from
    the mean, which loses no digits (West 1979).
    """
    columns = len(row)
    for one in range(columns):
        if not np.isfinite(row[one]):
            continue
        for other in range(one, columns):
            if not np.isfinite(row[other]):
                continue
            weight = moments[WEIGHT, one, other] * decay + 1.0
            share = 1.0 / weight
            rest = 1.0 - share
            off_a = row[one] - moments[MEAN_A, one, other]
            off_b = row[other] - moments[MEAN_B, one, other]
            moments[COUNT, one, other] += 1.0
            moments[WEIGHT, one, other] = weight
            moments[MEAN_A, one, other] += off_a * share
            moments[MEAN_B, one, other] += off_b * share
            moments[SQUARE_A, one, other] = moments[SQUARE_A, one, other] * decay + off_a * off_a * rest
            moments[SQUARE_B, one, other] = moments[SQUARE_B, one, other] * decay + off_b * off_b * rest
            moments[PRODUCT, one, other] = moments[PRODUCT, one, other] * decay + off_a * off_b * rest


@compiled
def _raw(moments: Floats, least: float, matrix: Floats) -> None:
    """Fills the matrix with the raw correlations: NaN before `least` rows, or where a series never moved."""
    columns = len(matrix)
    for one in range(columns):
        for other in range(one, columns):
            found = moments[PRODUCT, one, other] / np.sqrt(
                moments[SQUARE_A, one, other] * moments[SQUARE_B, one, other]
            )
            if moments[COUNT, one, other] < least or not np.isfinite(found):
                found = np.nan
            matrix[one, other] = min(max(found, -1.0), 1.0) if found == found else np.nan
            matrix[other, one] = matrix[one, other]


@compiled
def _mean_off_diagonal(matrix: Floats) -> float:
    """Mean of the present correlations of two different series; NaN without one."""
    total, count = 0.0, 0
    for one in range(len(matrix)):
        for other in range(one + 1, len(matrix)):
            if matrix[one, other] == matrix[one, other]:
                total += matrix[one, other]
                count += 1
    return total / count if count else np.nan


@compiled
def _cleaned(matrix: Floats, seen: Flags, cleaning: Floats) -> None:
    """Replaces what is missing; floors, clips and shrinks. `seen`: which series had data in the window of the fit.

    A missing pair gets the mean of the present ones if both its series had data, else `ABSENT`; all pairs get `ABSENT`
    if there is nothing at all, not even a variance. The mean may itself be missing: then so is the pair.
    """
    columns = len(matrix)
    nothing = True
    for one in range(columns):
        for other in range(one, columns):
            nothing &= matrix[one, other] != matrix[one, other]
    mean = _mean_off_diagonal(matrix)
    for one in range(columns):
        matrix[one, one] = 1.0
        for other in range(one + 1, columns):
            found = matrix[one, other]
            if found != found:
                found = mean if seen[one] and seen[other] and not nothing else cleaning[ABSENT]
            if found == found:
                found = min(max(found, cleaning[FLOOR], -cleaning[LIMIT]), cleaning[LIMIT])
            matrix[one, other] = found
            matrix[other, one] = found
    if cleaning[SHRINKAGE] > 0.0:
        _shrunk(matrix, cleaning[SHRINKAGE])


@compiled
def _shrunk(matrix: Floats, share: float) -> None:
    """Moves correlations a share of the way to their mean."""
    mean = _mean_off_diagonal(matrix)
    for one in range(len(matrix)):
        for other in range(len(matrix)):
            if one != other:
                matrix[one, other] = (1.0 - share) * matrix[one, other] + share * mean


@compiled
def _unknown(matrix: Floats, correlation: float) -> None:
    """The matrix before anything is known: all pairs alike."""
    for one in range(len(matrix)):
        for other in range(len(matrix)):
            matrix[one, other] = 1.0 if one == other else correlation


@compiled
def _refitted(
    moments: Floats, returns: Floats, done: int, count: int, seen: Flags, cleaning: Floats, matrix: Floats
) -> int:
    """Reads rows `done` to `count` and fills the matrix as of then; -1 rows: nothing is known. Returns rows read."""
    if count < 0:
        _unknown(matrix, 0.99)
        return done
    for row in range(done, count):
        _observed(moments, returns[row], 1.0 - 2.0 / (cleaning[SPAN] + 1.0))
    _raw(moments, cleaning[LEAST], matrix)
    _cleaned(matrix, seen, cleaning)
    return count


@compiled
def refitted_matrices(returns: Floats, counts: Integers, seen: Flags, cleaning: Floats) -> Floats:
    """Cleaned correlation matrices, (n_refits, n, n), of the first `counts[k]` rows of `returns` (n_rows, n).

    `counts` ascends; -1 is a refit without data: 0.99 everywhere. `seen` is (n_refits, n): which series had data in
    the window. `cleaning` holds span, least rows, correlation of absent pairs, floor, limit and shrinkage.
    """
    columns = returns.shape[1]
    out = np.empty((len(counts), columns, columns))
    moments = np.zeros((MOMENTS, columns, columns))
    done = 0
    for refit in range(len(counts)):
        done = _refitted(moments, returns, done, counts[refit], seen[refit], cleaning, out[refit])
    return out


@compiled
def raw_matrix(returns: Floats, span: float, least: int) -> Floats:
    """Raw correlations (n, n) of all rows of `returns` (n_rows, n): NaN before `least` rows of a pair."""
    columns = returns.shape[1]
    moments = np.zeros((MOMENTS, columns, columns))
    for row in range(len(returns)):
        _observed(moments, returns[row], 1.0 - 2.0 / (span + 1.0))
    matrix = np.empty((columns, columns))
    _raw(moments, least, matrix)
    return matrix


@compiled
def _counted(matrix: Floats, volatility: Floats, lone: bool, included: Flags) -> None:
    """Which instruments have a risk: those with a volatility, and unless `lone` a covariance with at least two."""
    columns = len(matrix)
    for one in range(columns):
        included[one] = volatility[one] == volatility[one]
        if lone or not included[one]:
            continue
        present = 0
        for other in range(columns):
            if volatility[other] == volatility[other] and matrix[one, other] == matrix[one, other]:
                present += 1
                if present == 2:
                    break
        included[one] = present == 2


@compiled
def _deviation(matrix: Floats, weights: Floats, volatility: Floats, lone: bool, included: Flags) -> float:
    """Standard deviation of a portfolio: sqrt(w' Sigma w). A missing correlation is 0 if `lone`, else risk is 0."""
    columns = len(matrix)
    _counted(matrix, volatility, lone, included)
    variance = 0.0
    for one in range(columns):
        if not included[one] or (lone and weights[one] == 0.0):
            continue
        own = weights[one] * volatility[one]
        variance += own * own
        covariance = 0.0
        for other in range(one + 1, columns):
            if included[other] and (not lone or matrix[one, other] == matrix[one, other]):
                covariance += matrix[one, other] * (weights[other] * volatility[other])
        variance += 2.0 * own * covariance
    return np.sqrt(variance) if variance > 0.0 else 0.0


@compiled
def portfolio_risk(
    exposures: Floats,
    volatility: Floats,
    shocked: Floats,
    returns: Floats,
    counts: Integers,
    seen: Flags,
    refits: Integers,
    cleaning: Floats,
    lone: bool,
) -> Floats:
    """Four measures of each session, (n_sessions, 4): deviation, the same with `shocked`, sum of risks, leverage.

    (n_sessions, n): `exposures` as fractions of capital, NaN none yet, carried forward over rows without a price;
    `volatility` and `shocked` a year, as fractions, NaN not known. `returns`, `counts`, `seen`, `cleaning` as in
    `refitted_matrices`; `refits` (n_sessions,) the refit in force, ascending. `lone`: see `_deviation`.
    """
    sessions, columns = exposures.shape
    out = np.zeros((sessions, 4))
    matrix = np.zeros((columns, columns))
    moments = np.zeros((MOMENTS, columns, columns))
    weights = np.zeros(columns)
    included = np.zeros(columns, dtype=np.bool_)
    done, refit = 0, -1
    for row in range(sessions):
        while refit < refits[row]:
            refit += 1
            done = _refitted(moments, returns, done, counts[refit], seen[refit], cleaning, matrix)
        for column in range(columns):
            if exposures[row, column] == exposures[row, column]:
                weights[column] = exposures[row, column]
            out[row, 3] += abs(weights[column])
            if volatility[row, column] == volatility[row, column]:
                out[row, 2] += abs(weights[column] * volatility[row, column])
        out[row, 0] = _deviation(matrix, weights, volatility[row], lone, included)
        out[row, 1] = _deviation(matrix, weights, shocked[row], lone, included)
    return out
