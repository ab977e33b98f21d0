"""The risk overlay: four measures of a portfolio's risk on every session, and the scalar that keeps them in limits.

Belongs here: measures and scalar, from arrays of shape `(n_sessions, n_instruments)`. Does not belong here: limits of
single orders (the rules beside this file), or positions. Definitions: reference numbers, section 9.

What is compiled is imported inside functions: the rules beside this file are found by importing the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.config.strategies import RiskOverlaySettings

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

SHOCK_ROWS, SHOCK_LEAST, SHOCK_QUANTILE = 2560, 3, 0.99  # ten years of 256 days
ROLLING_REFITS = 5  # the window in which a series counts as having data, in refits
YEAR = 16.0  # root of 256 days


@dataclass(frozen=True, slots=True)
class RiskMeasures:
    """Shapes (n_sessions,), as fractions of capital a year; 0 before there is a position.

    `normal`: expected standard deviation. `shocked`: the same with every volatility at its 99 % quantile of ten years.
    `sum_absolute`: sum of the instruments' risks. `leverage`: sum of the sizes of positions, not of a year.
    """

    normal: Floats
    shocked: Floats
    sum_absolute: Floats
    leverage: Floats


def annual_volatility(volatility_points: Floats, held: Floats) -> Floats:
    """Volatility a year as a fraction of the held contract's price, carried forward; NaN before either is known."""
    from trading.kernels.averages import filled

    carried = filled(held)
    return YEAR * volatility_points / np.where(carried == 0.0, np.nan, carried)


def shocked_volatility(annual: Floats, backfill: bool) -> Floats:
    """99 % quantile of the last ten years of `annual`, from three values on; with `backfill` the first also counts
    before it is known, as in the reference."""
    from trading.kernels.averages import filled
    from trading.kernels.quantiles import rolling_quantile

    shocked = filled(rolling_quantile(annual, SHOCK_ROWS, SHOCK_LEAST, SHOCK_QUANTILE))
    if not backfill:
        return shocked
    first = np.argmax(np.isfinite(shocked), axis=0)
    return np.where(np.isfinite(shocked), shocked, shocked[first, np.arange(shocked.shape[1])])


def risk_measures(
    sessions: Days,
    price: Floats,
    held: Floats,
    volatility_points: Floats,
    notional: Floats,
    contract_value_base: Floats,
    capital_base: float | Floats,
    settings: RiskOverlaySettings,
    over_gaps: bool = False,
) -> RiskMeasures:
    """The four measures on every session. All arrays are (n_sessions, n_instruments); capital may be (n_sessions,).

    `price` adjusted and `held` of the contract held, NaN where a session has no row; `volatility_points` of a day;
    `notional` the contracts wished for before the overlay. `contract_value_base` is the held price x point value x
    exchange rate, NaN where the held contract has no price: on such a session the exposure (position x value / capital)
    is the last one known, not the new position at the old price. `over_gaps`: which moves are returns, see
    `percent_returns`. Rows before the first and after the last price of any instrument have no risk.

    Correlations are those of weekly returns, refitted every week. Source: Carver, pysystemtrade's risk overlay.
    """
    from trading.analytics.correlation_matrices import RETURNS, percent_returns, seven_day_weeks
    from trading.analytics.refits import refits
    from trading.kernels.averages import filled
    from trading.kernels.correlations import portfolio_risk

    rows = _rows_of_any(price, held)
    weekly = seven_day_weeks(percent_returns(price[rows], held[rows], over_gaps), sessions[rows])
    fits = refits(weekly.labels, 7, settings.refits, ROLLING_REFITS)
    annual = annual_volatility(volatility_points[rows], held[rows])
    exposures = (notional * contract_value_base / np.reshape(capital_base, (-1, 1)))[rows]
    found = portfolio_risk(
        exposures, filled(annual), shocked_volatility(annual, settings.backfill), weekly.returns,
        fits.counts(weekly.labels), fits.seen(weekly.labels, weekly.returns), fits.in_force(sessions[rows]),
        RETURNS.array(), settings.missing_correlations == "zero",
    )  # fmt: skip
    out = np.zeros((4, len(sessions)))
    out[:, rows] = found.T
    return RiskMeasures(*out)


def risk_scalar(measures: RiskMeasures, settings: RiskOverlaySettings, volatility_target_percent: float) -> Floats:
    """What all positions are multiplied by, (n_sessions,), at most 1: the least of limit / max(limit, measure) over the
    limits set. A limit is its fraction of the volatility target; that of leverage is the number itself."""
    target = volatility_target_percent / 100.0
    pairs = (
        (settings.normal_fraction, target, measures.normal),
        (settings.shocked_fraction, target, measures.shocked),
        (settings.sum_absolute_fraction, target, measures.sum_absolute),
        (settings.leverage, 1.0, measures.leverage),
    )
    scalar = np.ones_like(measures.normal)
    for fraction, unit, measure in pairs:
        if fraction is not None:
            scalar = np.minimum(scalar, fraction * unit / np.maximum(fraction * unit, measure))
    return scalar


def _rows_of_any(price: Floats, held: Floats) -> slice:
    """From the first to the last session on which any instrument has a price, adjusted or held; all if none has."""
    present = np.flatnonzero((np.isfinite(price) | np.isfinite(held)).any(axis=1))
    return slice(int(present[0]), int(present[-1]) + 1) if len(present) else slice(0, len(price))
