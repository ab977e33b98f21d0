"""The check that the close's targets are the backtest's, which is run again on what is stored, and compared.

Belongs here: reading what the close left. Does not belong here: comparing (`trading/backtest/agreement.py`).
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from math import nan
from typing import TYPE_CHECKING

import dagster as dg

from assets.layers import Sources
from assets.partitions import SESSIONS
from assets.signals import all_panels
from checks.sessions import examined_sessions
from trading.backtest.specification import DataSource
from trading.config.models import DeskSettings
from trading.config.strategies import sees_the_future
from trading.frames import OPTIMAL_POSITIONS, POSITIONS, TARGETS, Dataset
from trading.ports import FrameStore, ReferenceStore

if TYPE_CHECKING:
    from trading.backtest.agreement import Cell, Closed, Compared

_SPEC = dg.AssetCheckSpec(
    "targets_as_backtest",
    asset=dg.AssetKey(TARGETS.name),
    description="Optimal positions are the backtest's to the last bit, and so are targets where it holds the same.",
    partitions_def=SESSIONS,
)
_COLUMNS = [name for name in OPTIMAL_POSITIONS.schema.names if name not in ("strategy", "instrument", "session")]
CURE = "Close the sessions again. If it stays, the close does not run what was backtested: trade nothing on it."


def closed(sources: Sources, strategy: str, first: date, last: date) -> "Closed":
    """What the close left of a strategy in some sessions."""
    from trading.backtest.agreement import Closed

    def rows(dataset: Dataset) -> Iterator[tuple["Cell", dict[str, object]]]:
        for row in sources.rows(dataset, last, first).to_pylist():
            if row["strategy"] == strategy:
                yield (row["session"], row["instrument"]), row

    held: dict[Cell, int] = {}
    for cell, row in rows(POSITIONS):
        held[cell] = held.get(cell, 0) + int(str(row["quantity_contracts"]))
    wanted = {cell: {name: nan if row[name] is None else row[name] for name in _COLUMNS} for cell, row in rows(
        OPTIMAL_POSITIONS)}  # fmt: skip
    targets = {cell: row["target_contracts"] for cell, row in rows(TARGETS)}
    return Closed(wanted, targets, held)  # type: ignore[arg-type]


def compared(sources: Sources, panels: DataSource, first: date, last: date) -> list["Compared"]:
    """Every strategy of the desk, over the sessions examined."""
    from trading.backtest.agreement import compared as against
    from trading.strategies.closing import bench_through, sizing

    capital = sources.desk.capital
    return [
        against(panel, strategy, sizing(strategy, capital), closed(sources, strategy.name, first, last), first, last)
        for strategy, panel in all_panels(panels, sources.desk, last)
        if bench_through(panel, strategy) is not None
    ]


def foresight(desk: DeskSettings) -> list[str]:
    """Sentences about traded strategies whose backtests use what came later."""
    return [
        f"The backtest of {strategy.name} sees the future by {', '.join(options)}: it is no evidence for trading it."
        for strategy in desk.strategies
        if (options := sees_the_future(strategy))
    ]


def result(found: list["Compared"], desk: DeskSettings) -> dg.AssetCheckResult:
    """What Dagster shows."""
    wrong = [text for each in found for text in each.differences]
    positions, targets = sum(each.positions for each in found), sum(each.targets for each in found)
    outcome = "failed" if wrong else "passed" if positions else "not applicable"
    same = f"{positions} optimal positions and {targets} targets are the backtest's"
    said = " ".join([*wrong[:3], CURE]) if wrong else same if positions else "not applicable: nothing was decided"
    return dg.AssetCheckResult(
        passed=outcome == "passed",
        severity=dg.AssetCheckSeverity.ERROR if wrong else dg.AssetCheckSeverity.WARN,
        description=" ".join([said, *foresight(desk)]),
        metadata={"outcome": outcome, "found": len(wrong), "optimal positions": positions, "targets": targets},
    )


@dg.multi_asset_check(name="targets_as_backtest", specs=[_SPEC])
def targets_as_backtest(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    panels: dg.ResourceParam[DataSource],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Reads the panel through the last session examined and compares."""
    sources = Sources(frames, reference, desk, clock())
    first, last = examined_sessions(context, sources, TARGETS)
    found = compared(sources, panels, first, last)
    yield result(found, desk)._replace(check_name=_SPEC.name, asset_key=_SPEC.asset_key)


CHECKS = [targets_as_backtest]
