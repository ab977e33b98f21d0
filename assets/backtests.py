"""Backtests: an asset for each strategy that trades, run over the desk's own history by the backtest factory.

Belongs here: asking for a backtest as the launchpad says, and drawing what came back. Does not belong here: the engine,
a strategy, or keeping results (the factory does, by the hash of what they are made of).
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from assets.materialized import OWNERS, described
from assets.pictures import image
from trading.backtest.factory import Answer, Backtests
from trading.backtest.result import Result
from trading.backtest.specification import Backtest, overridden
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import BACKTEST_RESULTS, CLEAN_FX_RATES, DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, SWEEP_RESULTS
from trading.reports import drawings

GROUP = "backtests"
SHOWN = ("ann_mean", "ann_std", "sharpe", "sortino", "worst_drawdown", "time_in_drawdown", "skew")
SPECS = [dg.AssetSpec(**described(dataset)) for dataset in (BACKTEST_RESULTS, SWEEP_RESULTS)]


class BacktestConfig(dg.Config):
    """Which sessions, on which instruments, with how much capital; empty: all, the strategy's, the strategy's or its
    share of the desk's. `overrides` change settings of the strategy, as {"buffer.fraction": 0.2}."""

    first: str = Field("", description="first session of the curve, YYYY-MM-DD; empty: the first there is")
    last: str = Field("", description="last session that is read, YYYY-MM-DD; empty: the last there is")
    instruments: list[str] = Field(default_factory=list, description="some of the strategy's; empty: all of them")
    capital: float = Field(
        0.0, ge=0, description="capital, base currency; 0: the strategy's, or its share of the desk's"
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="settings of the strategy by dotted path")


def asked(name: str, config: BacktestConfig, desk: DeskSettings) -> Backtest:
    """The backtest that a launchpad's words mean. Raises UsageError, WrongSpecification."""
    known = {strategy.name: strategy for strategy in desk.strategies}
    if name not in known:
        raise UsageError(f"strategy {name!r} is not configured. Known: {', '.join(known) or 'none'}.")
    strategy = overridden(known[name], config.overrides) if config.overrides else known[name]
    target = strategy.volatility_target_percent or desk.capital.volatility_target_percent
    return Backtest(
        strategy=strategy.model_copy(update={"volatility_target_percent": target}),
        instruments=tuple(config.instruments),
        first=_day(config.first, "first"),
        last=_day(config.last, "last"),
        capital_base=config.capital or strategy.capital_base or desk.capital.capital_base * strategy.capital_share,
        base_currency=strategy.base_currency or desk.capital.base_currency,
    )


def _day(text: str, name: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as cause:
        raise UsageError(f"{name} {text!r} is not a date. Give it as YYYY-MM-DD, or leave it out.") from cause


def shown(answer: Answer, unit: str) -> dict[str, Any]:
    """What Dagster shows of a result: curves, what costs took, and statistics after costs."""
    result = answer.result
    curve = percent(result)
    cumulative = curve[["gross_percent", "net_percent"]].cumsum()
    costs = curve["costs_percent"].fillna(0.0).cumsum()
    net = answer.statistics["net_percent"]
    return {
        "equity curve": image(drawings.equity_curve(cumulative, "percent of capital", "Backtest"), "equity curve"),
        "drawdown": image(drawings.drawdown(cumulative["net_percent"], "percent of capital"), "drawdown"),
        "costs": image(drawings.equity_curve(costs, "percent of capital", "Costs"), "costs"),
        "sessions": f"{result.sessions[0]} to {result.sessions[-1]}",
        "instruments": ", ".join(result.instruments),
        "gross percent": round(float(curve["gross_percent"].sum()), 4),
        "costs percent": round(float(curve["costs_percent"].sum()), 4),
        "net percent": round(float(curve["net_percent"].sum()), 4),
        "base currency": unit,
        "key": answer.key,
        "cached": answer.cached,
        "seconds": round(answer.seconds, 3),
        **{name: round(float(net[name]), 6) for name in SHOWN},
    }


def percent(result: Result) -> pd.DataFrame:
    """Gross, costs and net in percent of capital, by session."""
    names = ("gross_percent", "costs_percent", "net_percent")
    index = pd.DatetimeIndex(result.sessions.astype("datetime64[us]"), name="session")
    return pd.DataFrame({name: result.curves[name] for name in names}, index=index)


def backtest_asset(name: str) -> dg.AssetsDefinition:
    """The asset of a strategy's backtest, `backtests/<strategy>`."""

    @dg.asset(
        key=dg.AssetKey([GROUP, name]),
        description=f"Backtest of the strategy {name} over the desk's own prices, by the code that sets its targets.",
        group_name=GROUP,
        owners=OWNERS,
        kinds={"python", "delta"},
        tags={"daybook/layer": GROUP},
        deps=[dataset.name for dataset in (DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, CLEAN_FX_RATES)],
    )
    def backtest(
        config: BacktestConfig,
        backtests: dg.ResourceParam[Backtests],
        desk: dg.ResourceParam[DeskSettings],
    ) -> dg.MaterializeResult[None]:
        request = asked(name, config, desk)
        return dg.MaterializeResult(metadata=shown(backtests.run(request), request.base_currency))

    return backtest


def backtest_assets(names: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The assets of strategies by name."""
    return [backtest_asset(name) for name in names]
