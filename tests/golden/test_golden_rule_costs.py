"""Turnover and cost of every rule on every instrument of chapter 15, held to the reference's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.settings import place, strategy_file
from resources.csv_panels import csv_panel
from trading.config.strategies import StrategySettings
from trading.strategies.mixture import forecasts, market_of
from trading.strategies.rule_costs import annual_costs, forecast_turnover
from trading.strategies.workbench import Workbench

pytestmark = pytest.mark.golden

SCALARS = {"ewmac2_8": (2, 8, 10.6), "ewmac4_16": (4, 16, 7.5), "ewmac8_32": (8, 32, 5.3)}


@pytest.fixture(scope="module")
def strategy() -> StrategySettings:
    """Chapter 15 with the three quick speeds beside its own rules."""
    whole = strategy_file("chapter15", place("nowhere")).model_dump()
    for name, (fast, slow, scalar) in SCALARS.items():
        whole["rules"][name] = {
            "rule": "ewmac", "parameters": {"fast": fast, "slow": slow}, "scalar": scalar, "weight": 0.0,
        }  # fmt: skip
    return StrategySettings.model_validate(whole)


@pytest.fixture(scope="module")
def bench(shared: Path, strategy: StrategySettings) -> Workbench:
    return Workbench(csv_panel(shared / "data" / "futures", strategy.instruments, "USD", "friday"))


@pytest.fixture(scope="module")
def theirs(chapter15: Path) -> dict:
    return json.loads((chapter15 / "instrument_meta.json").read_text())


def test_turnover_of_forecasts(bench: Workbench, strategy: StrategySettings, theirs: dict) -> None:
    panel = bench.panel
    for name, capped in forecasts(bench, strategy).capped.items():
        found = forecast_turnover(capped, 10.0, panel.first, panel.last)
        golden = [theirs[code]["forecast_turnover"][name] for code in panel.instruments]
        np.testing.assert_allclose(found, golden, rtol=1e-9, err_msg=name)


def test_costs_of_rules_in_sharpe_units(bench: Workbench, strategy: StrategySettings, theirs: dict) -> None:
    panel, found = bench.panel, forecasts(bench, strategy)
    capped = np.stack(list(found.capped.values()))
    costs = annual_costs(panel, strategy, capped, market_of(bench, strategy).volatility, panel.first, panel.last)
    for place_of, name in enumerate(found.raw):
        golden = [theirs[code]["forecast_SR_cost"][name] for code in panel.instruments]
        np.testing.assert_allclose(costs[place_of], golden, rtol=1e-9, err_msg=name)


def test_a_ceiling_leaves_out_what_is_dearer(bench: Workbench, strategy: StrategySettings, theirs: dict) -> None:
    # V2X pays 0.32 for ewmac16_64, 0.25 for 32_128, 0.22 for 64_256 and 0.17 for carry; CORN pays less than 0.05.
    section = {**strategy.forecasts.model_dump(), "cost_ceiling_sharpe": 0.20}
    dear = StrategySettings.model_validate({**strategy.model_dump(), "forecasts": section})
    plain, cut = forecasts(bench, strategy), forecasts(bench, dear)
    corn, v2x = (bench.panel.instruments.index(code) for code in ("CORN", "V2X"))
    np.testing.assert_array_equal(cut.combined[:, corn], plain.combined[:, corn])
    carry_alone = np.clip(cut.capped["carry"][-1, v2x] * 1.31, -20, 20)
    assert cut.combined[-1, v2x] == pytest.approx(carry_alone, rel=1e-6)
    assert plain.combined[-1, v2x] != pytest.approx(carry_alone, rel=1e-2)
