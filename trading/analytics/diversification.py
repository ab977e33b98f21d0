"""Estimated multipliers and scalars: what diversification and the size of forecasts allow positions to be scaled by.

Belongs here: estimates from arrays of P&L and forecasts. Does not belong here: correlation matrices
(`correlation_matrices.py`), or what a strategy's settings ask for (`trading/strategies/estimates.py`). Definitions:
reference numbers, sections 5, 7 and 10. Source: Carver, Systematic Trading, chapters 7, 8 and 11, appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading.analytics.correlation_matrices import Cleaning, Weekly, matrices, sunday_levels, sunday_weeks
from trading.analytics.refits import Counted, Days, Refits, refits
from trading.config.strategies import EstimateSettings
from trading.kernels.averages import Floats, averaged, filled, of_span
from trading.kernels.quantiles import row_medians

DAYS = 365  # between refits
ABSENT = 0.99  # correlation of series of which one has no data
LEAST_DEVIATION = 1e-7  # weights of less than this diversify nothing


def cleaning(settings: EstimateSettings, pooled: int = 1) -> Cleaning:
    """How correlations are cleaned for a multiplier; `pooled` series make that many rows a week."""
    floor = 0.0 if settings.floor_at_zero else -1.0
    return Cleaning(settings.span * pooled, settings.min_periods * pooled, ABSENT, floor)


def pnl_matrices(
    pnl_base: Floats, sessions: Days, settings: EstimateSettings, counted: Counted
) -> tuple[Floats, Refits]:
    """Correlations of instruments, (n_refits, n, n), and the yearly refits they are of.

    `pnl_base` (n_sessions, n) is the daily profit of each instrument as if it had all capital, NaN before it begins:
    cumulated, by weeks ending on Sunday. In the reference: after costs, of positions buffered and rounded as the
    portfolio's are. Rows from the first session of any instrument to the last.
    """
    weekly = sunday_weeks(pnl_base, sessions)
    fits = refits(weekly.labels, DAYS, counted)
    return matrices(weekly, fits, cleaning(settings)), fits


def forecast_matrices(
    forecasts: Sequence[Floats], sessions: Days, settings: EstimateSettings, counted: Counted
) -> tuple[Floats, Refits]:
    """Correlations of rules, (n_refits, n_rules, n_rules), pooled over instruments that have the same rules.

    `forecasts` are capped, one array (n_sessions, n_rules) an instrument: what is known at the end of each week, the
    instruments' rows one after another a microsecond apart, so spans are multiplied by their number.
    """
    weekly = [sunday_levels(values, sessions) for values in forecasts]
    offsets = np.arange(len(weekly)).astype("timedelta64[us]")
    labels = (weekly[0].labels.astype("datetime64[us]")[:, None] + offsets).ravel()
    rows = np.stack([one.returns for one in weekly], axis=1).reshape(len(labels), -1)
    fits = refits(labels, DAYS, counted)
    return matrices(Weekly(labels, rows), fits, cleaning(settings, len(weekly))), fits


def multiplier(correlations: Floats, weights: Floats, largest: float) -> float:
    """1 / sqrt(w' H w), at most `largest`; 1 where that is not known or there are hardly any weights."""
    deviation = float(np.sqrt(weights @ correlations @ weights))
    if not deviation >= LEAST_DEVIATION:
        return 1.0
    return min(largest, 1.0 / deviation)


def smoothed_multipliers(
    correlations: Floats, fits: Refits, weights: Floats, sessions: Days, settings: EstimateSettings
) -> Floats:
    """The multiplier of each session, (n_sessions,), from matrices (n_refits, n, n) and weights (n_sessions, n).

    A refit's is of the last weights on its date or before, and counts from that date on; then an exponential mean.
    Counted from the start it is 1 before the first refit. Counted from the end it is missing before the first, and, as
    in the reference, stays what it was at the last refit, which itself comes a session too late to count.
    """
    rows = np.searchsorted(sessions, fits.used_from, side="right") - 1
    values = np.array(
        [
            multiplier(matrix, weights[row], settings.largest) if row >= 0 else 1.0
            for matrix, row in zip(correlations, rows, strict=True)
        ]
    )
    force = fits.in_force(sessions)
    steps = np.where(force >= 0, values[force], np.nan)
    if fits.counted == "from_start":
        steps = np.where(force >= 0, steps, 1.0)
    else:
        steps[sessions > fits.used_from[-1]] = np.nan
    smooth: Floats = averaged(steps[:, None], of_span(settings.smoothing_span))[:, 0]
    return smooth


def estimated_multipliers(
    pnl_base: Floats, weights: Floats, sessions: Days, settings: EstimateSettings, counted: Counted
) -> Floats:
    """Instrument diversification multiplier by session, (n_sessions,); see `pnl_matrices`. `weights` (n_sessions, n):
    the smoothed instrument weights."""
    found, fits = pnl_matrices(pnl_base, sessions, settings, counted)
    return smoothed_multipliers(found, fits, weights, sessions, settings)


def estimated_forecast_multipliers(
    forecasts: Sequence[Floats],
    weights: Sequence[Floats],
    sessions: Days,
    settings: EstimateSettings,
    counted: Counted,
) -> Floats:
    """Forecast diversification multiplier by session and instrument, (n_sessions, n_instruments), of instruments with
    the same rules; see `forecast_matrices`. `weights`: smoothed weights of rules, (n_sessions, n_rules) each."""
    found, fits = forecast_matrices(forecasts, sessions, settings, counted)
    return np.column_stack([smoothed_multipliers(found, fits, own, sessions, settings) for own in weights])


def estimated_scalars(raw: Floats, average: float, min_periods: int, backfill: bool) -> Floats:
    """Scalar by session, (n_sessions,), that makes a rule's forecasts `average` in size; the same for all instruments.

    `raw` (n_sessions, n_instruments): the median over instruments of the sizes, zeros counting as missing and carried
    forward; its mean of all sessions so far; `average` / that. NaN before `min_periods` sessions have a median, unless
    `backfill`: then the first scalar also counts before it is known, as in the reference.
    """
    medians = row_medians(np.abs(filled(np.where(raw == 0.0, np.nan, raw))))
    present = np.isfinite(medians)
    count = np.cumsum(present)
    total = np.cumsum(np.where(present, medians, 0.0))
    scalars = np.full(len(raw), np.nan)
    enough = count >= max(min_periods, 1)
    scalars[enough] = average * count[enough] / total[enough]
    if backfill and enough.any():
        scalars[~enough] = scalars[enough][0]
    return scalars
