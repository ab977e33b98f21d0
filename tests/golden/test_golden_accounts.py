"""Accounts of the reference's own buffered positions against its golden numbers: fills, costs, P&L and net."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resources.csv_panels import csv_panel
from trading.analytics.years import ROOT_OF_YEAR
from trading.backtest.account_basis import basis
from trading.backtest.accounts import Account, Curves, account
from trading.backtest.costs import ROLL, CostRisk, Holdings, cash_fills, sharpe, sharpe_per_trade, turnover
from trading.backtest.panel import Panel
from trading.config.strategies import CostSettings, ExecutionSettings, RuleSettings, StrategySettings

pytestmark = pytest.mark.golden

SIX = ("CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X")
CAPITAL = 250_000.0
REFERENCE = {
    "commission": "largest", "commission_price": "adjusted", "rolls": "calendar", "deflator": "final_volatility",
    "first_cost": "lost",
}  # fmt: skip


def reference(**costs: str) -> StrategySettings:
    return StrategySettings(
        name="reference",
        rules={"any": RuleSettings(rule="ewmac", weight=1.0)},
        execution=ExecutionSettings(fills="next_session", rates="midnight", start="rounded"),
        costs=CostSettings.model_validate(REFERENCE | costs),
    )


def golden(place: Path, name: str) -> pd.Series:
    frame = pd.read_csv(place / f"{name}.csv.gz", index_col=0, parse_dates=True)
    return frame.iloc[:, 0]


@pytest.fixture(scope="module")
def panel(shared: Path) -> Panel:
    return csv_panel(shared / "data" / "futures", SIX, "USD", "friday")


@pytest.fixture(scope="module")
def positions(panel: Panel, chapter15: Path) -> np.ndarray:
    """The reference's buffered positions."""
    index = pd.DatetimeIndex(panel.sessions)
    columns = [golden(chapter15 / code, "buffered_position_rounded").reindex(index) for code in SIX]
    return np.column_stack([column.to_numpy(float) for column in columns])


@pytest.fixture(scope="module")
def added(panel: Panel, positions: np.ndarray) -> Account:
    """Costs of one date are added up."""
    return account(panel, positions, reference(same_date="added"), CAPITAL)


@pytest.fixture(scope="module")
def last(panel: Panel, positions: np.ndarray) -> Account:
    """Of the costs of one date the reference's sorting keeps one."""
    return account(panel, positions, reference(same_date="last"), CAPITAL)


@pytest.fixture(scope="module")
def supplied(panel: Panel, positions: np.ndarray, chapter15: Path) -> Account:
    """Of the costs of one date the one is kept that is left in the golden files."""
    left = {code: golden(chapter15 / code, "calc_costs_instrument_ccy_normalised") for code in SIX}
    survivors = {code: (own.index.to_numpy("datetime64[D]"), own.to_numpy(float)) for code, own in left.items()}
    return account(panel, positions, reference(same_date="added"), CAPITAL, survivors=survivors)


def agree(ours: pd.Series, theirs: pd.Series) -> None:
    """The same cells are missing, and the others are within 1e-9 of each; sums of 50 years leave 1e-11 behind."""
    np.testing.assert_allclose(ours.reindex(theirs.index), theirs, rtol=1e-9, atol=1e-11, equal_nan=True)


def differing(ours: pd.Series, theirs: pd.Series) -> list[str]:
    """Dates of cells that are not within 1e-9; the same are missing."""
    assert (ours.isna() == theirs.isna()).all()
    off = (ours - theirs).abs() > 1e-11 + 1e-9 * theirs.abs()
    return [str(day.date()) for day in theirs.index[off.to_numpy()]]


def column(curves: Curves, kind: str, code: str | None = None) -> pd.Series:
    axis = curves.cost_sessions if kind == "costs" else curves.sessions
    values = getattr(curves, kind)
    return pd.Series(values if code is None else values[:, SIX.index(code)], pd.DatetimeIndex(axis))


@pytest.fixture(scope="module")
def meta(chapter15: Path) -> dict[str, dict[str, object]]:
    read: dict[str, dict[str, object]] = json.loads((chapter15 / "instrument_meta.json").read_text())
    return read


