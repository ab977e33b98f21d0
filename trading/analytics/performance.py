"""Performance statistics of a curve of returns.

Belongs here: figures of one curve, and of a curve beside its costs. Does not belong here: making or printing a curve,
or judging the best of many (`overfitting.py`).

A curve is `(n_sessions,)` float64 in percent of a fixed capital, or in currency: its values add up and do not
compound. NaN is a session without a result. Definitions: reference numbers, section 14. A year is 256 sessions.

Kernels are imported where they are used: loading this module must stay cheap for Dagster.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from trading.analytics.years import SESSIONS_A_YEAR
from trading.errors import CalculationError, UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]
Frequency = Literal["daily", "weekly", "monthly", "annual"]
Peak = Literal["start", "first_value"]

A_YEAR: dict[Frequency, float] = {"daily": SESSIONS_A_YEAR, "weekly": 365.25 / 7, "monthly": 12.0, "annual": 1.0}
CALENDAR_UNITS: dict[Frequency, str] = {"monthly": "datetime64[M]", "annual": "datetime64[Y]"}
NORMAL_RATIO = 4.4362044232707145  # the 1 % over the 30 % quantile of a normal distribution
NAN = math.nan


class CurveStatistics(TypedDict):
    """Figures of a curve under the reference's names; see `curve_statistics`."""

    ann_mean: float
    ann_std: float
    average_quant_ratio: float
    avg_drawdown: float
    avg_gain: float
    avg_loss: float
    avg_return_to_drawdown: float
    calmar: float
    first_index: str
    gaintolossratio: float
    hitrate: float
    last_index: str
    max: float
    mean: float
    median: float
    min: float
    n_not_nan: int
    n_rows: int
    number_of_years_in_data: float
    p_value: float
    profitfactor: float
    quant_ratio_lower: float
    quant_ratio_upper: float
    sharpe: float
    skew: float
    sortino: float
    std: float
    t_stat: float
    time_in_drawdown: float
    worst_drawdown: float


class Summary(NamedTuple):
    """What one walk over a curve finds, as `trading.kernels.curves.summary` returns it; `second` to `fourth` and
    `second_losses` are sums of powers of distances from the mean, of all values and of the losses."""

    n: float
    gains: float
    losses: float
    gained: float
    lost: float
    least: float
    greatest: float
    drawn: float
    worst: float
    below: float
    total: float
    mean: float
    second: float
    third: float
    fourth: float
    second_losses: float
    t: float
    p: float

    @property
    def std(self) -> float:
        """Standard deviation, n - 1; 0 where all values are alike, NaN of fewer than two."""
        return math.sqrt(self.second / (self.n - 1)) if self.n > 1 else NAN


def summary(values: Floats, first_peak: Peak = "start") -> Summary:
    """Counts, sums and central moments of a curve; `first_peak` as in `curve_statistics`."""
    from trading.kernels import curves

    return Summary(*curves.summary(_curve(values), first_peak == "start"))


def curve_statistics(
    values: Floats, sessions: Days, frequency: Frequency = "daily", first_peak: Peak = "start"
) -> CurveStatistics:
    """Figures of a daily curve, `values` and increasing `sessions` of shape `(n_sessions,)`, taken at a frequency.

    In the unit of the curve: mean, std (n - 1), median, min, max, avg_gain, avg_loss, ann_mean = sum / years where
    years = rows / rows a year and a row without a value counts, ann_std, and drawdowns: the cumulative sum less its
    highest so far, never positive. The cumulative starts at 0, so a loss on the first day is a drawdown; the reference
    starts at the first value instead: `first_peak="first_value"`. Shares of one: hitrate (of gains and losses, zeros
    left out), time_in_drawdown (of rows with a value), p_value (t_stat of the mean against zero, two-sided). sortino
    divides by the population deviation of the losses, as the reference does; `sortino` has the other. skew is the
    population's. quant_ratio_lower: 1 % over 30 % quantile of values without zeros, less their mean, over the same of
    a normal distribution; upper: 99 % over 70 %. first_index and last_index are rows of the frequency ("" of none).

    A figure with nothing to be of, or a ratio to zero, is NaN. Raises CalculationError on sessions that do not
    increase or do not match the values, UsageError on an unknown frequency.
    """
    taken, labels = at_frequency(values, sessions, frequency)
    found = summary(taken, first_peak)
    return {
        **_moments(found, len(taken), A_YEAR[frequency]),  # type: ignore[typeddict-item]
        **_quantiles(taken, found),
        "first_index": _stamp(labels, 0),
        "last_index": _stamp(labels, -1),
    }


