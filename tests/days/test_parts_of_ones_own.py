"""What docs/how-to/backtests.md shows: Daybook's own engine on made-up prices, with parts of a user's own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipelines.backtesting import Factory
from pipelines.settings import Place
from trading.backtest.parts.made_up import made_up_panel
from trading.backtest.specification import Backtest, Choice, overridden
from trading.config.strategies import StrategySettings

RULES = {"quick": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "scalar": 3.75, "weight": 1.0}}
SOURCE = Choice(name="made_up", parameters={"sessions": 400})


@pytest.fixture
def where(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty home, with the page's module where it can be imported."""
    page = (root / "docs/how-to/backtests.md").read_text("utf-8")
    (tmp_path / "my_parts.py").write_text(re.findall(r"```python\n# my_parts.py\n(.*?)```", page, re.DOTALL)[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    return Place(tmp_path / "home", "local", tmp_path / "backups")


def asked(**changes: object) -> Backtest:
    """One rule on all made-up instruments."""
    strategy = StrategySettings.model_validate({"name": "quick", "rules": RULES, "volatility_target_percent": 20.0})
    return Backtest.model_validate({"strategy": strategy, "capital_base": 100_000.0, **changes})


def test_the_engine_runs_on_made_up_prices_and_an_override_changes_it(where: Place) -> None:
    with Factory.open(where, SOURCE) as factory:
        plain = factory.run(asked())
        wider = factory.run(asked(strategy=overridden(asked().strategy, {"buffer.fraction": 0.5})))
        assert factory.run(asked()).cached
    assert plain.result.positions.shape == (400, 2)
    assert np.isfinite(plain.statistics["net_percent"]["sharpe"])
    assert plain.key != wider.key
    trades = [np.count_nonzero(np.diff(np.nan_to_num(one.result.positions), axis=0)) for one in (plain, wider)]
    assert trades[0] > trades[1] > 0, "the wider the zone, the fewer the trades"


def test_a_window_cuts_the_curve_and_not_what_came_before(where: Place) -> None:
    with Factory.open(where, SOURCE) as factory:
        whole = factory.run(asked()).result
        window = factory.run(asked(first="2001-01-01", last="2001-02-28")).result
    rows = np.isin(whole.sessions, window.sessions)
    assert 0 < rows.sum() < 50
    assert np.array_equal(whole.positions[rows], window.positions, equal_nan=True)
    assert np.array_equal(whole.curves["net_base"][rows], window.curves["net_base"], equal_nan=True)


def test_ones_own_strategy_holds_what_it_says_and_earns_what_prices_move(where: Place) -> None:
    mine = asked(decided_by=Choice(name="hold_all", parameters={"contracts": 2}), costs=Choice(name="free"))
    with Factory.open(where, SOURCE, plugins=["my_parts"]) as factory:
        found = factory.run(mine).result
    assert (found.positions == 2.0).all()
    # Decided with a close, filled in the next session, earning from the one after: two contracts of every move.
    moves = np.diff(made_up_panel(["AAA", "BBB"], 400).price, axis=0).sum(axis=1)
    assert np.allclose(found.curves["gross_base"][10:], 2.0 * moves[9:], rtol=0, atol=1e-9)


def test_a_cost_model_is_charged_for_what_was_traded(where: Place) -> None:
    flat = asked(costs=Choice(name="flat", parameters={"per_contract_base": 7.0}))
    with Factory.open(where, SOURCE) as factory:
        found = factory.run(flat).result
        free = factory.run(asked(costs=Choice(name="free"))).result
    bought = np.abs(np.diff(np.nan_to_num(found.positions), axis=0)).sum()
    paid = -np.nansum(found.curves["costs_base"])
    # The last decision is not filled before the data ends.
    assert paid in (7.0 * bought, 7.0 * (bought - np.abs(np.diff(found.positions[-2:], axis=0)).sum()))
    assert not np.nansum(free.curves["costs_base"])
    assert np.array_equal(found.curves["gross_base"], free.curves["gross_base"], equal_nan=True)


def test_made_up_prices_do_not_depend_on_what_follows() -> None:
    long, short = made_up_panel(["BBB", "AAA"], 500), made_up_panel(["AAA"], 300)
    assert (long.price[:300, 0] == short.price[:, 0]).all()
    assert (long.price != made_up_panel(["AAA", "BBB"], 500, seed=1).price).all()
    assert long.version != short.version


def test_the_test_that_the_page_shows_passes(root: Path, daybook_prices, daybook_backtest) -> None:
    page = (root / "docs/how-to/backtests.md").read_text("utf-8")
    shown: dict[str, object] = {}
    exec(re.findall(r"```python\n(def test_my_rules_earn.*?)```", page, re.DOTALL)[0], shown)
    shown["test_my_rules_earn_in_a_trend"](daybook_prices, daybook_backtest)


def test_the_program_that_the_page_shows_runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs/how-to/backtests.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    ran: dict[str, object] = {}
    exec(re.findall(r"```python\n(import asyncio.*?)```", page, re.DOTALL)[0], ran)
    assert ran["found"].result.positions.shape == (2000, 2)
