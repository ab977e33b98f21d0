"""Loops in which a row depends on the row before: combining forecasts, smoothing weights, trading around a buffer.

Belongs here: arrays of shape `(n_sessions, n_instruments)`, NaN a missing value. Does not belong here: what the numbers
mean (`trading/strategies`). Definitions: reference numbers, sections 6, 9 and 11.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NO_WEIGHT = 1e-4  # what a sum of weights of zero is divided by


@compiled
def combined_forecasts(
    forecasts: Floats, weights: Floats, multiplier: Floats, cap: float, decay: float, first: Integers, last: Integers
) -> Floats:
    """Mixture of capped forecasts, times the multiplier, within plus and minus `cap`.

    `forecasts` has shape `(n_rules, n_sessions, n_instruments)` and is scaled and not yet capped; `weights` `(n_rules,
    n_instruments)`; `multiplier` `(n_sessions or 1, n_instruments)`. Forecasts are carried forward; one that is missing
    lends its weight to the others, and weights move with `decay` (0: at once) from the instrument's row `first` on. NaN
    outside the rows `first` to `last`, 0 before any rule has a forecast.
    """
    rules, rows, columns = forecasts.shape
    out = np.full((rows, columns), np.nan)
    known, smooth = np.full(rules, np.nan), np.zeros(rules)
    moving = multiplier.shape[0] > 1
    for column in range(columns):
        known[:] = np.nan
        smooth[:] = 0.0
        weight = 0.0
        for row in range(first[column], last[column] + 1):
            total = 0.0
            for rule in range(rules):
                value = forecasts[rule, row, column]
                if value == value:
                    known[rule] = min(cap, max(-cap, value))
                if known[rule] == known[rule]:
                    total += weights[rule, column]
            total = total if total != 0.0 else NO_WEIGHT
            kept = weight * decay
            mixture = 0.0
            for rule in range(rules):
                present = known[rule] == known[rule]
                share = weights[rule, column] / total if present else 0.0
                smooth[rule] = (kept * smooth[rule] + share) / (kept + 1.0)
                if present:
                    mixture += smooth[rule] * known[rule]
            weight = kept + 1.0
            mixture *= multiplier[row if moving else 0, column]
            out[row, column] = min(cap, max(-cap, mixture)) if mixture == mixture else np.nan
    return out


@compiled
def smoothed_weights(positions: Floats, weights: Floats, decay: float, start: int) -> Floats:
    """Instrument weights that move with `decay` (0: at once), shape of `positions`.

    Each row: `weights` of the instruments that have had a position by then, divided by their sum. Zero before `start`.
    """
    rows, columns = positions.shape
    out = np.zeros((rows, columns))
    known, smooth = np.zeros(columns, dtype=np.bool_), np.zeros(columns)
    weight = 0.0
    for row in range(start, rows):
        total = 0.0
        for column in range(columns):
            known[column] |= positions[row, column] == positions[row, column]
            if known[column]:
                total += weights[column]
        total = total if total != 0.0 else NO_WEIGHT
        kept = weight * decay
        for column in range(columns):
            share = weights[column] / total if known[column] else 0.0
            smooth[column] = (kept * smooth[column] + share) / (kept + 1.0)
            out[row, column] = smooth[column]
        weight = kept + 1.0
    return out


@compiled
def sized_positions(
    value_volatility: Floats,
    combined: Floats,
    unit_cash: float,
    average: float,
    weights: Floats,
    decay: float,
    first: Integers,
    last: Integers,
) -> tuple[Floats, Floats, Floats]:
    """Contracts with all capital in one instrument at an average forecast, the same at its own forecast, and smoothed
    instrument weights.

    `unit_cash` / `value_volatility` is carried forward between the rows `first` and `last`, NaN outside. Weights of a
    row: `weights` of the instruments that have had a position, divided by their sum, moving with `decay` (0: at once)
    from the first row of all on; zero before.
    """
    rows, columns = combined.shape
    contracts, own = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    smooth = np.zeros((rows, columns))
    size, share = np.full(columns, np.nan), np.zeros(columns)
    known = np.zeros(columns, dtype=np.bool_)
    weight = 0.0
    for row in range(first.min() if columns > 0 else 0, rows):
        total = 0.0
        for column in range(columns):
            if first[column] <= row <= last[column]:
                now = unit_cash / value_volatility[row, column]
                if now == now:
                    size[column] = now
                contracts[row, column] = size[column]
                own[row, column] = size[column] * combined[row, column] / average
                known[column] |= own[row, column] == own[row, column]
            if known[column]:
                total += weights[column]
        total = total if total != 0.0 else NO_WEIGHT
        kept = weight * decay
        for column in range(columns):
            wanted = weights[column] / total if known[column] else 0.0
            share[column] = (kept * share[column] + wanted) / (kept + 1.0)
            smooth[row, column] = share[column]
        weight = kept + 1.0
    return contracts, own, smooth


@compiled
def portfolio_positions(
    contracts: Floats, combined: Floats, weights: Floats, multiplier: Floats, average: float
) -> tuple[Floats, Floats]:
    """Contracts at an average forecast and at the session's own, in a portfolio: sized, weighted and multiplied.
    `multiplier` has the shape `(n_sessions or 1,)`."""
    rows, columns = contracts.shape
    middle, wanted = np.empty((rows, columns)), np.empty((rows, columns))
    moving = len(multiplier) > 1
    for row in range(rows):
        factor = multiplier[row if moving else 0]
        for column in range(columns):
            size = contracts[row, column] * weights[row, column] * factor
            middle[row, column] = size
            wanted[row, column] = size * combined[row, column] / average
    return middle, wanted


@compiled
def is_always_zero(values: Floats) -> npt.NDArray[np.bool_]:
    """Whether each column has no value but zero, where it has any."""
    rows, columns = values.shape
    found = np.ones(columns, dtype=np.bool_)
    left = columns
    for row in range(rows):
        for column in range(columns):
            if found[column] and values[row, column] == values[row, column] and values[row, column] != 0.0:
                found[column] = False
                left -= 1
        if left == 0:
            break
    return found


@compiled
def buffered_positions(
    optimal: Floats,
    width: Floats,
    tradable: npt.NDArray[np.bool_],
    first: Integers,
    last: Integers,
    whole: bool,
    to_edge: bool,
    from_optimal: bool,
) -> Floats:
    """Contracts decided with each close: what was held inside the zone, else the optimal position or the zone's edge.

    `width` is half the zone, carried forward with the optimal position. With `whole`, all three are rounded half to
    even before they are compared. A row that is missing or not `tradable` keeps what is held. The first row (`first`)
    is the optimal position itself where `from_optimal`, else decided from nothing held. NaN outside `first` to `last`.
    """
    rows, columns = optimal.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        held, centre, half = 0.0, np.nan, np.nan
        for row in range(first[column], last[column] + 1):
            wanted = optimal[row, column]
            if wanted == wanted:
                centre = wanted
            if width[row, column] == width[row, column]:
                half = width[row, column]
            top, bottom = centre + half, centre - half
            if whole:
                wanted, top, bottom = np.rint(wanted), np.rint(top), np.rint(bottom)
            if from_optimal and row == first[column]:
                held = wanted if wanted == wanted else 0.0
            elif wanted == wanted and top == top and tradable[row, column]:
                if held > top:
                    held = top if to_edge else wanted
                elif held < bottom:
                    held = bottom if to_edge else wanted
            out[row, column] = held + 0.0
    return out
