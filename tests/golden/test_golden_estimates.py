"""Correlation matrices, the estimated multiplier and the risk overlay against the golden numbers (reference numbers, 9
and 10). Inputs are the reference's own positions, weights and volatility, and the vendor's prices.

Accidents of the reference, each by its cells:

- Ten weekly matrices, 1982-09-01 to 1982-11-03, have no correlation of CORN and US10: a missing pair is the mean of the
  present ones, and there are none. We have the same missing cells, and with `no_risk` the same risk of zero.
- Until 1982-11-09 the expected deviation is 0, since one instrument alone has no covariance. `no_risk` gives the same;
  by default (`zero`) a lone instrument has its own risk.
- Subsystem P&L is after costs, and of several costs on one date only one is left (section 13.6), by an accident of
  sorting. With `same_date = last` all cells of the yearly matrices agree to 1e-9; with costs added, those from the
  refit of 1984-03-15 on, the first with a tied date before it, differ by up to 3e-4.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.settings import place, strategy_file
from resources.csv_panels import csv_panel
from trading.analytics.correlation_matrices import (
    RETURNS,
    Cleaning,
    Weekly,
    matrices,
    percent_returns,
    raw,
    seven_day_weeks,
    sunday_weeks,
)
from trading.analytics.diversification import estimated_multipliers, pnl_matrices
from trading.analytics.refits import Refits, refits
from trading.backtest.engine import decisions
from trading.backtest.panel import Panel
from trading.config.strategies import EstimateSettings, RiskOverlaySettings, StrategySettings
from trading.risk.overlay import RiskMeasures, risk_measures, risk_scalar
from trading.strategies.estimates import subsystem_pnl
from trading.strategies.optimal import Sizing
from trading.strategies.workbench import Workbench

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
PAIRS = np.triu_indices(6, 1)
CAPITAL = 250_000.0
REFERENCE = RiskOverlaySettings(refits="from_end", backfill=True, missing_correlations="no_risk")


def golden(place: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(place / f"{name}.csv.gz", index_col=0)


def rolled(place: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A file of refits, its dates as dates, and its correlations (n_refits, 15)."""
    frame = golden(place, f"correlation/{name}")
    dates = ["fit_start", "fit_end", "period_start", "period_end"]
    frame[dates] = frame[dates].apply(pd.to_datetime)
    codes = [f"{SIX[one]}|{SIX[other]}" for one, other in zip(*PAIRS, strict=True)]
    return frame, frame[codes].to_numpy()


def days(dates: pd.Series) -> np.ndarray:
    return dates.to_numpy().astype("datetime64[D]")


@pytest.fixture(scope="module")
def panel(shared: Path) -> Panel:
    return csv_panel(shared / "data" / "futures", SIX, "USD", "friday")


@pytest.fixture(scope="module")
def theirs(chapter15: Path, panel: Panel):
    def read(name: str) -> np.ndarray:
        """A file of each instrument, (n_sessions, 6)."""
        columns = {code: golden(chapter15, f"{code}/{name}").iloc[:, 0] for code in SIX}
        frame = pd.DataFrame({code: column.set_axis(pd.to_datetime(column.index)) for code, column in columns.items()})
        return np.ascontiguousarray(frame.reindex(pd.DatetimeIndex(panel.sessions)).to_numpy())

    return read


@pytest.fixture(scope="module")
def returns(panel: Panel) -> np.ndarray:
    return percent_returns(panel.price, panel.held)


# --- returns and their correlations -----------------------------------------------------------------------------------
def test_daily_and_weekly_returns(returns: np.ndarray, panel: Panel, chapter15: Path) -> None:
    daily = golden(chapter15, "correlation/percentage_returns_daily")
    np.testing.assert_array_equal(panel.sessions, pd.to_datetime(daily.index))
    np.testing.assert_allclose(returns, daily[SIX], rtol=1e-9, atol=1e-14)
    weekly = sunday_weeks(returns, panel.sessions)
    theirs = golden(chapter15, "correlation/percentage_returns_weekly")
    np.testing.assert_array_equal(weekly.labels, pd.to_datetime(theirs.index))
    np.testing.assert_allclose(weekly.returns, theirs[SIX], rtol=0, atol=1e-13)


def test_weekly_rolling_matrices(returns: np.ndarray, panel: Panel, chapter15: Path) -> None:
    weekly = seven_day_weeks(returns, panel.sessions)
    fits = refits(weekly.labels, 7, "from_end", 5)
    dates, correlations = rolled(chapter15, "instrument_returns_correlation_weekly_rolling")
    np.testing.assert_array_equal(fits.used_from, days(dates["period_start"]))
    np.testing.assert_array_equal(fits.window_start, days(dates["fit_start"]))
    np.testing.assert_allclose(matrices(weekly, fits, RETURNS)[:, *PAIRS], correlations, rtol=1e-9, atol=1e-12)
    missing = dates.loc[np.isnan(correlations).any(axis=1), "fit_end"]
    assert (len(missing), missing.iloc[0], missing.iloc[-1]) == (
        10,
        pd.Timestamp(1982, 9, 1),
        pd.Timestamp(1982, 11, 3),
    )


