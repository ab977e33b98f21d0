"""The signals layer: forecasts of every strategy, and the positions it would hold if trading were free.

Belongs here: asking for the panel of the desk's prices, calling the code that backtests run, laying out its answer as
rows. Does not belong here: targets, which depend on what is held (`book.py`), and any formula.
"""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from trading.backtest.panel import Panel
from trading.backtest.specification import DataSource
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.frames import (
    CLEAN_FX_RATES,
    DAILY_PRICES,
    FORECASTS,
    MULTIPLE_PRICES,
    OPTIMAL_POSITIONS,
    ROLL_GAPS,
    Dataset,
)
from trading.ports import FrameStore, Span

if TYPE_CHECKING:
    from trading.strategies.closing import Sized

DATASETS: tuple[Dataset, ...] = (FORECASTS, OPTIMAL_POSITIONS)
_NEEDS = [dataset.name for dataset in (DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, CLEAN_FX_RATES)]
Rows = list[dict[str, Any]]


def calculated(panels: DataSource, desk: DeskSettings, first: date, last: date) -> dict[str, pa.Table]:
    """Rows of both datasets for the sessions of a range, from all history through its end."""
    rows: dict[str, Rows] = {dataset.name: [] for dataset in DATASETS}
    for strategy, found in all_sized(panels, desk, last):
        rows[FORECASTS.name] += _forecasts(found, strategy, first, last)
        rows[OPTIMAL_POSITIONS.name] += _positions(found, strategy, first, last)
    return {dataset.name: pa.Table.from_pylist(rows[dataset.name], dataset.schema) for dataset in DATASETS}


def all_sized(panels: DataSource, desk: DeskSettings, last: date) -> Iterator[tuple[str, "Sized"]]:
    """Each strategy of the desk by name, on the panel through a session; one without any price is left out."""
    from trading.strategies.closing import sized

    for strategy, panel in all_panels(panels, desk, last):
        found = sized(panel, strategy, desk.capital)
        if found is not None:
            yield strategy.name, found


def all_panels(panels: DataSource, desk: DeskSettings, last: date) -> Iterator[tuple[StrategySettings, Panel]]:
    """Each strategy of the desk with the panel through a session of its own instruments, those of them that there are:
    the panel its backtest reads, which begins where the first of them does."""
    from trading.strategies.universe import listed

    read: dict[Any, Panel] = {}
    known = panels.instruments()
    for strategy in desk.strategies:
        codes = tuple(sorted(set(listed(strategy) or known) & set(known)))
        key = codes, strategy.base_currency or desk.capital.base_currency, strategy.weekend_rows
        if codes and key not in read:
            read[key] = panels.panel(*key, last)
        if codes:
            yield strategy, read[key]


def _forecasts(found: "Sized", strategy: str, first: date, last: date) -> Iterator[dict[str, Any]]:
    for rule, values in found.forecasts().items():
        for session, code, row, column in found.cells(first, last):
            value = values[row, column]
            known = None if value != value else float(value)
            yield {"strategy": strategy, "instrument": code, "rule": rule, "session": session, "forecast": known}


def _positions(found: "Sized", strategy: str, first: date, last: date) -> Iterator[dict[str, Any]]:
    for session, code, row, column in found.cells(first, last):
        values = {name: _known(value) for name, value in found.wanted(row, column).items()}
        yield {"strategy": strategy, "instrument": code, "session": session, **values}


def _known(value: float) -> float | None:
    return None if value != value else value


def _spec(dataset: Dataset) -> dg.AssetSpec:
    return dg.AssetSpec(**described(dataset, deps=_NEEDS))


@dg.multi_asset(specs=[_spec(dataset) for dataset in DATASETS], can_subset=False, **by_session())
def signals(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    panels: dg.ResourceParam[DataSource],
    desk: dg.ResourceParam[DeskSettings],
):
    """Forecasts and optimal positions of every strategy, by the code that backtests run."""
    first, last = session_range(context)
    rows = calculated(panels, desk, first, last)
    for dataset in DATASETS:
        version = frames.replace(dataset, rows[dataset.name], Span(first, last))
        yield session_result(context, facts(rows[dataset.name], version), dataset.name)
