"""Daybook's backtest of a reference system's configuration beside the reference system's own steps in plain pandas.

Test support: one comparison of every series, as a table of differences. Does not belong here: the reference's numbers
(`reference_system.py`), or which cases are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import reference_system as plain

from resources.csv_panels import csv_panel
from trading.analytics.performance import curve_statistics
from trading.backtest.engine import Evaluation, bench_of, evaluate, sizing_of
from trading.backtest.panel import Panel
from trading.config.pysystemtrade import translated
from trading.config.strategies import StrategySettings

NO_LISTS = {  # the instruments that the reference's shipped lists leave out, kept
    "duplicate_instruments": {"exclude": {"crude": [], "gas": [], "gold": [], "sp500": [], "corn": []}},
    "ignore_instruments": ["NONE"],
}
CLOSE_ENOUGH = 1e-9  # of the series' largest value


def settings_of(config: Mapping[str, Any]) -> StrategySettings:
    """Daybook's strategy of a configuration; costs of one date are added, where the reference keeps one by accident."""
    strategy = translated({**NO_LISTS, **config}, "parity")[0]
    return strategy.model_copy(update={"costs": strategy.costs.model_copy(update={"same_date": "added"})})


class Comparison:
    """Both systems on one folder and configuration."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.theirs = plain.Reference(folder, config)
        strategy = settings_of(config)
        codes = tuple(sorted(self.theirs.codes))
        panel = csv_panel(folder, codes, config.get("base_currency", "USD"), strategy.weekend_rows)
        bench = bench_of(panel, strategy)
        self.panel: Panel = bench.panel
        self.ours: Evaluation = evaluate(bench, strategy, sizing_of(strategy, strategy.capital_base or 0.0))
        self.dates = pd.DatetimeIndex(self.panel.sessions.astype("datetime64[us]"))

    def differences(self) -> pd.DataFrame:
        """One row for each series that differs: how much of its largest value, and cells missing on one side only."""
        rows = [row for name, ours, theirs in self._series() if (row := difference(name, ours, theirs))]
        return pd.DataFrame(rows, columns=["series", "relative", "missing", "rows", "first"])

    def sharpes(self) -> dict[str, tuple[float, float]]:
        """Ours and theirs by curve."""
        made, first, last = self.ours.account, *self.ours.account.rows
        ours = {
            "gross_percent": made.percent.gross, "net_percent": made.percent.net,
            "gross_base": made.currency.gross, "net_base": made.currency.net,
        }  # fmt: skip
        sessions = made.panel.sessions[first:last]
        return {
            name: (
                float(dict(curve_statistics(values[first:last], sessions, "daily", "first_value"))["sharpe"]),
                plain.sharpe(plain.curve(self.theirs.portfolio[name])),
            )
            for name, values in ours.items()
        }

    def _series(self) -> Iterator[tuple[str, pd.Series, pd.Series]]:
        for column, code in enumerate(self.panel.instruments):
            for name, ours, theirs in self._instrument(column, code):
                yield f"{code} {name}", ours, theirs
        portfolio, made = self.theirs.portfolio, self.ours.account
        for unit, curves in (("percent", made.percent), ("base", made.currency)):
            costs = pd.Series(curves.costs, pd.DatetimeIndex(curves.cost_sessions.astype("datetime64[us]")))
            yield f"portfolio gross {unit}", self._on(curves.gross), plain.curve(portfolio[f"gross_{unit}"])
            yield f"portfolio costs {unit}", costs, plain.curve(portfolio[f"costs_{unit}"])
            yield f"portfolio net {unit}", self._on(curves.net), plain.curve(portfolio[f"net_{unit}"])

    def _instrument(self, column: int, code: str) -> Iterator[tuple[str, pd.Series, pd.Series]]:
        wanted, theirs = self.ours.decisions.optimal, self.theirs
        market = theirs.markets[code]
        yield "price", self._on(self.panel.price[:, column]), market.price
        for rule in theirs.rules(code):
            known = self._on(wanted.forecasts.capped[rule][:, column])[theirs.forecasts[code].index]
            yield f"forecast {rule}", known, theirs.forecasts[code][rule].ffill()
        yield "combined", self._on(wanted.forecasts.combined[:, column]), theirs.combined[code]
        yield "subsystem", self._on(wanted.subsystem[:, column]), theirs.subsystem[code]
        yield "notional", self._on(wanted.notional[:, column]), theirs.notional[code]
        yield "position", self._on(self.ours.decisions.positions[:, column]), theirs.positions[code]
        curves, percent = self.ours.account.instruments_percent, theirs.instrument(code)
        dates = pd.DatetimeIndex(curves.cost_sessions.astype("datetime64[us]"))
        yield "gross", self._on(curves.gross[:, column]), plain.curve(percent["gross_percent"])
        yield "costs", pd.Series(curves.costs[:, column], dates), plain.curve(percent["costs_percent"])
        yield "net", self._on(curves.net[:, column]), plain.curve(percent["net_percent"])

    def _on(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values, self.dates)


def difference(name: str, ours: pd.Series, theirs: pd.Series) -> tuple[str, float, int, int, object] | None:
    """None where both are the same; whole contracts must be so exactly."""
    ours, theirs = ours.align(theirs.set_axis(theirs.index.astype("datetime64[us]")), join="outer")
    apart, size = (ours - theirs).abs(), theirs.abs().max()
    limit = 0.0 if name.endswith(" position") else CLOSE_ENOUGH * size
    missing, wrong = ours.isna() != theirs.isna(), apart > limit
    bad = missing | wrong | (np.isinf(ours) != np.isinf(theirs))
    if not bad.any():
        return None
    return name, float(apart.max() / size) if size else np.inf, int(missing.sum()), int(wrong.sum()), bad.idxmax()
