"""Performance statistics of a series of daily returns.

Belongs here: figures of one return series. Does not belong here: making or printing it.
Definitions: reference numbers, section 14. Returns are percent of a fixed capital, so they add up and do not compound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from trading.analytics.volatility import ROOT_OF_YEAR, SESSIONS_A_YEAR


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


def statistics(daily_percent: pd.Series) -> Performance:
    """Figures of daily percent returns, a row a session; missing rows count as time without a result."""
    returns = daily_percent.astype("float64")
    gains, losses = returns[returns > 0], returns[returns < 0]
    annual_mean = float(returns.sum()) / (len(returns) / SESSIONS_A_YEAR) if len(returns) else np.nan
    annual_std = float(returns.std()) * ROOT_OF_YEAR
    drawdown = drawdowns(returns)
    worst = float(drawdown.min())
    return Performance(
        rows=len(returns),
        present=int(returns.notna().sum()),
        annual_mean_percent=annual_mean,
        annual_std_percent=annual_std,
        sharpe=_over(annual_mean, annual_std),
        sortino=_over(annual_mean, float(losses.std(ddof=0)) * ROOT_OF_YEAR),
        average_drawdown_percent=float(drawdown.mean()),
        worst_drawdown_percent=worst,
        time_in_drawdown_fraction=_over(float((drawdown < 0).sum()), int(drawdown.notna().sum())),
        calmar=_over(annual_mean, -worst),
        skew=_skew(returns),
        hit_rate_fraction=_over(len(gains), len(gains) + len(losses)),
        average_gain_percent=float(gains.mean()),
        average_loss_percent=float(losses.mean()),
        gain_to_loss=_over(float(gains.mean()), -float(losses.mean())),
        profit_factor=_over(float(gains.sum()), -float(losses.sum())),
        t_statistic=_over(float(returns.mean()), float(returns.std()) / max(returns.count(), 1) ** 0.5),
    )


def drawdowns(daily_percent: pd.Series) -> pd.Series:
    """Cumulative return less its highest so far, percent points, never positive; NaN on missing rows."""
    cumulative = daily_percent.cumsum()
    return cumulative - cumulative.cummax()


def _skew(returns: pd.Series) -> float:
    """Third central moment over the cubed population standard deviation."""
    off = returns - returns.mean()
    return _over(float((off**3).mean()), float((off**2).mean()) ** 1.5)


def _over(one: float, other: float) -> float:
    return one / other if other else float("nan")
