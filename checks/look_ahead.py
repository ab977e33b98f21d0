"""The check that a strategy's past does not depend on its future, at each backtest of one.

Belongs here: which backtest is judged, and saying what was found. Does not belong here: cutting and comparing
(`trading/backtest/look_ahead.py`).
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from assets.backtests import ASKED, GROUP, BacktestConfig, asked
from trading.backtest.factory import Backtests
from trading.backtest.specification import Backtest, DataSource
from trading.config.models import DeskSettings

CUTS = 10  # each takes as long as a backtest: 0.26 s of 18 instruments. 50: `daybook backtest --check-look-ahead`
NAME = "no_look_ahead"


class LookAheadConfig(dg.Config):
    """How thoroughly the check looks."""

    cuts: int = Field(CUTS, ge=1, description="random sessions after each of which the history is cut off")


def examined(panels: DataSource, backtests: Backtests, backtest: Backtest, cuts: int) -> dg.AssetCheckResult:
    """Cuts the desk's history after some sessions, the same ones on the same history, and compares."""
    from trading.backtest.look_ahead import of_backtest

    decided_by, model = backtests.parts(backtest)
    rules = backtests.rules(backtest)
    found = of_backtest(panels, backtest, cuts, decided_by=decided_by, model=model, known=rules)
    said = " ".join(each.sentence() for each in found[:3])
    return dg.AssetCheckResult(
        passed=not found,
        description=said or f"the future after each of {cuts} sessions changes nothing before",
        metadata={"outcome": "failed" if found else "passed", "found": len(found), "cuts": cuts},
    )


def _just_run(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> Backtest | None:
    """The backtest that this run made, with what the launchpad asked; None where the check runs alone."""
    event = context.instance.get_latest_materialization_event(key)
    if event is None or event.run_id != context.run.run_id or event.asset_materialization is None:
        return None
    return Backtest.model_validate_json(str(event.asset_materialization.metadata[ASKED].value))


def no_look_ahead(name: str) -> dg.AssetChecksDefinition:
    """The check at the backtest of a strategy."""
    key = dg.AssetKey([GROUP, name])

    @dg.asset_check(
        asset=key,
        name=NAME,
        description="With the future cut off after some sessions, no earlier forecast, position or P&L changes.",
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        config: LookAheadConfig,
        panels: dg.ResourceParam[DataSource],
        backtests: dg.ResourceParam[Backtests],
        desk: dg.ResourceParam[DeskSettings],
    ) -> dg.AssetCheckResult:
        backtest = _just_run(context, key) or asked(backtests.strategy(name), BacktestConfig.model_validate({}), desk)
        return examined(panels, backtests, backtest, config.cuts)

    return check


def look_ahead_checks(names: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """The checks of strategies by name."""
    return [no_look_ahead(name) for name in names]