@pytest.mark.parametrize(
    ("name", "cleaning"),
    [
        ("weekly_span250_final_cleaned_floored", Cleaning(250, 20, 0.99, floor=0.0)),
        ("weekly_span75_final_clip90_shrunk50", RETURNS),
        ("daily_span125_final_cleaned_floored", Cleaning(125, 20, 0.99, floor=0.0)),
    ],
)
def test_final_matrices(name: str, cleaning: Cleaning, returns: np.ndarray, panel: Panel, chapter15: Path) -> None:
    """The last matrix before the last date."""
    rows = sunday_weeks(returns, panel.sessions) if "weekly" in name else Weekly(panel.sessions, returns)
    ends = rows.labels[[0, -1]]
    found = matrices(rows, Refits(ends, ends[[0, 0]], "from_end"), cleaning)[-1]
    wanted = golden(chapter15, f"correlation/exp_corr_{name}").loc[SIX, SIX].to_numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    if cleaning.floor == 0.0:
        plain = raw(rows.returns[:-1], cleaning.span, cleaning.min_periods)
        np.testing.assert_allclose(np.maximum(plain, 0.0), wanted, rtol=1e-9, atol=1e-12)


# --- subsystem P&L and the instrument diversification multiplier ------------------------------------------------------
@pytest.fixture(scope="module")
def pnl(panel: Panel, theirs):
    def of(same_date: str) -> np.ndarray:
        shipped = strategy_file("chapter15", place("nowhere"))
        costs = shipped.costs.model_copy(update={"same_date": same_date})
        strategy: StrategySettings = shipped.model_copy(update={"costs": costs})
        subsystem = theirs("subsystem_position")
        nothing = np.zeros_like(subsystem)  # positions at an average forecast: not asked for by these settings
        return subsystem_pnl(Workbench(panel), strategy, Sizing(CAPITAL, 20.0), subsystem, nothing)

    return of


def test_yearly_matrices_of_subsystems(pnl, panel: Panel, chapter15: Path) -> None:
    dates, correlations = rolled(chapter15, "instrument_subsystem_pandl_correlation_annual_expanding")
    found, fits = pnl_matrices(pnl("last"), panel.sessions, EstimateSettings(), "from_end")
    np.testing.assert_array_equal(fits.used_from, days(dates["period_start"]))
    np.testing.assert_allclose(found[:, *PAIRS], correlations, rtol=1e-9, atol=1e-12)
    added, _ = pnl_matrices(pnl("added"), panel.sessions, EstimateSettings(), "from_end")
    off = np.abs(added[:, *PAIRS] - correlations).max(axis=1)
    before = dates["fit_end"] < pd.Timestamp(1984, 3, 15)
    assert off[before].max() < 1e-12
    assert 1e-6 < off[~before].max() < 3e-4


def test_estimated_multiplier(pnl, panel: Panel, chapter15: Path) -> None:
    weights = golden(chapter15, "portfolio/instrument_weights_smoothed")[SIX].to_numpy()
    found = estimated_multipliers(pnl("last"), weights, panel.sessions, EstimateSettings(), "from_end")
    wanted = golden(chapter15, "correlation/estimated_idm")["idm"]
    mine = pd.Series(found, pd.DatetimeIndex(panel.sessions))
    np.testing.assert_allclose(mine.reindex(pd.to_datetime(wanted.index)), wanted, rtol=1e-9)
    assert mine[: wanted.index[0]].isna().all()
    assert (mine[wanted.index[-1] :] == mine[wanted.index[-1]]).all()


def test_the_engine_multiplies_by_it(panel: Panel, theirs, chapter15: Path) -> None:
    """Chapter 15 with an estimated multiplier, prices to positions: the reference's positions of 1.89, with the golden
    multiplier, carried forward, in its place."""
    shipped = strategy_file("chapter15", place("nowhere"))
    portfolio = shipped.portfolio.model_copy(update={"multiplier": "estimated", "refits": "from_end"})
    costs = shipped.costs.model_copy(update={"same_date": "last"})
    strategy = shipped.model_copy(update={"portfolio": portfolio, "costs": costs})
    wanted = golden(chapter15, "correlation/estimated_idm")["idm"]
    multiplier = wanted.set_axis(pd.to_datetime(wanted.index)).reindex(pd.DatetimeIndex(panel.sessions)).ffill()
    expected = theirs("notional_position") / 1.89 * multiplier.to_numpy()[:, None]
    found = decisions(Workbench(panel), strategy, Sizing(CAPITAL, 20.0)).optimal.notional
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


