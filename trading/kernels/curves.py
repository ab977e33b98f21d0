"""Figures of one curve of returns, in machine code.

Belongs here: loops over the rows of a curve. Does not belong here: names and years
(`trading/analytics/performance.py`).

A curve is `(n_rows,)`, float64, in any unit; NaN is a row without a result.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ENOUGH_STEPS = 10_000  # of the continued fraction; it takes about the root of the degrees of freedom
SMALL = 1e-300


@compiled
def weekdays_in_a_row(days: Integers) -> bool:
    """Whether days since 1 January 1970, a Thursday, are Mondays to Fridays without a gap."""
    for row in range(len(days)):
        weekday = (days[row] + 3) % 7
        if weekday > 4:
            return False
        if row > 0 and days[row] - days[row - 1] != (3 if weekday == 0 else 1):
            return False
    return True


@compiled
def binned(values: Floats, bins: Integers) -> Floats:
    """Sum of the rows of each bin, shape `(last bin - first bin + 1,)`; `bins` never decrease.

    NaN where no row of the bin has a value, and where the bin has rows before the curve's first value: such a bin is
    not whole.
    """
    sums = np.full(bins[-1] - bins[0] + 1, np.nan)
    started, whole_from = False, bins[0]
    for row in range(len(values)):
        value = values[row]
        if math.isnan(value):
            if not started:
                whole_from = bins[row] + 1
            continue
        started = True
        place = bins[row] - bins[0]
        if bins[row] >= whole_from:
            sums[place] = value if math.isnan(sums[place]) else sums[place] + value
    return sums


@compiled
def counts_and_sums(
    values: Floats, from_start: bool
) -> tuple[int, int, int, float, float, float, float, float, float, int, float]:
    """(values, gains, losses, sum of gains, of losses, least, greatest, sum of drawdowns, worst, rows below, sum).

    Drawdown is the cumulative sum less its peak; the first peak is 0, or with `from_start` false the first value.
    """
    n = gains = losses = below = 0
    gained = lost = cumulative = drawn = worst = 0.0
    least, greatest, peak = math.inf, -math.inf, 0.0 if from_start else -math.inf
    for row in range(len(values)):
        value = values[row]
        if math.isnan(value):
            continue
        n += 1
        if value > 0:
            gains += 1
            gained += value
        elif value < 0:
            losses += 1
            lost += value
        least, greatest = min(least, value), max(greatest, value)
        cumulative += value
        peak = max(peak, cumulative)
        drawdown = cumulative - peak
        drawn += drawdown
        below += drawdown < 0
        worst = min(worst, drawdown)
    return n, gains, losses, gained, lost, least, greatest, drawn, worst, below, cumulative


@compiled
def central_moments(values: Floats, mean: float, mean_loss: float) -> tuple[float, float, float, float]:
    """Sums of the second, third and fourth powers of distances from the mean, and of squares of losses from theirs."""
    second = third = fourth = second_losses = 0.0
    for row in range(len(values)):
        value = values[row]
        if math.isnan(value):
            continue
        off = value - mean
        square = off * off
        second += square
        third += square * off
        fourth += square * square
        if value < 0:
            second_losses += (value - mean_loss) ** 2
    return second, third, fourth, second_losses


@compiled
def beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    d = 1.0 / max(1.0 - (a + b) * x / (a + 1.0), SMALL)
    c, product = 1.0, d
    for m in range(1, ENOUGH_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = product
        for term in (even, odd):
            d = 1.0 + term * d
            c = 1.0 + term / c
            d = 1.0 / (d if d != 0 else SMALL)
            c = c if c != 0 else SMALL
            product *= d * c
        if abs(product - before) <= 1e-16 * abs(product):
            break
    return product


@compiled
def student_two_sided(t: float, degrees: float) -> float:
    """Probability that Student's t with so many degrees of freedom is at least |t| from zero. NaN gives NaN.

    The incomplete beta function I_x(degrees / 2, 1/2) at x = degrees / (degrees + t^2), DLMF 8.17.
    """
    if math.isnan(t) or not degrees > 0:
        return math.nan
    a, b, rest = degrees / 2, 0.5, t * t / (degrees + t * t)
    if rest <= 0.0:
        return 1.0
    front = a * math.log1p(-rest) + b * math.log(rest) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if 1.0 - rest < (a + 1.0) / (a + b + 2.0):
        return math.exp(front) * beta_fraction(1.0 - rest, a, b) / a
    return 1.0 - math.exp(front) * beta_fraction(rest, b, a) / b


@compiled
def summary(values: Floats, from_start: bool) -> tuple[float, ...]:
    """`counts_and_sums`, then mean, `central_moments`, t of the mean against zero, and its two-sided probability.

    One kernel, because each costs a cold process some milliseconds to load. A curve whose values are all alike has no
    deviation, not the rounding of one.
    """
    n, gains, losses, gained, lost, least, greatest, drawn, worst, below, total = counts_and_sums(values, from_start)
    mean = total / n if n else math.nan
    second, third, fourth, second_losses = central_moments(values, mean, lost / losses if losses else math.nan)
    if least == greatest:
        second = third = fourth = 0.0
    t = mean / math.sqrt(second / (n - 1) / n) if n > 1 and second > 0 else math.nan
    p = student_two_sided(t, n - 1.0)
    counted = (float(n), float(gains), float(losses), gained, lost, least, greatest, drawn, worst, float(below), total)
    return (*counted, mean, second, third, fourth, second_losses, t, p)


@compiled
def rolling_ratio(values: Floats, window: int) -> Floats:
    """Mean over standard deviation (n - 1) of the last `window` rows, shape `(n_rows,)`.

    NaN before there are so many rows, while one of them is missing, and where they are all alike. Each window is
    summed anew, so that one great return leaves no trace of rounding after it.
    """
    found = np.full(len(values), np.nan)
    present = alike = 0  # rows in a row, up to this one
    for row in range(len(values)):
        present = 0 if math.isnan(values[row]) else present + 1
        alike = alike + 1 if row > 0 and values[row] == values[row - 1] else 1
        if present < window or alike >= window:
            continue
        last = values[row - window + 1 : row + 1]
        total = squares = 0.0
        for value in last:
            total += value
        mean = total / window
        for value in last:
            squares += (value - mean) * (value - mean)
        found[row] = mean / math.sqrt(squares / (window - 1))
    return found