def _moments(found: Summary, rows: int, a_year: float) -> dict[str, float]:
    years, std, losses = rows / a_year, found.std, max(found.losses, 1)
    ann_mean, ann_std = _over(found.total, years), std * math.sqrt(a_year)
    downside = math.sqrt(found.second_losses / losses) * math.sqrt(a_year)
    avg_drawdown, worst = _over(found.drawn, found.n), found.worst if found.n else NAN
    avg_gain, avg_loss = _over(found.gained, found.gains), _over(found.lost, found.losses)
    return {
        "n_rows": rows,
        "n_not_nan": int(found.n),
        "number_of_years_in_data": years,
        "mean": found.mean,
        "std": std,
        "min": found.least if found.n else NAN,
        "max": found.greatest if found.n else NAN,
        "skew": _over(found.third / max(found.n, 1), (found.second / max(found.n, 1)) ** 1.5),
        "ann_mean": ann_mean,
        "ann_std": ann_std,
        "sharpe": _over(ann_mean, ann_std),
        "sortino": _over(ann_mean, downside),
        "avg_drawdown": avg_drawdown,
        "worst_drawdown": worst,
        "time_in_drawdown": _over(found.below, found.n),
        "calmar": _over(ann_mean, -worst),
        "avg_return_to_drawdown": _over(ann_mean, -avg_drawdown),
        "avg_gain": avg_gain,
        "avg_loss": avg_loss,
        "gaintolossratio": _over(avg_gain, -avg_loss),
        "profitfactor": _over(found.gained, -found.lost),
        "hitrate": _over(found.gains, found.gains + found.losses),
        "t_stat": found.t,
        "p_value": found.p,
    }


def _quantiles(values: Floats, found: Summary) -> dict[str, float]:
    """Median, and the quantile ratios. Sorted values without zeros are the sorted values with a block cut out."""
    n, trades = int(found.n), int(found.gains + found.losses)
    if not n:
        return dict.fromkeys(("median", "quant_ratio_lower", "quant_ratio_upper", "average_quant_ratio"), NAN)
    places = [_place(0.5, n), *(_place(q, trades, int(found.losses), n - trades) for q in (0.01, 0.30, 0.99, 0.70))]
    kept = np.partition(values, sorted({at for place in places for at in place[:2]}))
    mean = _over(found.gained + found.lost, trades)
    median, low, lower, high, upper = (_between(kept, place) for place in places)
    ratios = _over(low - mean, lower - mean) / NORMAL_RATIO, _over(high - mean, upper - mean) / NORMAL_RATIO
    return {
        "median": median,
        "quant_ratio_lower": ratios[0],
        "quant_ratio_upper": ratios[1],
        "average_quant_ratio": sum(ratios) / 2,
    }


def _place(q: float, n: int, before: int = 0, cut: int = 0) -> tuple[int, int, float]:
    """Where the linearly interpolated quantile of `n` sorted values lies: two rows, and how far towards the second.

    `cut` values are left out after the first `before` of them.
    """
    if n == 0:
        return 0, 0, NAN
    at = int(q * (n - 1))
    after = min(at + 1, n - 1)
    return at + cut * (at >= before), after + cut * (after >= before), q * (n - 1) - at


def _between(kept: Floats, place: tuple[int, int, float]) -> float:
    """The value at a place, of values partitioned there."""
    at, after, part = place
    return float(kept[at] + (kept[after] - kept[at]) * part)


def at_frequency(values: Floats, sessions: Days, frequency: Frequency) -> tuple[Floats, Days]:
    """A daily curve taken at a frequency: (sums, labels), one row for each bin from the first session's to the last's.

    Daily bins are Mondays to Fridays, what is dated at a weekend counts on Friday; weeks end on Sunday; months and
    years are the calendar's, and all are labelled by their last day. NaN where a bin has no value, and where it has
    rows before the curve's first value, so is not whole. The reference cumulates and takes differences: the same, but
    for rounding. Errors as `curve_statistics`.
    """
    from trading.kernels import curves

    if frequency not in A_YEAR:
        raise UsageError(f"there is no frequency {frequency!r}. Known: {', '.join(A_YEAR)}.")
    values, days = _curve(values), np.asarray(sessions, dtype="datetime64[D]").astype(np.int64)
    if values.shape != days.shape:
        raise CalculationError(f"a curve has {len(values)} values and {len(days)} sessions. Give one value a session.")
    if not len(days) or (frequency == "daily" and curves.weekdays_in_a_row(days)):
        return values, np.asarray(sessions, dtype="datetime64[D]")
    if (late := np.flatnonzero(days[1:] <= days[:-1])).size:
        one, other = np.asarray(sessions, dtype="datetime64[D]")[late[0] : late[0] + 2]
        raise CalculationError(f"sessions of a curve do not increase: {other} follows {one}. Sort them, each once.")
    bins = _bins(days, frequency)
    return curves.binned(values, bins), _labels(np.arange(bins[0], bins[-1] + 1), frequency)


