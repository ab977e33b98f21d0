"""The sweep: many variants of one strategy over the desk's own history, asked for in the launchpad.

Belongs here: what the launchpad takes, and showing what was found. Does not belong here: running variants, keeping
their results, or drawing.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from assets.backtests import GROUP, BacktestConfig, asked
from assets.materialized import OWNERS
from assets.pictures import image
from trading.backtest.factory import Searched, Sweeps
from trading.backtest.sweeps import Sweep
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import CLEAN_FX_RATES, DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS
from trading.reports.heat_maps import sweep_map

SHOWN = 20  # of the best variants
FIGURES = ("sharpe", "ann_mean", "ann_std", "worst_drawdown", "skew")
NAMES = {
    "deflated_sharpe": "deflated Sharpe ratio of the best",
    "probability_of_overfitting": "probability of backtest overfitting",
    "probability_of_loss": "probability that the best loses",
    "slope": "slope of later on earlier Sharpe ratio",
    "trials": "trials that count",
}


class AxisConfig(dg.Config):
    """One thing that varies: either `values`, or the range `low` to `high`, or a `total`, which two are for random and
    Optuna searches. Paths joined by + vary together, and each of `values` is then a list."""

    path: str = Field(description="setting by dotted path, as buffer.fraction; * means every name there")
    values: list[Any] = Field(default_factory=list, description="each value it takes")
    low: float | None = Field(None, description="least value of a range")
    high: float | None = Field(None, description="largest value of a range, included")
    log: bool = Field(False, description="the range is even in the logarithm")
    whole: bool = Field(False, description="the range is of whole numbers")
    total: float | None = Field(None, description="sum of random numbers, one for each path: for weights")


class SweepConfig(dg.Config):
    """A strategy, what varies in it, and how its variants are searched: all combinations, unless a number of random
    variants, or of variants that Optuna chooses, is given."""

    strategy: str = Field(description="name of a strategy file, traded or not")
    axes: list[AxisConfig] = Field(description="what varies")
    random: int = Field(0, ge=0, description="this many random variants; 0: not at random")
    optuna: int = Field(0, ge=0, description="this many variants chosen by Optuna; 0: not by it")
    seed: int = Field(0, ge=0, description="of random numbers")
    rescale_weights: bool = Field(False, description="weights of a variant are divided by their sum")
    objective: str = Field("net_percent.sharpe", description="curve and statistic that is best highest")
    first: str = Field("", description="first session of the curves, YYYY-MM-DD; empty: the first there is")
    last: str = Field("", description="last session that is read, YYYY-MM-DD; empty: the last there is")
    instruments: list[str] = Field(default_factory=list, description="some of the strategy's; empty: all of them")
    capital: float = Field(
        0.0, ge=0, description="capital, base currency; 0: the strategy's, or its share of the desk's"
    )
    workers: int = Field(0, ge=0, description="processes of this machine; 0: one a processor")
    dask: str = Field("", description="address of a Dask scheduler, whose workers are used instead")
    deadline_seconds: float = Field(0.0, ge=0, description="the run ends then, and what was done is kept; 0: none")
    memory_mb: float = Field(0.0, ge=0, description="a worker that holds more ends the run; 0: no ceiling")


def wanted(config: SweepConfig, sweeps: Sweeps, desk: DeskSettings) -> Sweep:
    """The sweep that a launchpad's words mean. Raises UsageError, ConfigError, WrongSpecification."""
    if config.random and config.optuna:
        raise UsageError("random and optuna are two ways to search. Set one of them to 0.")
    given = {name: getattr(config, name) for name in ("first", "last", "instruments", "capital")}
    return Sweep(
        backtest=asked(sweeps.strategy(config.strategy), BacktestConfig(**given), desk),
        axes=[_axis(axis) for axis in config.axes],
        search="random" if config.random else "optuna" if config.optuna else "grid",
        trials=config.random or config.optuna,
        seed=config.seed,
        rescale_weights=config.rescale_weights,
        objective=config.objective,
    )


def _axis(given: AxisConfig) -> dict[str, Any]:
    paths = [path.strip() for path in given.path.split("+")]
    values = [value if isinstance(value, list) else [value] for value in given.values]
    rest = {name: getattr(given, name) for name in ("low", "high", "log", "whole", "total")}
    return {"paths": paths, "values": values, **rest}


def shown(sweep: Sweep, found: Searched) -> dict[str, Any]:
    """What Dagster shows of a sweep: counts, the best variants, the heat map, and what choosing the best is worth."""
    facts: dict[str, Any] = {
        "variants": len(found.variants),
        "computed": found.computed,
        "known": found.known,
        "left": found.left,
        "dropped": found.dropped,
        "objective": sweep.objective,
        "key": found.key,
        "seconds": round(found.seconds, 3),
        "best variants": best(sweep, found),
        **{name: round(found.odds[each], 6) for each, name in NAMES.items() if each in found.odds},
    }
    figure = sweep_map(sweep, found.variants, found.objectives())
    return facts if figure is None else {**facts, "heat map": image(figure, "heat map")}


def best(sweep: Sweep, found: Searched) -> dg.TableMetadataValue:
    """The variants with the highest objective: number, what each changes, and its figures after costs."""
    objectives, statistics = found.objectives(), found.statistics()
    places = sorted((n for n, value in enumerate(objectives) if value == value), key=lambda n: -objectives[n])[:SHOWN]
    names = dict.fromkeys((sweep.objective, *(f"net_percent.{name}" for name in FIGURES)))
    rows = [{"variant": n, **found.variants[n], **_rounded(statistics[n], names)} for n in places]
    columns = [dg.TableColumn(name, "string") for name in dict.fromkeys(name for row in rows for name in row)]
    schema = dg.TableSchema(columns=columns or [dg.TableColumn("variant", "string")])
    return dg.TableMetadataValue(records=[dg.TableRecord(_plain(row)) for row in rows], schema=schema)


def _rounded(statistics: Mapping[str, Any], names: Mapping[str, None]) -> dict[str, Any]:
    return {name: round(value, 4) for name in names if isinstance(value := statistics.get(name), int | float)}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in row.items()}


@dg.asset(
    key=dg.AssetKey("sweeps"),
    description="Variants of one strategy over the desk's own prices, each computed once: kept in sweep_results.",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "delta"},
    tags={"daybook/layer": GROUP},
    deps=[dataset.name for dataset in (DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, CLEAN_FX_RATES)],
)
def variants(
    context: dg.AssetExecutionContext,
    config: SweepConfig,
    sweeps: dg.ResourceParam[Sweeps],
    desk: dg.ResourceParam[DeskSettings],
) -> dg.MaterializeResult[None]:
    """Runs what the launchpad says. One that was stopped fails, with what was done kept and shown."""
    request = wanted(config, sweeps, desk)
    found = sweeps.run(
        request,
        context.log.info,
        workers=config.workers or None,
        dask=config.dask or None,
        deadline_s=config.deadline_seconds or None,
        memory_mb=config.memory_mb or None,
    )
    if found.stopped is not None:
        raise dg.Failure(str(found.stopped), metadata=shown(request, found), allow_retries=False)
    return dg.MaterializeResult(metadata=shown(request, found))
