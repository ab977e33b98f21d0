"""Value at risk and expected shortfall through history, and tests of whether they were any good.

Belongs here: both measures of a book with known positions, what was lost beyond them, and tests on how often and when.
Does not belong here: judging orders by them (`trading/kernels/risk_checks.py`), or measuring a market
(`risk_model.py`).

All are positive for a loss. The k-th largest of T losses is the value at risk at confidence c, the mean of the k
largest the expected shortfall, k = max(1, ceil((1 - c) T)): the definitions of the engine.

Sources: P. Kupiec, Techniques for verifying the accuracy of risk measurement models, Journal of Derivatives 3 (1995);
P. Christoffersen, Evaluating interval forecasts, International Economic Review 39 (1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.risk import RiskModelSettings
from trading.risk.market import Floats, Market
from trading.risk.risk_model import LEAST_GAINS, decay

Hits = npt.NDArray[np.bool_]


# --- one day ----------------------------------------------------------------------------------------------------------
class Loss(NamedTuple):
    """What is lost on a bad day, positive, and on average on such days; NaN where it is not known."""

    value_at_risk: float
    expected_shortfall: float


def historical(gains: Floats, confidence: float) -> Loss:
    """Of gains on days looked back on, (days,). NaN of no day, and where one is missing."""
    if not len(gains) or not np.isfinite(gains).all():
        return Loss(math.nan, math.nan)
    count = max(1, math.ceil(round((1.0 - confidence) * len(gains), 9)))
    worst = np.sort(-gains)[-count:]
    return Loss(float(worst[0]), float(worst.mean()))


def parametric(deviation: float, confidence: float) -> Loss:
    """Of a normal distribution around nothing: z s, and the mean beyond it, phi(z) / (1 - c) s."""
    normal = NormalDist()
    quantile = normal.inv_cdf(confidence)
    return Loss(quantile * deviation, normal.pdf(quantile) / (1.0 - confidence) * deviation)


def scenario_gains(market: Market, contracts: Floats) -> Floats:
    """Gain of positions, contracts by instrument of the market, on each day looked back on; NaN where one that is held
    has no scenarios."""
    held = contracts != 0.0
    return np.asarray(market.scenarios[:, held] @ contracts[held], dtype=np.float64)


def deviation(market: Market, contracts: Floats) -> float:
    """Standard deviation of a day's gain of positions, contracts by instrument, under the covariance; NaN where one
    that is held has none."""
    held = contracts != 0.0
    along = market.covariance_loadings[held].T @ contracts[held]
    return math.sqrt(float(along @ along + market.covariance_rest[held] @ contracts[held] ** 2))


# --- through history --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """By day, (days,): what was forecast after it for the next one, from nothing later; and `gain_base` of the day,
    of what was held into it. NaN where there is too little history, and of the first day's gain."""

    historical: Floats
    historical_shortfall: Floats
    parametric: Floats
    parametric_shortfall: Floats
    gain_base: Floats


def forecasts(gains_base: Floats, contracts: Floats, model: RiskModelSettings) -> Forecasts:
    """Forecasts for a book through history. Both (days, instruments): gains of one contract, NaN as none, and contracts
    held after each day. The parametric one has the weighted mean square of what these positions would have gained."""
    known = np.nan_to_num(gains_base, nan=0.0)
    days = len(known)
    rows = np.full((days, 4), np.nan)
    for day in range(LEAST_GAINS - 1, days):
        past = known[max(0, day + 1 - model.sessions) : day + 1] @ contracts[day]
        weights = decay(len(past), model.half_life_sessions)
        spread = math.sqrt(float(weights @ past**2 / weights.sum()))
        rows[day] = [*historical(past, model.confidence), *parametric(spread, model.confidence)]
    gained = np.full(days, np.nan)
    gained[1:] = (known[1:] * contracts[:-1]).sum(axis=1)
    return Forecasts(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], gained)