@pytest.mark.parametrize("code", SIX)
def test_delayed_positions_are_exactly_equal(code: str, added: Account, chapter15: Path) -> None:
    theirs = golden(chapter15 / code, "calc_positions_after_delay_and_round")
    ours = pd.Series(added.holdings.held[:, SIX.index(code)], pd.DatetimeIndex(added.panel.sessions))
    np.testing.assert_array_equal(ours.reindex(theirs.index), theirs)
    assert ours.notna().sum() == theirs.notna().sum() > 1000


@pytest.mark.parametrize("code", SIX)
def test_gross_by_instrument(code: str, added: Account, chapter15: Path) -> None:
    theirs = golden(chapter15 / code, "pandl_percent_gross")
    ours = column(added.instruments_percent, "gross", code)
    agree(ours, theirs)
    assert ours.notna().sum() == theirs.notna().sum()


@pytest.mark.parametrize("code", SIX)
def test_every_candidate_of_a_cost(code: str, panel: Panel, positions: np.ndarray, chapter15: Path) -> None:
    theirs = pd.read_csv(chapter15 / code / "calc_fills_and_raw_costs.csv.gz", parse_dates=["date"])
    strategy = reference()
    held = account(panel, positions, strategy, CAPITAL).holdings.held
    fills = cash_fills(panel, Holdings(positions, held), strategy, basis(panel, strategy))
    own = fills.columns == SIX.index(code)
    ours = pd.DataFrame({
        "date": fills.dates[own].astype("datetime64[us]"),
        "kind": np.where(fills.kinds[own] == ROLL, "hold", "trade"),
        "qty": fills.contracts[own],
        "price": fills.prices[own],
        "cost_before_deflator": fills.local[own],
    })  # fmt: skip
    ours, theirs = (f.sort_values(["date", "kind"]).reset_index(drop=True) for f in (ours, theirs))
    assert (ours["date"] == theirs["date"]).all()
    assert (ours["kind"] == theirs["kind"]).all()
    for name in ("qty", "price", "cost_before_deflator"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)


@pytest.mark.parametrize("code", SIX)
def test_the_cost_left_of_several_on_one_date(code: str, last: Account, supplied: Account, chapter15: Path) -> None:
    theirs = golden(chapter15 / code, "calc_costs_instrument_ccy_normalised")
    for made in (last, supplied):
        own = made.costs.columns == SIX.index(code)
        ours = pd.Series(made.costs.local[own], pd.DatetimeIndex(made.costs.dates[own]))
        assert ours.index.equals(theirs.index.as_unit(ours.index.unit))
        agree(ours, theirs)


@pytest.mark.parametrize("code", SIX)
def test_added_costs_differ_on_the_dates_with_several_and_nowhere_else(
    code: str, added: Account, chapter15: Path, meta: dict[str, dict[str, object]]
) -> None:
    theirs = golden(chapter15 / code, "calc_costs_instrument_ccy_normalised")
    own = added.costs.columns == SIX.index(code)
    ours = pd.Series(added.costs.local[own], pd.DatetimeIndex(added.costs.dates[own]))
    summed = ours.groupby(level=0).sum(min_count=1).reindex(theirs.index)
    tied = meta[code]["dates_with_more_than_one_cost_row"]
    assert differing(summed, theirs) == tied
    net = column(added.instruments_percent, "net", code)
    their_net = golden(chapter15 / code, "pandl_percent_net")
    assert differing(net.reindex(their_net.index), their_net) == tied


@pytest.mark.parametrize("kind", ["costs", "net"])
@pytest.mark.parametrize("code", SIX)
def test_costs_and_net_by_instrument(code: str, kind: str, last: Account, supplied: Account, chapter15: Path) -> None:
    theirs = golden(chapter15 / code, f"pandl_percent_{kind}")
    for made in (last, supplied):
        ours = column(made.instruments_percent, kind, code)
        agree(ours, theirs)
        assert ours.notna().sum() == theirs.notna().sum()


@pytest.mark.parametrize("kind", ["gross", "costs", "net"])
def test_portfolio_curves_and_their_sessions(kind: str, last: Account, supplied: Account, chapter15: Path) -> None:
    theirs = golden(chapter15 / "portfolio", f"portfolio_percent_{kind}")
    for made in (last, supplied):
        ours = column(made.percent, kind)
        assert (ours.index == theirs.index).all()
        agree(ours, theirs)


