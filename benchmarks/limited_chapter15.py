"""Claim: ten years of chapter 15 on real prices, with a cap on gross exposure and a limit on volatility: the book stays
within both wherever an order could take it past them, and it is told on which days what was refused and what that cost.

Prints refusals by year and rule, the curve with and without limits, and the backtest of value at risk (Kupiec,
Christoffersen) of the book with limits; writes pictures into --pictures. Checked with arrays of its own: after every
session in which the book grew, gross exposure and volatility are within the limits. Exit code 1 where one is not.

Needs ../shared. Run: `python benchmarks/limited_chapter15.py [--first 2012-02-25] [--gross 12] [--volatility 1.1]`.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks.bars import machine
from resources.csv_panels import CsvPanels
from trading.backtest.panel import Panel
from trading.backtest.parts.engines import DailyEngine, LimitedEngine, RiskOptions
from trading.backtest.result import Result
from trading.config.risk import RiskModelSettings
from trading.config.strategies import StrategySettings
from trading.reports import drawings
from trading.risk import value_at_risk as tails

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "futures"
CAPITAL, DAYS = 250_000.0, 256.0


def measured(
    panel: Panel, positions: Any, strategy: StrategySettings, model: RiskModelSettings
) -> tuple[Any, Any, Any]:
    """Gross exposure and volatility (multiples of capital, and of the target) after each session, by plain pandas; and
    gains of one contract."""
    held = pd.DataFrame(positions).fillna(0.0)
    rate = pd.DataFrame(panel.rate).ffill().to_numpy() if strategy.execution.rates == "session" else _midnight(panel)
    worth = panel.point_value * rate
    marks = pd.DataFrame(panel.held).ffill().to_numpy()
    gross = np.nansum(np.abs(held.to_numpy()) * np.abs(marks) * worth, axis=1) / CAPITAL
    prices = pd.DataFrame(panel.price)
    moves = (prices - prices.ffill().shift(1)).to_numpy()
    target = float(strategy.volatility_target_percent or 20.0) / 100.0
    volatility = np.full(len(held), np.nan)
    for row in range(model.sessions, len(held)):
        gains = np.nan_to_num(moves[row - model.sessions + 1 : row + 1] * worth[row])
        weights = 0.5 ** (np.arange(model.sessions - 1, -1, -1) / model.half_life_sessions)
        there = np.isfinite(moves[row - model.sessions + 1 : row + 1])
        sigma = np.sqrt((weights @ gains**2) / (weights @ there))
        scaled = np.sqrt(weights)[:, None] * gains
        norms = np.sqrt((scaled**2).sum(axis=0))
        correlation = (scaled.T @ scaled) / np.outer(norms, norms)
        risk = held.to_numpy()[row] * sigma
        held_now = risk != 0
        variance = risk[held_now] @ correlation[np.ix_(held_now, held_now)] @ risk[held_now]
        volatility[row] = 16.0 * np.sqrt(max(0.0, variance)) / CAPITAL / target
    return gross, volatility, moves * worth


def _midnight(panel: Panel) -> Any:
    return panel.rate_midnight[(panel.sessions - panel.first_day).astype(np.int64)]


def curve(result: Result) -> dict[str, float]:
    """What people ask of a curve, from net percent returns of a day."""
    returns = pd.Series(result.curves["net_percent"]).dropna()
    total = returns.cumsum()
    return {
        "a year, %": returns.mean() * DAYS,
        "volatility, %": returns.std() * np.sqrt(DAYS),
        "Sharpe ratio": returns.mean() / returns.std() * np.sqrt(DAYS),
        "worst fall, %": (total.cummax() - total).max(),
        "worst day, %": -returns.min(),
    }


def table(title: str, columns: dict[str, dict[str, float]]) -> None:
    """Prints named columns beside each other."""
    print(f"\n{title}")
    print(f"  {'':18}" + "".join(f"{name:>18}" for name in columns))
    for name in next(iter(columns.values())):
        print(f"  {name:18}" + "".join(f"{column[name]:18.3f}" for column in columns.values()))


def refusals(result: Result) -> None:
    """Refused orders by year and rule, and the days with the most of them."""
    names = sorted(name for name in result.curves if name.startswith("refused_by_"))
    frame = pd.DataFrame({name.removeprefix("refused_by_"): result.curves[name] for name in names}, result.sessions)
    frame["sessions"] = result.curves["refused_orders"] > 0
    print("\nrefused orders by year and rule, and sessions with any")
    print(frame.groupby(pd.DatetimeIndex(result.sessions).year).sum().astype(int).to_string())
    refused = pd.Series(result.curves["refused_orders"], result.sessions)
    days = refused[refused > 0]
    print(f"\n{len(days)} sessions with a refusal, of {len(refused)}; runs of them:")
    gaps = (np.diff(np.flatnonzero(refused.to_numpy())) > 1).cumsum() if len(days) else []
    runs = days.groupby(np.concatenate([[0], gaps])).agg(lambda run: (run.index[0], run.index[-1], int(run.sum())))
    for first, last, count in sorted(runs, key=lambda run: -run[2])[:12]:
        print(f"  {pd.Timestamp(first).date()} to {pd.Timestamp(last).date()}: {count} orders")


def tail_table(panel: Panel, gains: Any, positions: Any, rows: slice, model: RiskModelSettings) -> None:
    """The backtest of value at risk of the book, both ways."""
    found = tails.forecasts(gains[: rows.stop], np.nan_to_num(positions[: rows.stop]), model)
    gained = found.gain_base[rows.start :]
    print(f"\nvalue at risk of a day at {model.confidence:.1%}, {model.sessions} sessions, {len(gained)} days")
    print(f"  {'':12}{'days':>8}{'passed':>8}{'expected':>10}{'Kupiec p':>12}{'indep. p':>12}{'both p':>12}")
    for name in ("historical", "parametric"):
        forecast = np.concatenate([[np.nan], getattr(found, name)[:-1]])[rows.start :]
        hits = tails.exceedances(forecast, gained)
        ratios = (
            tails.unconditional_coverage(hits, model.confidence), tails.independence(hits),
            tails.conditional_coverage(hits, model.confidence),
        )  # fmt: skip
        values = "".join(f"{ratio.p_value:12.4f}" for ratio in ratios)
        print(f"  {name:12}{len(hits):8}{int(hits.sum()):8}{len(hits) * (1 - model.confidence):10.1f}{values}")


def pictures(folder: Path, free: Result, limited: Result, gross: Any, volatility: Any, first: int) -> None:
    """Curves with and without limits, exposure and volatility, and refusals."""
    folder.mkdir(parents=True, exist_ok=True)
    index = pd.DatetimeIndex(limited.sessions)
    both = pd.DataFrame(
        {"without limits": free.curves["net_percent"], "with limits": limited.curves["net_percent"]}, index
    )
    drawn = {
        "curves": drawings.equity_curve(both.fillna(0.0).cumsum(), "% of capital", "Chapter 15"),
        "gross_exposure": drawings.price_lines(pd.DataFrame({"gross": gross[first:]}, index), "x capital", "Exposure"),
        "volatility": drawings.price_lines(
            pd.DataFrame({"volatility": volatility[first:]}, index), "x target", "Volatility of the book"
        ),
        "refusals": drawings.price_lines(
            pd.DataFrame({"orders": limited.curves["refused_orders"]}, index), "orders", "Refused orders"
        ),
    }
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png")
    print(f"\npictures: {', '.join(f'{name}.png' for name in drawn)} in {folder}")


def main() -> int:
    """Prints all of it; 1 where the book grew past a limit."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--first", type=date.fromisoformat, default=date(2012, 2, 25))
    asked.add_argument("--gross", type=float, default=12.0, help="largest gross exposure, times capital")
    asked.add_argument("--volatility", type=float, default=1.1, help="largest volatility, times the target")
    asked.add_argument("--pictures", type=Path, default=Path("pictures"))
    given = asked.parse_args()
    if not SOURCE.is_dir():
        print(f"{SOURCE} is not there: the real prices are needed.")
        return 2
    print(machine())
    strategy = StrategySettings.model_validate(
        tomllib.loads((ROOT / "config" / "strategies" / "chapter15.toml").read_text())
    )
    panel = CsvPanels(SOURCE, "benchmark").panel(sorted(strategy.instruments), "USD", "friday")
    options = RiskOptions.model_validate(
        {"max_gross_exposure_fraction": given.gross,
         "limits": [{"rule": "portfolio_volatility", "refuse": given.volatility, "reducing": "judge"}]}
    )  # fmt: skip
    whole = DailyEngine().evaluate(panel, strategy, CAPITAL)
    began = time.perf_counter()
    limited_whole = LimitedEngine(options).evaluate(panel, strategy, CAPITAL)
    print(f"{panel.price.shape[0]:,} sessions of {panel.price.shape[1]} instruments, judged in "
          f"{time.perf_counter() - began:.1f} s; told of are those from {given.first} on")  # fmt: skip
    first = panel.row(given.first)
    free, limited = (_since(result, first) for result in (whole, limited_whole))
    print(f"limits: gross exposure {given.gross:g} x capital, volatility {given.volatility:g} x target")
    refusals(limited)
    table("curve", {"without limits": curve(free), "with limits": curve(limited)})
    gross, volatility, gains = measured(panel, limited_whole.positions, strategy, options.model)
    tail_table(panel, gains, limited_whole.positions, slice(first, len(panel.sessions)), options.model)
    pictures(given.pictures, free, limited, gross, volatility, first)
    return _held(limited_whole, gross, volatility, first, given)


def _since(result: Result, first: int) -> Result:
    curves = {name: values[first:] for name, values in result.curves.items()}
    return replace(result, sessions=result.sessions[first:], positions=result.positions[first:], curves=curves)


def _held(result: Result, gross: Any, volatility: Any, first: int, given: argparse.Namespace) -> int:
    held = np.nan_to_num(result.positions)
    grew = np.concatenate([[False], (np.abs(held[1:]) > np.abs(held[:-1])).any(axis=1)])
    grew[:first] = False
    past = {
        "gross exposure": int((gross[grew] > given.gross * (1 + 1e-9)).sum()),
        "volatility": int((volatility[grew] > given.volatility * (1 + 1e-6)).sum()),
    }
    print(f"\nof {int(grew.sum())} sessions in which a position grew, past a limit afterwards: {past}")
    return 1 if any(past.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
