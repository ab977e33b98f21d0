"""Accounts of made-up positions in all 18 instruments against sections 12 to 14 of the reference numbers written out
in pandas, one series at a time: commissions by value, yen and won, several currencies, and instruments of all ages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resources.csv_panels import csv_panel
from trading.backtest.accounts import Account, account
from trading.backtest.panel import Panel
from trading.config.strategies import CostSettings, ExecutionSettings, RuleSettings, StrategySettings

pytestmark = pytest.mark.golden

CAPITAL = 250_000.0


# --- the text, in pandas ----------------------------------------------------------------------------------------------
def as_of(series: pd.Series, dates: pd.DatetimeIndex) -> pd.Series:
    """The last row at or before each date, even if it is missing."""
    place = series.index.searchsorted(dates, side="right") - 1
    return pd.Series(np.where(place >= 0, series.to_numpy()[np.maximum(place, 0)], np.nan), dates)


def curve(series: pd.Series) -> pd.Series:
    sums = series.cumsum().resample("1B").last()
    return sums.ffill().diff().where(sums.notna())


def net(gross: pd.Series, costs: pd.Series) -> pd.Series:
    return gross + as_of(costs.cumsum(), gross.index).diff()


class Plain:
    """One instrument's numbers from its CSV files and its decided positions."""

    def __init__(self, folder: Path, code: str, decided: pd.Series) -> None:
        self.folder = folder
        self.terms = self.row("instrumentconfig", code)
        self.letters = len(self.row("rollconfig", code)["HoldRollCycle"])
        self.price = self.series(f"adjusted_prices_csv/{code}").resample("1B").last()
        self.rate = self.rates(self.terms["Currency"])
        self.held = decided.loc[self.price.index].shift(1).round()

    def row(self, name: str, code: str) -> pd.Series:
        return pd.read_csv(self.folder / "csvconfig" / f"{name}.csv").set_index("Instrument").loc[code]

    def series(self, name: str) -> pd.Series:
        read = pd.read_csv(self.folder / f"{name}.csv", index_col=0, parse_dates=True).iloc[:, 0]
        return read[~read.index.duplicated(keep="last")] if name.startswith("fx") else read

    def rates(self, currency: str) -> pd.Series:
        if currency == "USD":
            return pd.Series(1.0, pd.bdate_range("1970-01-01", "2023-12-31"))
        return self.series(f"fx_prices_csv/{currency}USD")

    def gross(self) -> pd.Series:
        points = (self.held.shift(1) * self.price.ffill().diff()).fillna(0.0)
        return points * self.terms["Pointsize"] * as_of(self.rate, points.index)

    def paid(self, contracts: float, price: float) -> float:
        size, terms = abs(contracts), self.terms
        value = terms["Percentage"] * size * price * terms["Pointsize"]
        return -size * terms["Slippage"] * terms["Pointsize"] - max(size * terms["PerBlock"], terms["PerTrade"], value)

    def costs(self) -> pd.Series:
        change = self.held.diff()
        fills = change[change.notna() & (change != 0)]
        priced = as_of(self.price, fills.index)
        paid = {date: self.paid(contracts, priced[date]) for date, contracts in fills.items()}
        local = pd.concat([pd.Series(paid), self.rolled()]).sort_index(kind="stable")
        deviation = self.price.ffill().diff().rolling(180, min_periods=3).std().ffill()
        deflated = local.groupby(level=0).sum() * (deviation / deviation.iloc[-1]).reindex(local.index.unique()).ffill()
        return deflated * as_of(self.rate, deflated.index)

    def rolled(self) -> pd.Series:
        step = int(365.25 / self.letters)
        years = range(self.held.index[0].year, self.held.index[-1].year + 1)
        days = [int(step / 2) + step * letter for letter in range(self.letters)]
        dates = [pd.Timestamp(year, 1, 1) + pd.Timedelta(days=day) for year in years for day in days]
        before = [None, *dates[:-1]]
        mean = [self.held.loc[since:date].abs().mean() for since, date in zip(before, dates, strict=True)]
        return pd.Series([self.paid(0.0 if np.isnan(size) else size, 0.0) for size in mean], pd.DatetimeIndex(dates))