@pytest.mark.parametrize(("unit", "kind"), [("percent", "gross"), ("percent", "net"), ("currency", "gross"),
                                            ("currency", "net")])  # fmt: skip
def test_sharpe_ratios(unit: str, kind: str, added: Account, last: Account, supplied: Account, chapter15: Path) -> None:
    theirs = json.loads((chapter15 / "portfolio" / "portfolio_stats.json").read_text())[f"{unit}_{kind}"]
    for made, tolerance in ((last, 1e-9), (supplied, 1e-9), (added, 1e-3 if kind == "net" else 1e-9)):
        values = column(getattr(made, unit), kind)
        assert len(values) == theirs["n_rows"]
        assert values.notna().sum() == theirs["n_not_nan"]
        found = values.sum() / (len(values) / 256) / (values.std() * 16)
        assert found == pytest.approx(theirs["sharpe"], abs=tolerance)


def test_costs_in_currency(last: Account, chapter15: Path) -> None:
    theirs = json.loads((chapter15 / "portfolio" / "portfolio_stats.json").read_text())["currency_costs"]
    costs = column(last.currency, "costs")
    assert (len(costs), costs.notna().sum()) == (theirs["n_rows"], theirs["n_not_nan"])
    assert costs.mean() == pytest.approx(theirs["mean"], rel=1e-9)
    assert costs.std() == pytest.approx(theirs["std"], rel=1e-9)


@pytest.fixture(scope="module")
def risk(panel: Panel, chapter15: Path) -> CostRisk:
    """The reference's volatility, and the average positions it implies: 250 000 x 20 % / 16 of risk a day, divided by
    the risk of a contract, times instrument weight and 1.89 (section 8)."""
    index = pd.DatetimeIndex(panel.sessions)
    volatility = pd.concat(
        [golden(chapter15 / code, "daily_returns_volatility").reindex(index) for code in SIX], axis=1
    )
    weights = pd.read_csv(chapter15 / "portfolio" / "instrument_weights_smoothed.csv.gz", index_col=0, parse_dates=True)
    days = (panel.sessions - panel.first_day).astype(int)
    contract = volatility.to_numpy(float) * panel.point_value * panel.rate_midnight[days]
    average = 3125.0 / contract * weights[list(SIX)].reindex(index).to_numpy(float) * 1.89
    return CostRisk(average, volatility.to_numpy(float))


def test_costs_in_sharpe_units(
    panel: Panel, positions: np.ndarray, risk: CostRisk, meta: dict[str, dict[str, float]]
) -> None:
    per_trade, holding = sharpe_per_trade(panel, risk, reference())
    turned = turnover(positions, risk.average_position)
    for place, code in enumerate(SIX):
        assert per_trade[place] == pytest.approx(meta[code]["SR_cost_per_trade"], rel=1e-9)
        assert holding[place] == pytest.approx(meta[code]["SR_holding_cost"], rel=1e-9)
        assert turned[place] == pytest.approx(meta[code]["instrument_turnover"], rel=1e-9)


def test_a_sharpe_cost_is_that_share_of_a_years_risk(
    panel: Panel, positions: np.ndarray, risk: CostRisk, meta: dict[str, dict[str, float]]
) -> None:
    # Over CORN's year 2000: Sharpe units x contracts at an average forecast x annual volatility in money, by days.
    strategy = reference(method="sharpe")
    made = account(panel, positions, strategy, CAPITAL, risk=risk, model=sharpe)
    own, inside = made.costs.columns == 0, made.costs.dates.astype("datetime64[Y]") == np.datetime64("2000")
    corn = meta["CORN"]
    yearly = corn["instrument_turnover"] * corn["SR_cost_per_trade"] + corn["SR_holding_cost"]
    rows = np.flatnonzero(panel.sessions.astype("datetime64[Y]") == np.datetime64("2000"))
    days = np.diff(panel.sessions[np.append(rows[0] - 1, rows)]).astype(float)
    money = risk.average_position[rows, 0] * risk.volatility[rows, 0] * ROOT_OF_YEAR * 50.0
    np.testing.assert_allclose(made.costs.base[own & inside], -yearly * money * days / 365.25, rtol=1e-9)
