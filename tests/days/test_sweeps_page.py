"""What docs/how-to/sweeps.md shows, run as it stands there: axes, the launchpad, choosing on one part of history."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from assets.sweeps import SweepConfig, wanted
from pipelines import sweep_request
from pipelines.backtesting import Factory
from pipelines.settings import Place
from pipelines.sweeping import Searches
from trading.backtest.specification import Backtest, Choice
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings

SOURCE = Choice(name="made_up", parameters={"sessions": 3500})
RULES = {"quick": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "scalar": 3.75, "weight": 1.0}}
FASTS = [4, 8, 16, 32]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """The page."""
    return (root / "docs/how-to/sweeps.md").read_text("utf-8")


@pytest.fixture
def where(tmp_path: Path) -> Place:
    """An empty home."""
    return Place(tmp_path / "home", "local", tmp_path / "backups")


def backtest() -> Backtest:
    strategy = StrategySettings.model_validate({"name": "quick", "rules": RULES, "volatility_target_percent": 20.0})
    return Backtest(strategy=strategy, capital_base=1e6)


def best_on(returns: np.ndarray, rows: np.ndarray) -> int:
    """The column with the highest mean over deviation, one at a time."""
    ratios = []
    for column in returns[rows].T:
        known = column[~np.isnan(column)]
        ratios.append(known.mean() / known.std(ddof=1))
    return max(range(len(ratios)), key=ratios.__getitem__)


def test_walk_forward_and_purged_parts(
    page: str, where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, use = re.findall(r"```python\n(# judged.py\n.*?)```\n\n```python\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "judged.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    here: dict[str, Any] = {
        "Factory": Factory, "place": lambda _: where, "source": SOURCE, "backtest": backtest(), "np": np,
    }  # fmt: skip
    exec(use, here)
    sys.modules.pop("judged")
    returns = here["returns"]
    assert returns.shape == (3500, 4)
    assert len(here["earned"]) == 3500 - 2560 - 2
    chosen = [best for best, _ in here["judged"](returns, here["steps"])]
    ends = [2560 + 256 * step for step in range(4)]  # of the train rows: 2 before each test
    assert chosen == [best_on(returns, np.arange(end)) for end in ends]
    again = np.concatenate(
        [returns[end + 2 : min(end + 258, 3500), best] for end, best in zip(ends, chosen, strict=True)]
    )
    assert np.array_equal(here["earned"], again, equal_nan=True)
    first = here["parts"][0]
    assert first.test_rows.tolist() == list(range(700))
    assert first.train_rows[0] == 700 + 2 + 128


def test_every_axis_of_the_page_is_understood(page: str, tmp_path: Path) -> None:
    typed = re.findall(r"^\| `([^`]+=[^`]+)` \|", page, re.MULTILINE)
    assert len(typed) == 6
    for text in typed:
        assert sweep_request.parsed_axis(text)["paths"]
    space = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "space.toml").write_text(space)
    made = sweep_request.made(backtest(), sweep_request.SweepWords(space=tmp_path / "space.toml", random=3))
    assert [axis.paths for axis in made.axes] == [("buffer.fraction",), ("rules.quick.weight",)]
    assert len(tomllib.loads(space)["axes"]) == 2


def test_the_launchpad_of_the_page(page: str, where: Place) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    config = SweepConfig(**yaml.safe_load(text)["ops"]["sweeps"]["config"])
    sweep = wanted(config, Searches(where, SOURCE), DeskSettings())
    assert (sweep.size, sweep.backtest.strategy.name) == (6, "trend")