# --- the risk overlay -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def measured(panel: Panel, theirs):
    midnight = panel.rate_midnight[(panel.sessions - panel.first_day).astype(np.int64)]
    value = panel.held * panel.point_value * midnight
    position, volatility = theirs("notional_position"), theirs("daily_returns_volatility")

    def under(settings: RiskOverlaySettings) -> RiskMeasures:
        return risk_measures(
            panel.sessions, panel.price, panel.held, volatility, position, value, CAPITAL, settings
        )  # fmt: skip

    return under


def test_four_measures(measured, chapter15: Path) -> None:
    found = measured(REFERENCE)
    for name, mine in {
        "risk_normal": found.normal,
        "risk_shocked_vol": found.shocked,
        "risk_sum_abs": found.sum_absolute,
        "leverage": found.leverage,
    }.items():
        wanted = golden(chapter15, f"portfolio/{name}").iloc[:, 0]
        np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-14, err_msg=name)


def test_scalar_with_limits_that_never_bind(measured, chapter15: Path) -> None:
    far = dict.fromkeys(("normal_fraction", "shocked_fraction", "sum_absolute_fraction", "leverage"), 99_999.0)
    found = risk_scalar(measured(REFERENCE), REFERENCE.model_copy(update=far), 20.0)
    np.testing.assert_array_equal(found, golden(chapter15, "portfolio/risk_scalar").iloc[:, 0])


def test_the_default_differs_only_where_the_reference_is_unsound(measured, panel: Panel) -> None:
    """Once there are two instruments the deviation differs in the week after the one in which an instrument begins,
    since the reference fills its correlations a week before it has a return to know of; and in the last week, for
    which the reference makes no refit."""
    mine, reference = measured(RiskOverlaySettings()), measured(REFERENCE)
    differ = panel.sessions[np.abs(mine.normal - reference.normal) > 1e-9]
    week = np.timedelta64(7, "D")
    weeks = (panel.sessions - panel.sessions[0]) // week
    begun = [weeks[first] + 1 for first in panel.first if panel.sessions[first] > np.datetime64("1982-11-10")]
    expected = panel.sessions[np.isin(weeks, [*begun, weeks[-1]])]
    np.testing.assert_array_equal(differ[differ >= np.datetime64("1982-11-10")], expected)
    np.testing.assert_array_equal(mine.leverage, reference.leverage)
    np.testing.assert_array_equal(mine.sum_absolute, reference.sum_absolute)


def test_a_lone_instrument_has_its_own_risk(measured, panel: Panel) -> None:
    """CORN is alone until US10 has a volatility, ten returns after 1982-08-30."""
    mine = measured(RiskOverlaySettings())
    alone = panel.sessions < np.datetime64("1982-08-30")
    assert (mine.normal[alone] > 0).sum() > 2500
    np.testing.assert_allclose(mine.normal[alone], mine.sum_absolute[alone], rtol=1e-12)


# --- everything estimated, from files to positions --------------------------------------------------------------------
def everything_estimated(refits: str) -> StrategySettings:
    """Chapter 15's rules and weights; scalars, multipliers and risk estimated; no other option sees the future."""
    shipped = strategy_file("chapter15", place("nowhere"))
    given = shipped.model_dump(include={"name", "instruments", "volatility"}) | {
        "rules": {name: rule.model_copy(update={"scalar": "estimated"}) for name, rule in shipped.rules.items()},
        "forecasts": {"multiplier": "estimated", "refits": refits},
        "portfolio": {"weights": shipped.portfolio.weights, "multiplier": "estimated", "refits": refits},
        "risk_overlay": {"normal_fraction": 1.1, "shocked_fraction": 2.0, "leverage": 10.0, "refits": refits},
    }
    return StrategySettings.model_validate(given)


def notional(shared: Path, refits: str, through: np.datetime64 | None = None) -> np.ndarray:
    last = None if through is None else through.item()
    panel = csv_panel(shared / "data" / "futures", SIX, "USD", "session", last)
    return decisions(Workbench(panel), everything_estimated(refits), Sizing(CAPITAL, 20.0)).optimal.notional


@pytest.mark.parametrize("row", [2400, 2683, 5001, 8000, 11_111, 12_700])
def test_positions_of_a_session_need_no_later_one(shared: Path, panel: Panel, row: int) -> None:
    whole = notional(shared, "from_start")
    assert np.isfinite(whole[row]).any()
    part = notional(shared, "from_start", panel.sessions[row])
    columns = np.flatnonzero(np.isfinite(whole[: row + 1]).any(axis=0))
    np.testing.assert_array_equal(part[: row + 1, columns], whole[: row + 1, columns])


def test_refits_counted_from_the_end_change_the_past(shared: Path, panel: Panel) -> None:
    part = notional(shared, "from_end", panel.sessions[8000])
    assert not np.array_equal(part[:8001], notional(shared, "from_end")[:8001], equal_nan=True)
