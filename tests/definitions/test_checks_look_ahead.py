"""The check at a backtest that its past does not depend on its future, on a made-up market."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.backtests import backtest_assets
from checks.look_ahead import look_ahead_checks
from pipelines.backtest_library import BacktestLibrary
from pipelines.settings import Place
from trading.backtest.panel import Panel
from trading.backtest.simulated import simulated_panel
from trading.config.models import DeskSettings

STRATEGY = """
volatility_target_percent = 20.0
[rules.trend]
rule = "ewmac"
parameters = { fast = 16, slow = 64 }
scalar = 3.75
weight = 1.0
"""
PEEKS = '[costs]\ndeflator = "final_volatility"\n'


class Market:
    """A data source whose history grows with the session asked for."""

    def instruments(self) -> Sequence[str]:
        return ("ALPHA", "BETA")

    def version(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> str:
        return self.panel(instruments, base, weekend_rows, through).version

    def panel(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> Panel:
        days = 700 if through is None else int(np.busday_count("2000-01-03", through)) + 1
        return simulated_panel(instruments, days)


@pytest.fixture
def where(tmp_path: Path) -> Place:
    """A home with a sound strategy and one that peeks, neither of which trades."""
    folder = tmp_path / "home" / "strategies"
    folder.mkdir(parents=True)
    (folder / "sound.toml").write_text(STRATEGY)
    (folder / "peeks.toml").write_text(STRATEGY + PEEKS)
    return Place(tmp_path / "home", "local", tmp_path / "backups")


class Ran:
    """A job of both strategies' checks, with or without their backtests, run in this process."""

    def __init__(self, where: Place, *, alone: bool = False, **config: Any) -> None:
        assets, checks = backtest_assets(["sound", "peeks"]), look_ahead_checks(["sound", "peeks"])
        every = dg.AssetSelection.assets(*assets) | dg.AssetSelection.checks(*checks)
        chosen = dg.AssetSelection.checks(*checks) if alone else every
        defs = dg.Definitions(
            assets,
            asset_checks=checks,
            jobs=[dg.define_asset_job("looks", selection=chosen, executor_def=dg.in_process_executor)],
            resources={
                "panels": dg.ResourceDefinition.hardcoded_resource(Market()),
                "desk": dg.ResourceDefinition.hardcoded_resource(DeskSettings()),
                "backtests": dg.ResourceDefinition.hardcoded_resource(BacktestLibrary(where, Market())),
            },
        )
        run = {"ops": {op: {"config": given} for op, given in config.items()}}
        with dg.DagsterInstance.ephemeral() as instance:
            job = defs.resolve_job_def("looks")
            self.result = job.execute_in_process(run_config=run, instance=instance, raise_on_error=False)
        self.found = {each.asset_key.path[-1]: each for each in self.result.get_asset_check_evaluations()}

    def shown(self, name: str) -> dict[str, Any]:
        """Metadata of a strategy's backtest."""
        (made,) = self.result.asset_materializations_for_node(f"backtests__{name}")
        return {key: value.value for key, value in made.metadata.items()}

    def said(self) -> str:
        """Errors of steps."""
        return " ".join(str(event.step_failure_data.error) for event in self.result.all_events if event.is_step_failure)


def test_a_sound_strategy_passes_and_one_that_peeks_is_named(where: Place) -> None:
    found = Ran(where, alone=True).found
    assert found["sound"].passed
    assert found["sound"].metadata["cuts"].value == 10
    assert not found["peeks"].passed
    assert "Leave costs.deflator at the default." in str(found["peeks"].description)


def test_what_the_launchpad_asked_is_judged(where: Place) -> None:
    ran = Ran(
        where,
        backtests__peeks={"overrides": {"costs.deflator": "none"}},
        backtests__sound={"overrides": {"volatility.backfill": True, "volatility.min_periods": 400}},
        backtests__sound_no_look_ahead={"cuts": 4},
    )
    assert ran.result.success
    assert ran.found["peeks"].passed
    assert not ran.found["sound"].passed
    assert "volatility.backfill" in str(ran.found["sound"].description)
    assert ran.found["sound"].metadata["cuts"].value == 4


def test_registered_parts_a_seed_and_a_deadline_in_the_launchpad(where: Place) -> None:
    flat = {"costs": {"name": "flat", "parameters": {"per_contract_base": 30.0}}, "seed": 3}
    ran = Ran(where, backtests__sound=flat, backtests__peeks={"costs": {"name": "free"}, "deadline_s": 60.0})
    assert ran.result.success, ran.said()
    assert all(each.passed for each in ran.found.values())  # the deflator is of costs that are not used
    asked = json.loads(ran.shown("sound")["specification"])
    assert (asked["costs"], asked["seed"]) == ({"name": "flat", "parameters": {"per_contract_base": 30.0}}, 3)
    assert ran.shown("sound")["costs percent"] < 0.0
    assert ran.shown("peeks")["costs percent"] == 0.0


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"costs": {"name": "dear"}}, "cost_model dear is unknown"),
        ({"engine": {"name": "fast"}}, "engine fast is unknown"),
        ({"decided_by": {"name": "nobody"}}, "strategy nobody is unknown"),
        ({"deadline_s": 0.001}, "the deadline of 0.001 s passed"),
        ({"instruments": ["CORN"]}, "there is no data of CORN"),
    ],
)
def test_what_cannot_be_is_said(where: Place, config: dict[str, Any], says: str) -> None:
    ran = Ran(where, backtests__sound=config)
    assert not ran.result.success
    assert says in ran.said()
    assert "peeks" in ran.found  # the other strategy is run all the same