def exceedances(forecast_base: Floats, gain_base: Floats) -> Hits:
    """Days that lost more than was forecast for them, of those that have both, in order. Both (days,): what had been
    forecast *for* the day, and what it gained."""
    both = np.isfinite(forecast_base) & np.isfinite(gain_base)
    return np.asarray(-gain_base[both] > forecast_base[both], dtype=np.bool_)


# --- tests ------------------------------------------------------------------------------------------------------------
class Likelihood(NamedTuple):
    """A likelihood ratio and how probable one as large is if the forecast is right; NaN where there is nothing to
    judge by."""

    statistic: float
    p_value: float


def unconditional_coverage(hits: Hits, confidence: float) -> Likelihood:
    """Kupiec: whether there are as many exceedances as the confidence says."""
    days, count = len(hits), int(hits.sum())
    if not days:
        return Likelihood(math.nan, math.nan)
    expected, found = 1.0 - confidence, count / days
    return _ratio(_log_odds(days - count, count, expected), _log_odds(days - count, count, found), 1)


def independence(hits: Hits) -> Likelihood:
    """Christoffersen: whether an exceedance makes another on the next day no more and no less probable, against a
    Markov chain of first order."""
    if len(hits) < 2:
        return Likelihood(math.nan, math.nan)
    before, after = hits[:-1], hits[1:]
    counts = [[int(((before == was) & (after == is_)).sum()) for is_ in (False, True)] for was in (False, True)]
    (calm, first), (last, again) = counts
    either = _share(calm + last, first + again)
    chain = _log_odds(calm, first, _share(calm, first)) + _log_odds(last, again, _share(last, again))
    return _ratio(_log_odds(calm + last, first + again, either), chain, 1)


def conditional_coverage(hits: Hits, confidence: float) -> Likelihood:
    """Christoffersen: both at once, the sum of the two ratios."""
    statistic = unconditional_coverage(hits, confidence).statistic + independence(hits).statistic
    return Likelihood(statistic, chi_squared_tail(statistic, 2))


def chi_squared_tail(value: float, degrees: int) -> float:
    """How probable a value of the chi-squared distribution as large is, of 1 or 2 degrees of freedom: erfc(sqrt(x/2)),
    exp(-x/2). NaN of NaN."""
    if math.isnan(value):
        return math.nan
    return math.erfc(math.sqrt(value / 2.0)) if degrees == 1 else math.exp(-value / 2.0)


def _share(without: int, with_: int) -> float:
    return with_ / (without + with_) if without + with_ else 0.0


def _log_odds(without: int, with_: int, probability: float) -> float:
    """Log likelihood of so many days without and with an exceedance; 0 log 0 is 0."""
    calm = without * math.log1p(-probability) if without else 0.0
    return calm + (with_ * math.log(probability) if with_ else 0.0)


def _ratio(restricted: float, free: float, degrees: int) -> Likelihood:
    statistic = max(0.0, -2.0 * (restricted - free))
    return Likelihood(statistic, chi_squared_tail(statistic, degrees))


@dataclass(frozen=True, slots=True)
class Backtest:
    """How a forecast did: days judged, exceedances and how many were to be expected, and the three tests."""

    days: int
    exceedances: int
    expected: float
    unconditional: Likelihood
    independent: Likelihood
    conditional: Likelihood

    def rejected(self, level: float = 0.01) -> tuple[str, ...]:
        """Names of the tests that such an outcome fails; one that could not judge fails nothing."""
        named = (("unconditional coverage", self.unconditional), ("independence", self.independent),
                 ("conditional coverage", self.conditional))  # fmt: skip
        return tuple(name for name, test in named if test.p_value < level)


def backtest(
    forecast_base: Floats | Sequence[float], gain_base: Floats | Sequence[float], confidence: float
) -> Backtest:
    """All of it: what had been forecast for each day against what the day gained, in order."""
    hits = exceedances(np.asarray(forecast_base, dtype=np.float64), np.asarray(gain_base, dtype=np.float64))
    return Backtest(
        len(hits), int(hits.sum()), (1.0 - confidence) * len(hits), unconditional_coverage(hits, confidence),
        independence(hits), conditional_coverage(hits, confidence),
    )  # fmt: skip
