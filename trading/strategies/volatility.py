"""The daily volatility a strategy sizes with, as its settings say.

Belongs here: choosing and running an estimator over arrays of shape `(n_sessions, n_instruments)`. Does not belong
here: the loops (`trading/kernels`), or the desk's own volatility dataset (`trading/analytics/volatility.py`).
Definitions: reference numbers, sections 0 and 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.analytics.years import SESSIONS_A_YEAR
from trading.config.strategies import VolatilitySettings
from trading.kernels.averages import averaged, changes, deviation, filled, of_centre, of_span
from trading.kernels.quantiles import rolling_quantile
from trading.kernels.windows import rolling_deviation

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def estimated(prices: Floats, first: Integers, last: Integers, settings: VolatilitySettings) -> Floats:
    """Volatility of the daily change of `prices`, points a day, as known after each session's close.

    NaN until the estimator has its `min_periods` of returns (or, backfilled, before an instrument's row `first`), and
    after its row `last`. Repeated on rows without a price. NaN too where it is below `unknown_below_fraction` of the
    largest price so far, of either sign: a price that stands still, or moves by the same step, leaves nothing to size
    by but rounding, and that would be a position of any size.
    """
    returns = changes(prices, settings.returns == "over_gaps")
    found: Floats = np.maximum(_ESTIMATORS[settings.method](returns, settings), settings.least_points)
    if settings.unknown_below_fraction > 0.0:
        largest = np.maximum.accumulate(np.nan_to_num(np.abs(prices)), axis=0)
        found = np.where(found < settings.unknown_below_fraction * largest, np.nan, found)
    if settings.backfill:
        found = filled(filled(found)[::-1])[::-1].copy()
    rows = np.arange(len(found))[:, None]
    found[(rows < first) | (rows > last)] = np.nan
    return found


def _ewma(returns: Floats, settings: VolatilitySettings) -> Floats:
    return deviation(returns, of_span(settings.span), settings.min_periods)


def _mixed(returns: Floats, settings: VolatilitySettings) -> Floats:
    quick = _ewma(returns, settings)
    slow = averaged(quick, of_centre(settings.slow_years * SESSIONS_A_YEAR))
    return settings.slow_share * slow + (1.0 - settings.slow_share) * quick


def _robust(returns: Floats, settings: VolatilitySettings) -> Floats:
    quick = np.maximum(_ewma(returns, settings), settings.least_points)
    floor = rolling_quantile(quick, settings.floor_rows, settings.floor_min_periods, settings.floor_quantile)
    return np.where(quick < floor, floor, quick)


def _simple(returns: Floats, settings: VolatilitySettings) -> Floats:
    return rolling_deviation(returns, settings.window, settings.min_periods)


def _garch(returns: Floats, settings: VolatilitySettings) -> Floats:
    from trading.strategies.garch import conditional_deviation

    return conditional_deviation(returns, max(settings.min_periods, 100))


_ESTIMATORS = {"mixed": _mixed, "robust": _robust, "simple": _simple, "ewma": _ewma, "garch": _garch}
