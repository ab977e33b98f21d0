"""Volatility by GARCH(1,1), for those who want it: an option that needs the package `arch`.

Belongs here: fitting year by year on the past and running the recursion between fits. Does not belong here: the other
estimators, which need no fit (`volatility.py`). Source: Bollerslev (1986); the fit is `arch`'s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trading.analytics.years import SESSIONS_A_YEAR
from trading.errors import ConfigError

Floats = npt.NDArray[np.float64]
Fitted = tuple[float, float, float] | None


def conditional_deviation(returns: Floats, min_periods: int, fit: Callable[[Floats], Fitted] | None = None) -> Floats:
    """Deviation of the change expected after each session, in the unit of `returns`, shape `(n_sessions,
    n_instruments)`.

    Each instrument is fitted on its returns through every 256th of them from `min_periods` on, and the parameters
    hold until the next fit that converges: a row uses nothing later. NaN before the first; repeated on missing rows.
    Raises ConfigError where `arch` is not installed. `fit` stands in for `fitted`.
    """
    out = np.full_like(returns, np.nan)
    for column in range(returns.shape[1]):
        rows = np.flatnonzero(np.isfinite(returns[:, column]))
        found = _walked(returns[rows, column], min_periods, fit or fitted)
        places = np.searchsorted(rows, np.arange(len(returns)), side="right") - 1
        out[:, column] = np.where(places >= 0, np.append(found, np.nan)[places], np.nan)
    return out


def _walked(values: Floats, min_periods: int, fit: Callable[[Floats], Fitted]) -> Floats:
    out, known = np.full(len(values), np.nan), None
    for start in range(min_periods, len(values) + 1, SESSIONS_A_YEAR):
        known = fit(values[:start]) or known
        if known is None:
            continue
        omega, alpha, beta = known
        variance = np.var(values[:start])
        for row in range(min(start + SESSIONS_A_YEAR - 1, len(values))):
            variance = omega + alpha * values[row] ** 2 + beta * variance
            if row >= start - 1:
                out[row] = np.sqrt(variance)
    return out


def fitted(values: Floats) -> Fitted:
    """Omega, alpha and beta; None where the fit did not converge, or there is nothing to fit."""
    try:
        from arch import arch_model
    except ImportError as cause:
        raise ConfigError(
            "volatility.method garch needs the package arch, which is not installed. Install daybook[garch], or choose "
            "another method: mixed, robust, simple or ewma."
        ) from cause
    scale = float(np.std(values))
    if scale == 0.0:
        return None
    found = arch_model(values / scale, mean="Zero", vol="GARCH", p=1, q=1, rescale=False).fit(
        disp="off", show_warning=False
    )
    if found.convergence_flag != 0:
        return None
    return found.params["omega"] * scale * scale, found.params["alpha[1]"], found.params["beta[1]"]
