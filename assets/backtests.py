"""Backtests: an asset for each strategy file, run over the desk's own history by the backtest factory.

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
from trading.backtest.specification import Backtest, Choice, overridden
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.errors import UsageError
from trading.frames import BACKTEST_RESULTS, CLEAN_FX_RATES, DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, SWEEP_RESULTS
from trading.reports import drawings

GROUP = "backtests"
ASKED = "specification"
SHOWN = ("ann_mean", "ann_std", "sharpe", "sortino", "worst_drawdown", "time_in_drawdown", "skew")
SPECS = [dg.AssetSpec(**described(dataset)) for dataset in (BACKTEST_RESULTS, SWEEP_RESULTS)]


class PartConfig(dg.Config):
    """A registered part, as `daybook backtest --list` names it, and its parameters."""

    name: str = Field("", description="empty: the strategy's own")
    parameters: dict[str, Any] = Field(default_factory=dict, description="as the part says")


class BacktestConfig(dg.Config):
    """Which sessions, on which instruments, with how much capital; empty: all, the strategy's, the strategy's or its
    share of the desk's. `overrides` change settings of the strategy, as {"buffer.fraction": 0.2}; `costs`, `engine` and
    `decided_by` put registered parts in place of its own."""

    first: str = Field("", description="first session of the curve, YYYY-MM-DD; empty: the first there is")
    last: str = Field("", description="last session that is read, YYYY-MM-DD; empty: the last there is")
    instruments: list[str] = Field(default_factory=list, description="some of the strategy's; empty: all of them")
    capital: float = Field(
        0.0, ge=0, description="capital, base currency; 0: the strategy's, or its share of the desk's"
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="settings of the strategy by dotted path")
    costs: PartConfig = Field(default_factory=PartConfig, description="a cost model; empty: the strategy's own costs")
    engine: PartConfig = Field(default_factory=PartConfig, description="an engine; empty: daybook")
    decided_by: PartConfig = Field(default_factory=PartConfig, description="who decides positions; empty: its rules")
    seed: int = Field(0, ge=0, description="of whatever draws random numbers")
    deadline_s: float = Field(0.0, ge=0, description="seconds, after which the work is killed; 0: none")


def asked(own: StrategySettings, config: BacktestConfig, desk: DeskSettings) -> Backtest:
    """The backtest of a strategy that a launchpad's words mean. Raises UsageError, WrongSpecification."""
    strategy = overridden(own, config.overrides) if config.overrides else own
    target = strategy.volatility_target_percent or desk.capital.volatility_target_percent
    return Backtest(
        strategy=strategy.model_copy(update={"volatility_target_percent": target}),
        instruments=tuple(config.instruments),
        first=_day(config.first, "first"),
        last=_day(config.last, "last"),
        capital_base=config.capital or strategy.capital_base or desk.capital.capital_base * strategy.capital_share,
        base_currency=strategy.base_currency or desk.capital.base_currency,
        decided_by=_part(config.decided_by, "rules"),
        costs=_part(config.costs, "settings"),
        engine=_part(config.engine, "daybook"),
        seed=config.seed,
    )


def _part(config: PartConfig, own: str) -> Choice:
    return Choice(name=config.name or own, parameters=config.parameters)


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
        request = asked(backtests.strategy(name), config, desk)
        answer = backtests.run(request, config.deadline_s or None)
        said = {ASKED: dg.MetadataValue.text(request.model_dump_json())}
        return dg.MaterializeResult(metadata={**shown(answer, request.base_currency), **said})

    return backtest


def backtest_assets(names: Sequence[str]) -> list[dg.AssetsDefinition]:
    """The assets of strategies by name."""
    return [backtest_asset(name) for name in names]