def _bins(days: Integers, frequency: Frequency) -> Integers:
    """Number of the bin of each day since 1 January 1970, a Thursday; never decreasing by a day."""
    if unit := CALENDAR_UNITS.get(frequency):
        return days.view("datetime64[D]").astype(unit).astype(np.int64)
    weeks, weekdays = np.divmod(days + 3, 7)
    return weeks if frequency == "weekly" else weeks * 5 + np.minimum(weekdays, 4)


def _labels(bins: Integers, frequency: Frequency) -> Days:
    """Last day of each bin."""
    if unit := CALENDAR_UNITS.get(frequency):
        days = (bins + 1).view(unit).astype("datetime64[D]").astype(np.int64) - 1
    else:
        days = bins * 7 + 3 if frequency == "weekly" else bins // 5 * 7 + bins % 5 - 3
    return days.view("datetime64[D]")


def _stamp(labels: Days, row: int) -> str:
    return f"{labels[row]} 00:00:00" if len(labels) else ""


def drawdowns(values: Floats, first_peak: Peak = "start") -> Floats:
    """Cumulative curve less its highest so far, shape `(n_sessions,)`, never positive; NaN on missing rows."""
    curve = _curve(values)
    cumulative = np.nancumsum(curve)
    cumulative[np.isnan(curve)] = np.nan
    highest = np.fmax.accumulate(cumulative)
    found: Floats = cumulative - (np.maximum(highest, 0.0) if first_peak == "start" else highest)
    return found


def sortino(values: Floats, a_year: float = SESSIONS_A_YEAR) -> float:
    """Annual mean of the values present over the root mean square of their shortfalls below 0, annual.

    Sortino and van der Meer (1991): days without a loss count as a shortfall of 0, so this is not the `sortino` of
    `curve_statistics`. NaN where there is no loss. The same as empyrical's with `annualization=a_year`.
    """
    curve = _curve(values)
    present = curve[~np.isnan(curve)]
    downside = math.sqrt(float(np.mean(np.minimum(present, 0.0) ** 2))) if len(present) else NAN
    return _over(float(present.mean()) * math.sqrt(a_year), downside) if len(present) else NAN


def value_at_risk(values: Floats, level: float = 0.95) -> float:
    """Historical value at risk: the 1 - level quantile of the values present, interpolated; negative is a loss.

    In the unit of the curve, over one row. NaN without a value. The same as empyrical's with `cutoff=1 - level`.
    """
    return _tails(values, (level,))[0][0]


def expected_shortfall(values: Floats, level: float = 0.95) -> float:
    """Mean of the 1 - level worst of the values present, at least one; negative is a loss.

    The worst floor((n - 1) (1 - level)) + 1 of n. NaN without a value. The same as empyrical's conditional value at
    risk with `cutoff=1 - level`.
    """
    return _tails(values, (level,))[0][1]


def tail_risk(values: Floats) -> dict[str, float]:
    """Value at risk and expected shortfall at 95 and 99 %, in the unit of the curve; negative is a loss."""
    (var95, es95), (var99, es99) = _tails(values, (0.95, 0.99))
    return {
        "value_at_risk_95": var95,
        "value_at_risk_99": var99,
        "expected_shortfall_95": es95,
        "expected_shortfall_99": es99,
    }


def _tails(values: Floats, levels: tuple[float, ...]) -> list[tuple[float, float]]:
    """Value at risk and expected shortfall at each level, of one partition of the curve; missing rows sort last."""
    curve = _curve(values)
    n = len(curve) - int(np.isnan(curve).sum())
    if not n:
        return [(NAN, NAN) for _ in levels]
    places = [_place(1 - _level(level), n) for level in levels]
    kept = np.partition(curve, sorted({at for place in places for at in place[:2]}))
    return [(_between(kept, place), float(kept[: place[0] + 1].mean())) for place in places]


