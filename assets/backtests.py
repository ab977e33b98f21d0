"""Backtests: a configured strategy over the desk's own history, its curve kept and drawn.

Belongs here: reading history, calling `trading.backtest`, keeping and drawing the curve. Does not belong here: the
engine, or a strategy.
"""

from collections.abc import Callable
from datetime import date, datetime

import dagster as dg
import pandas as pd
from pydantic import Field

from assets.layers import Sources
from assets.materialized import described, facts
from assets.pictures import image
from trading.analytics import volatility
from trading.analytics.performance import statistics
from trading.backtest.recurrence import BacktestResult, History, run
from trading.config.models import DeskSettings, StrategySettings
from trading.errors import UsageError
from trading.frames import BACKTEST_CURVES, CLEAN_FX_RATES, DAILY_PRICES, ROLL_GAPS, to_table
from trading.market import fx
from trading.market.daily import held_daily
from trading.market.instruments import in_force
from trading.ports import FrameStore, ReferenceStore, Span
from trading.reports import drawings
from trading.strategies.prices import anchored_prices


class BacktestConfig(dg.Config):
    """Which strategy, over which sessions, on which instruments; empty: the first configured, all, the strategy's."""

    strategy: str = ""
    first: str = ""
    last: str = ""
    instruments: list[str] = Field(default_factory=list)


def chosen(config: BacktestConfig, desk: DeskSettings) -> StrategySettings:
    """The configured strategy, with the instruments of the run if any. Raises UsageError on an unknown name."""
    known = {strategy.name: strategy for strategy in desk.strategies}
    name = config.strategy or next(iter(known), "")
    if name not in known:
        raise UsageError(f"strategy {name!r} is not configured. Known: {', '.join(known) or 'none'}.")
    update = {"instruments": tuple(config.instruments)} if config.instruments else {}
    return known[name].model_copy(update=update)


def read_history(sources: Sources, last: date) -> History:
    """Everything a backtest needs, through a session. Raises UsageError where no prices are held."""
    daily, gaps = sources.frame(DAILY_PRICES, last), sources.frame(ROLL_GAPS, last)
    if daily.empty:
        raise UsageError("there are no daily prices to backtest on. Run `daybook load` first.")
    prices = anchored_prices(daily.dropna(subset=["price"]), gaps)
    returns = volatility.returns_points(prices, over_gaps=sources.desk.market.calendar == "exchange")
    rolls = gaps.groupby(["session", "instrument"]).size().unstack()
    return History(
        prices=prices,
        held=held_daily(daily).reindex(index=prices.index, columns=prices.columns),
        volatility=volatility.mixed(returns),
        rates=_rates(sources, prices, last),
        rolls=rolls.reindex(index=prices.index, columns=prices.columns).fillna(0.0),
        point_values=_point_values(sources, prices, last),
    )


def _point_values(sources: Sources, prices: pd.DataFrame, last: date) -> pd.DataFrame:
    """What a point was worth, as in force on each session."""
    values = pd.DataFrame(index=prices.index, columns=prices.columns, dtype="float64")
    for since, found in reversed(list(in_force(sources.reference.instruments, prices.index[0].date(), last))):
        held = {code: found[code].point_value_local for code in prices.columns if code in found}
        values.loc[pd.Timestamp(max(since, prices.index[0].date())) :, list(held)] = list(held.values())
    return values


def _rates(sources: Sources, prices: pd.DataFrame, last: date) -> pd.DataFrame:
    """Base currency for one unit of each instrument's currency, by session and instrument."""
    instruments, base = sources.reference.instruments(last), sources.desk.capital.base_currency
    currencies = {code: instruments[code].currency for code in prices.columns}
    quotes = sources.frame(CLEAN_FX_RATES, last)
    long = fx.to_base(quotes, sorted({*currencies.values(), base}), base, prices.index)
    wide = long.pivot(index="session", columns="currency", values="rate").reindex(prices.index)
    return pd.DataFrame({code: wide[currency] for code, currency in currencies.items()})


@dg.asset(**described(BACKTEST_CURVES, deps=[DAILY_PRICES.name, ROLL_GAPS.name, CLEAN_FX_RATES.name]))
def backtest_curves(
    config: BacktestConfig,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.MaterializeResult:
    """Runs the configured strategy and replaces its curve."""
    sources, strategy = Sources(frames, reference, desk, clock()), chosen(config, desk)
    last = date.fromisoformat(config.last) if config.last else sources.now.date()
    found = run(read_history(sources, last), strategy, reference.instruments(last), desk.capital)
    rows = to_table(_since(found, config.first).rows(strategy.name), BACKTEST_CURVES)
    version = frames.replace(BACKTEST_CURVES, rows, Span(date.min, date.max, (strategy.name,)))
    return dg.MaterializeResult(metadata=facts(rows, version, _shown(_since(found, config.first), strategy.name)))


def _since(found: BacktestResult, first: str) -> BacktestResult:
    """The result from a session on; what came before only warmed it up."""
    if not first:
        return found
    curve = found.curve.loc[first:]
    return BacktestResult(found.positions.loc[first:], curve, statistics(curve["net_percent"]))


def _shown(found: BacktestResult, name: str) -> dict[str, object]:
    cumulative = found.curve[["gross_percent", "net_percent"]].cumsum()
    figures = {key: round(float(value), 6) for key, value in found.performance.figures().items()}
    return {
        "strategy": name,
        "equity curve": image(drawings.equity_curve(cumulative, "percent of capital", f"Backtest of {name}")),
        "drawdown": image(drawings.drawdown(cumulative["net_percent"], "percent of capital")),
        "costs percent": round(float(found.curve["costs_percent"].sum()), 4),
        **figures,
    }
