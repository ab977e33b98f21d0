"""The check that a strategy's past does not depend on its future, at each backtest of one.

Belongs here: asking for panels through a few sessions. Does not belong here: cutting and comparing
(`trading/backtest/look_ahead.py`).
"""

from collections.abc import Sequence

import dagster as dg

from trading.backtest.specification import DataSource
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.errors import UsageError

CUTS = 5
NAME = "no_look_ahead"


def examined(panels: DataSource, desk: DeskSettings, strategy: StrategySettings) -> dg.AssetCheckResult:
    """Cuts the desk's history after a few sessions, the same ones on the same history, and compares."""
    from trading.backtest.look_ahead import Subject, cuts, look_ahead, panels_of
    from trading.strategies.closing import sizing

    codes = strategy.instruments or tuple(strategy.portfolio.weights) or panels.instruments()
    through = panels_of(panels, codes, strategy.base_currency or desk.capital.base_currency)
    days = cuts(through(strategy.weekend_rows, None).sessions, CUTS)
    found = look_ahead(through, Subject(strategy, sizing(strategy, desk.capital)), days)
    said = " ".join(each.sentence() for each in found[:3])
    return dg.AssetCheckResult(
        passed=not found,
        description=said or f"the future after {', '.join(map(str, days))} changes nothing before",
        metadata={"outcome": "failed" if found else "passed", "found": len(found), "cuts": ", ".join(map(str, days))},
    )


def no_look_ahead(name: str) -> dg.AssetChecksDefinition:
    """The check at the backtest of a strategy."""

    @dg.asset_check(
        asset=dg.AssetKey(["backtests", name]),
        name=NAME,
        description="With the future cut off after some sessions, no earlier forecast, position or P&L changes.",
    )
    def check(panels: dg.ResourceParam[DataSource], desk: dg.ResourceParam[DeskSettings]) -> dg.AssetCheckResult:
        known = {strategy.name: strategy for strategy in desk.strategies}
        if name not in known:
            raise UsageError(f"strategy {name!r} is not configured. Known: {', '.join(known) or 'none'}.")
        return examined(panels, desk, known[name])

    return check


def look_ahead_checks(names: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """The checks of strategies by name."""
    return [no_look_ahead(name) for name in names]