def rolling_sharpe(values: Floats, window: int, a_year: float = SESSIONS_A_YEAR) -> Floats:
    """Annual Sharpe ratio of the last `window` sessions, shape `(n_sessions,)`.

    NaN before there are so many, while one of them is missing, and where all are alike. Raises UsageError on a window
    below 2. The same as empyrical's `roll_sharpe_ratio`, which leaves the first rows out.
    """
    from trading.kernels import curves

    if window < 2:
        raise UsageError(f"a rolling Sharpe ratio needs a window of 2 sessions or more, not {window}.")
    return curves.rolling_ratio(_curve(values), window) * math.sqrt(a_year)


class CostDrag(TypedDict):
    """What costs take: a year, in the unit of the curve; from the Sharpe ratio; and as a share of the gross gain."""

    annual_cost: float
    sharpe_cost: float
    share_of_gross: float


def cost_drag(gross: Floats, net: Floats, a_year: float = SESSIONS_A_YEAR) -> CostDrag:
    """What costs take of a curve, on the sessions where both gross and net are known; shape `(n_sessions,)` both.

    `share_of_gross` is NaN where there was no gain before costs. Raises CalculationError on different lengths.
    """
    gross, net = _curve(gross), _curve(net)
    if gross.shape != net.shape:
        raise CalculationError(f"gross has {len(gross)} sessions and net {len(net)}. Give both on the same sessions.")
    both = ~np.isnan(gross) & ~np.isnan(net)
    before, after, root = summary(gross[both]), summary(net[both]), math.sqrt(a_year)
    cost = (before.mean - after.mean) * a_year
    return {
        "annual_cost": cost,
        "sharpe_cost": (_over(before.mean, before.std) - _over(after.mean, after.std)) * root,
        "share_of_gross": cost / (before.mean * a_year) if before.mean > 0 else NAN,
    }


@dataclass(frozen=True, slots=True)
class Performance:
    """Figures of daily returns; percent, percent points or ratios as named. NaN where a figure has nothing to be of.

    `rows` counts every row, missing ones too, and years are `rows` / 256. Drawdowns are percent points below the
    highest cumulative return so far, never positive. The hit rate leaves out days without a result. `t_statistic` is of
    the mean against zero.
    """

    rows: int
    present: int
    annual_mean_percent: float
    annual_std_percent: float
    sharpe: float
    sortino: float
    average_drawdown_percent: float
    worst_drawdown_percent: float
    time_in_drawdown_fraction: float
    calmar: float
    skew: float
    hit_rate_fraction: float
    average_gain_percent: float
    average_loss_percent: float
    gain_to_loss: float
    profit_factor: float
    t_statistic: float

    def figures(self) -> dict[str, float]:
        """All figures by name."""
        return asdict(self)


REFERENCE_NAMES = {
    "rows": "n_rows",
    "present": "n_not_nan",
    "annual_mean_percent": "ann_mean",
    "annual_std_percent": "ann_std",
    "sharpe": "sharpe",
    "sortino": "sortino",
    "average_drawdown_percent": "avg_drawdown",
    "worst_drawdown_percent": "worst_drawdown",
    "time_in_drawdown_fraction": "time_in_drawdown",
    "calmar": "calmar",
    "skew": "skew",
    "hit_rate_fraction": "hitrate",
    "average_gain_percent": "avg_gain",
    "average_loss_percent": "avg_loss",
    "gain_to_loss": "gaintolossratio",
    "profit_factor": "profitfactor",
    "t_statistic": "t_stat",
}


def statistics(daily_percent: npt.ArrayLike) -> Performance:
    """Figures of daily percent returns, a row a session, an array or a Series; missing rows count as time."""
    values = _curve(np.asarray(daily_percent, dtype=np.float64))
    found = _moments(summary(values), len(values), SESSIONS_A_YEAR)
    return Performance(**{name: found[theirs] for name, theirs in REFERENCE_NAMES.items()})  # type: ignore[arg-type]


def _curve(values: Floats) -> Floats:
    """The values as one contiguous row of floats. Raises CalculationError on another shape."""
    curve = np.ascontiguousarray(values, dtype=np.float64)
    if curve.ndim != 1:
        raise CalculationError(f"a curve has shape (n_sessions,), not {curve.shape}. Choose one column of it.")
    return curve


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(f"a level lies between 0 and 1, 0.95 for 95 %, not {level}.")
    return level


def _over(one: float, other: float) -> float:
    """A ratio; NaN to zero."""
    return one / other if other else NAN