# --- both -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def panel(shared: Path) -> Panel:
    folder = shared / "data" / "futures"
    codes = sorted(path.stem for path in (folder / "adjusted_prices_csv").glob("*.csv"))
    return csv_panel(folder, codes, "USD", "friday")


@pytest.fixture(scope="module")
def decided(panel: Panel) -> np.ndarray:
    """A walk of whole contracts that moves every tenth session, from each instrument's thirteenth row on."""
    chance = np.random.default_rng(1)
    positions = np.full(panel.price.shape, np.nan)
    for column, (first, last) in enumerate(zip(panel.first, panel.last, strict=True)):
        rows = int(last - first) + 1
        walk = np.rint(3.0 * np.cumsum(chance.normal(size=rows) * (chance.random(rows) < 0.1)))
        walk[:12] = 0.0
        positions[first : last + 1, column] = walk
    return positions


@pytest.fixture(scope="module")
def ours(panel: Panel, decided: np.ndarray) -> Account:
    strategy = StrategySettings(
        name="reference",
        rules={"any": RuleSettings(rule="ewmac", weight=1.0)},
        execution=ExecutionSettings(fills="next_session", rates="midnight", start="rounded"),
        costs=CostSettings(
            commission="largest", commission_price="adjusted", rolls="calendar", deflator="final_volatility",
            first_cost="lost", same_date="added",
        ),
    )  # fmt: skip
    return account(panel, decided, strategy, CAPITAL)


@pytest.fixture(scope="module")
def plain(shared: Path, panel: Panel, decided: np.ndarray) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Gross and costs of each instrument, base currency, by date."""
    made = {}
    for column, code in enumerate(panel.instruments):
        one = Plain(shared / "data" / "futures", code, pd.Series(decided[:, column], pd.DatetimeIndex(panel.sessions)))
        made[code] = one.gross(), one.costs()
    return made


def agree(values: np.ndarray, sessions: np.ndarray, expected: pd.Series, tolerance: float) -> None:
    found = pd.Series(values, pd.DatetimeIndex(sessions)).loc[expected.index]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=tolerance, equal_nan=True)


def test_each_instrument(ours: Account, plain: dict[str, tuple[pd.Series, pd.Series]]) -> None:
    curves = ours.instruments_currency
    for column, (gross, costs) in enumerate(plain.values()):
        agree(curves.gross[:, column], curves.sessions, curve(gross), 1e-6)
        agree(curves.costs[:, column], curves.cost_sessions, curve(costs), 1e-6)
        agree(curves.net[:, column], curves.sessions, curve(net(gross, costs)), 1e-6)
        assert costs.notna().sum() > 100


def test_the_portfolio(ours: Account, plain: dict[str, tuple[pd.Series, pd.Series]]) -> None:
    gross = pd.concat([gross for gross, _ in plain.values()], axis=1, sort=True).sum(axis=1)
    costs = pd.concat([costs for _, costs in plain.values()], axis=1, sort=True).sum(axis=1)
    capital = pd.Series(CAPITAL, gross.index)
    in_percent = 100 * gross / capital, 100 * costs / as_of(capital, costs.index)
    for curves, (gains, paid), tolerance in (
        (ours.currency, (gross, costs), 1e-6), (ours.percent, in_percent, 1e-9),
    ):  # fmt: skip
        expected = curve(paid)
        assert (curves.cost_sessions == expected.index.to_numpy("datetime64[D]")).all()
        agree(curves.costs, curves.cost_sessions, expected, tolerance)
        agree(curves.gross, curves.sessions, curve(gains), tolerance)
        agree(curves.net, curves.sessions, curve(net(gains, paid)), tolerance)
