"""Chapter 15 from files to buffered positions, held to the reference system's own output stage by stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.settings import place, strategy_file
from resources.csv_panels import csv_panel
from trading.backtest.engine import Decisions, decisions
from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings, VolatilitySettings
from trading.strategies.mixture import market_of
from trading.strategies.optimal import Sizing
from trading.strategies.volatility import estimated
from trading.strategies.workbench import Workbench

pytestmark = pytest.mark.golden

CODES = ("CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X")
RULES = {"ewmac2_8": (2, 8), "ewmac4_16": (4, 16), "ewmac8_32": (8, 32)}


@pytest.fixture(scope="module")
def strategy() -> StrategySettings:
    return strategy_file("chapter15", place("nowhere"))


@pytest.fixture(scope="module")
def panel(shared: Path) -> Panel:
    return csv_panel(shared / "data" / "futures", CODES, "USD", "friday")


@pytest.fixture(scope="module")
def bench(panel: Panel) -> Workbench:
    return Workbench(panel)


@pytest.fixture(scope="module")
def decided(bench: Workbench, strategy: StrategySettings) -> Decisions:
    return decisions(bench, strategy, Sizing(250_000.0, 20.0))


@pytest.fixture(scope="module")
def golden(chapter15: Path):
    def read(code: str, name: str) -> pd.Series:
        frame = pd.read_csv(chapter15 / code / f"{name}.csv.gz", index_col=0, parse_dates=True)
        return frame.iloc[:, 0]

    return read


def held_to(panel: Panel, ours: np.ndarray, theirs: pd.Series, column: int) -> None:
    """Every cell the same to 1e-9 (near zero, to 1e-12 of the largest), the same ones missing."""
    mine = pd.Series(ours[:, column], index=pd.DatetimeIndex(panel.sessions))
    inside = mine.reindex(theirs.index)
    assert inside.isna().to_numpy().tolist() == theirs.isna().to_numpy().tolist()
    np.testing.assert_allclose(inside.to_numpy(), theirs.to_numpy(), rtol=1e-9, atol=1e-12 * float(theirs.abs().max()))


@pytest.mark.parametrize("code", CODES)
class TestEveryInstrument:
    def test_volatility_mixed(self, bench, strategy, golden, code) -> None:
        held_to(
            bench.panel, market_of(bench, strategy).volatility, golden(code, "daily_returns_volatility"),
            CODES.index(code),
        )  # fmt: skip

    def test_volatility_robust(self, panel, golden, code) -> None:
        settings = VolatilitySettings(method="robust", returns="consecutive")
        found = estimated(panel.price, panel.first, panel.last, settings)
        held_to(panel, found, golden(code, "vol_robust_default_args"), CODES.index(code))

    @pytest.mark.parametrize("rule", ["carry", "ewmac16_64", "ewmac32_128", "ewmac64_256"])
    def test_raw_forecasts_of_the_system(self, panel, decided, golden, code, rule) -> None:
        held_to(panel, decided.optimal.forecasts.raw[rule], golden(code, f"raw_forecast_{rule}"), CODES.index(code))

    @pytest.mark.parametrize("rule", list(RULES))
    def test_raw_forecasts_beside_it(self, bench, strategy, golden, code, rule) -> None:
        fast, slow = RULES[rule]
        other = {"rule": "ewmac", "parameters": {"fast": fast, "slow": slow}, "weight": 1.0}
        wider = StrategySettings.model_validate(strategy.model_dump() | {"rules": {rule: other}})
        found = decisions(bench, wider, Sizing(250_000.0, 20.0)).optimal.forecasts
        held_to(bench.panel, found.raw[rule], golden(code, f"raw_forecast_{rule}"), CODES.index(code))

    def test_combined_forecast(self, panel, decided, golden, code) -> None:
        held_to(panel, decided.optimal.forecasts.combined, golden(code, "combined_forecast"), CODES.index(code))

    def test_subsystem_position(self, panel, decided, golden, code) -> None:
        held_to(panel, decided.optimal.subsystem, golden(code, "subsystem_position"), CODES.index(code))

    def test_notional_position(self, panel, decided, golden, code) -> None:
        held_to(panel, decided.optimal.notional, golden(code, "notional_position"), CODES.index(code))

    def test_buffered_position_is_exactly_equal(self, panel, decided, golden, code) -> None:
        theirs = golden(code, "buffered_position_rounded")
        mine = pd.Series(decided.positions[:, CODES.index(code)], index=pd.DatetimeIndex(panel.sessions))
        assert mine.reindex(theirs.index).tolist() == theirs.tolist()


def test_instrument_weights(panel, decided, chapter15) -> None:
    theirs = pd.read_csv(chapter15 / "portfolio" / "instrument_weights_smoothed.csv.gz", index_col=0, parse_dates=True)
    mine = pd.DataFrame(decided.optimal.weights, index=pd.DatetimeIndex(panel.sessions), columns=list(CODES))
    np.testing.assert_allclose(mine.loc[theirs.index].to_numpy(), theirs.to_numpy(), rtol=1e-9, atol=1e-15)
