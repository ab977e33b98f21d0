"""The version of the code: what is in it, and that nothing an evaluation loads is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from resources.source_hash import COMPUTING, READERS, code_version, plugin_version, readers_version, source_hash

# Reads no number and writes none: ports and what they name.
NO_NUMBERS = (
    "trading.book", "trading.continuity", "trading.frames", "trading.market.sessions", "trading.ports",
    "resources.source_hash",
)  # fmt: skip
PACKAGES = ("resources", "trading", "trading.market")
EVALUATION = """
import sys
from datetime import date
from trading.backtest.parts.costs import FlatCosts
from trading.backtest.parts.engines import DailyEngine
from trading.backtest.simulated import simulated_panel
from trading.config.strategies import StrategySettings
rules = {"slow": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "weight": 1.0}}
mine = {"name": "x", "rules": rules, "volatility_target_percent": 20.0, "risk_overlay": {"normal_fraction": 1.5}}
strategy = StrategySettings.model_validate(mine)
DailyEngine().evaluate(simulated_panel(sessions=600), strategy, 1e6, costs=FlatCosts(1.0), first=date(1990, 1, 1))
print(*(name for name in sys.modules if name.split(".")[0] in ("trading", "resources", "pipelines")))
"""
READING = """
import sys
import resources.csv_panels, resources.frame_panels
print(*(name for name in sys.modules if name.split(".")[0] in ("trading", "resources", "pipelines")))
"""


def loaded(program: str, root: Path) -> set[str]:
    """Daybook's modules that a fresh process has after a program."""
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=True)
    return set(answer.stdout.split())


def covered(name: str, by: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in by)


@pytest.mark.parametrize("program", [EVALUATION, READING])
def test_every_module_that_makes_numbers_is_in_the_version_of_the_code(program: str, root: Path) -> None:
    found = loaded(program, root)
    assert len(found) > 10
    left = {name for name in found - set(PACKAGES) if not covered(name, (*COMPUTING, *READERS, *NO_NUMBERS))}
    assert not left, "add these to COMPUTING or READERS in resources/source_hash.py"


def test_the_evaluation_that_is_looked_at_is_a_whole_one(root: Path) -> None:
    found = loaded(EVALUATION, root)
    assert {"trading.risk.overlay", "trading.discovery", "trading.kernels.holdings"} <= found


def test_the_code_version_covers_readers_and_names_the_whole(root: Path) -> None:
    assert len({code_version(), readers_version(), source_hash(COMPUTING)}) == 3
    assert code_version() == code_version()


def test_a_plugin_is_hashed_with_its_whole_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hashed_package" / "deep"
    package.mkdir(parents=True)
    (package / "parts.py").write_text("from ..helper import X\n")
    (package.parent / "helper.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = plugin_version("hashed_package.deep.parts")  # a package without __init__.py, too
    (package.parent / "helper.py").write_text("X = 2\n")
    assert plugin_version("hashed_package.deep.parts") != before
    assert plugin_version("trading.backtest.parts.costs") == ""
