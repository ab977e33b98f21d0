"""The check at a backtest that its past does not depend on its future, on a made-up market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import dagster as dg
import numpy as np

from assets.backtests import backtest_asset
from checks.look_ahead import look_ahead_checks
from trading.backtest.panel import Panel
from trading.backtest.simulated import simulated_panel
from trading.config.models import DeskSettings
from trading.config.strategies import CostSettings, RuleSettings, StrategySettings

CROSSOVER = RuleSettings(rule="ewmac", parameters={"fast": 16, "slow": 64}, scalar=3.75, weight=1.0)
SOUND = StrategySettings(name="sound", rules={"trend": CROSSOVER})
PEEKS = StrategySettings(name="peeks", rules={"trend": CROSSOVER}, costs=CostSettings(deflator="final_volatility"))


class Market:
    """A data source whose history grows with the session asked for."""

    def instruments(self) -> Sequence[str]:
        return ("ALPHA", "BETA")

    def version(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> str:
        return str(through)

    def panel(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> Panel:
        days = 700 if through is None else int(np.busday_count("2000-01-03", through)) + 1
        return simulated_panel(instruments, days)


def test_a_sound_strategy_passes_and_one_that_peeks_is_named() -> None:
    checks = look_ahead_checks(["sound", "peeks"])
    defs = dg.Definitions(
        [backtest_asset("sound"), backtest_asset("peeks")],
        asset_checks=checks,
        jobs=[dg.define_asset_job("looks", selection=dg.AssetSelection.checks(*checks))],
        resources={
            "panels": dg.ResourceDefinition.hardcoded_resource(Market()),
            "desk": dg.ResourceDefinition.hardcoded_resource(DeskSettings(strategies=(SOUND, PEEKS))),
            "backtests": dg.ResourceDefinition.hardcoded_resource(None),
        },
    )
    result = defs.resolve_job_def("looks").execute_in_process(instance=dg.DagsterInstance.ephemeral())
    found = {each.asset_key.path[-1]: each for each in result.get_asset_check_evaluations()}
    assert found["sound"].passed
    assert not found["peeks"].passed
    assert "Leave costs.deflator at the default." in str(found["peeks"].description)
