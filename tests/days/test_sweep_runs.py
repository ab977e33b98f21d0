"""Sweeps as people run them: each variant computed once, stopped and started again, the same on every cluster."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from pipelines import sweep_request, sweeping, wiring
from pipelines.backtesting import Factory
from pipelines.settings import Place
from resources.clusters.dask import DaskCluster
from resources.clusters.in_process import InProcess
from resources.clusters.processes import LocalProcesses
from trading.backtest.specification import Backtest, Choice
from trading.backtest.sweeps import Sweep, means
from trading.config.strategies import StrategySettings
from trading.errors import Cancelled, DeadlinePassed, StoreBusy, UsageError
from trading.ports import NO_LIMITS, Cluster, Limits

HERE = Path(__file__).resolve().parent
RULES = {
    "quick": {"rule": "ewmac", "parameters": {"fast": 4, "slow": 16}, "scalar": 7.5, "weight": 0.5},
    "slow": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "scalar": 3.75, "weight": 0.5},
}
PORTFOLIO = {"weights": {"CORN": 0.5, "US10": 0.5}}


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty home, with the test's own parts where they can be imported."""
    monkeypatch.syspath_prepend(str(HERE))
    return Place(tmp_path / "home", "local", tmp_path / "backups")


def backtest(**words: Any) -> Backtest:
    strategy = {"name": "test", "rules": RULES, "instruments": ("CORN", "US10"), "portfolio": PORTFOLIO}
    settings = StrategySettings.model_validate({**strategy, "volatility_target_percent": 20.0})
    return Backtest(strategy=settings, capital_base=1e6, **words)


def searched(trials: int, search: str = "random", **words: Any) -> Sweep:
    """A search over weights, a span, the buffer and the target."""
    axes = [
        {"paths": ["rules.*.weight"], "total": 1.0},
        {"paths": ["rules.slow.parameters.fast"], "low": 2, "high": 60, "whole": True},
        {"paths": ["buffer.fraction"], "low": 0.0, "high": 0.5},
        {"paths": ["volatility_target_percent"], "low": 5.0, "high": 30.0},
    ]
    return Sweep(backtest=backtest(**words), axes=axes, search=search, trials=trials, seed=11)


def counted(side: Path, wait_s: float = 0.0) -> Sweep:
    """A grid of 60 variants by an engine that writes a line each time it computes, and waits."""
    engine = Choice(name="counting", parameters={"side": str(side), "wait_s": wait_s})
    axis = {"paths": ["buffer.fraction"], "values": [[n / 100] for n in range(60)]}
    return Sweep(backtest=backtest(engine=engine), axes=[axis], objective="net_percent.sharpe")


def wander(where: Place, sweep: Sweep, cluster: Cluster, limits: Limits = NO_LIMITS) -> sweeping.Found:
    return sweeping.run(where, sweep, Choice(name="wandering"), cluster, limits, plugins=["sweep_parts"])


def count(where: Place, sweep: Sweep, limits: Limits = NO_LIMITS, cluster: Cluster | None = None) -> sweeping.Found:
    return sweeping.run(where, sweep, Choice(name="small"), cluster or InProcess(), limits, plugins=["backtest_parts"])


def waited_for(happened: Callable[[], bool]) -> None:
    """Waits until something has happened, a minute at most."""
    pause = threading.Event()
    for _ in range(6000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen within a minute")


def computed(side: Path) -> int:
    """How often the engine computed, of which one each run is the backtest itself, which loads everything."""
    return side.read_text().split().count("computed") if side.exists() else 0


def test_nothing_is_computed_twice(where: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    first = count(where, counted(side))
    assert (first.computed, first.known, first.left, first.stopped) == (60, 0, 0, None)
    assert computed(side) == 62  # and the curve of the best, for its deflated Sharpe ratio
    again = count(where, counted(side))
    assert (again.computed, again.known, again.left) == (0, 60, 0)
    assert again.rows == first.rows
    assert computed(side) == 64


def test_a_larger_search_computes_what_is_new(where: Place) -> None:
    few = wander(where, searched(20), InProcess())
    more = wander(where, searched(50), InProcess())
    assert (more.computed, more.known) == (30, 20)
    assert more.rows[:20] == few.rows


def test_a_deadline_keeps_what_was_done_and_the_next_run_does_the_rest(where: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    first = count(where, counted(side, 0.1), Limits(deadline_s=0.5), LocalProcesses(2))
    assert isinstance(first.stopped, DeadlinePassed)
    assert str(first.stopped).startswith(f"the deadline of 0.5 s passed, after {first.computed} of 60 items")
    assert first.computed <= computed(side) < 60
    assert first.left == 60 - first.computed
    assert first.odds == {}
    second = count(where, counted(side, 0.1), cluster=LocalProcesses(2))
    assert (second.computed, second.known, second.left) == (first.left, first.computed, 0)


def test_a_deadline_that_is_over_before_anything_is_done_keeps_what_was_known(where: Place, tmp_path: Path) -> None:
    few, many = searched(20), searched(50)
    wander(where, few, InProcess())
    found = wander(where, many, InProcess(), Limits(deadline_s=0.0))
    assert isinstance(found.stopped, DeadlinePassed)
    assert (found.computed, found.known, found.left) == (0, 20, 30)


def rows_of(where: Place) -> list[dict[str, Any]]:
    """The audit rows, oldest first."""
    return sorted(wiring.ledger(where).rows("backtests"), key=lambda row: str(row["asked_at"]))


def test_each_request_leaves_a_row(where: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    first = count(where, counted(side))
    count(where, counted(side))
    stopped = count(where, counted(side, 0.01), Limits(cancelled=lambda: True))
    wrong = counted(side).model_copy(update={"objective": "net_percent.luck"})
    with pytest.raises(UsageError, match="luck"):
        count(where, wrong)
    rows = rows_of(where)
    assert [(row["outcome"], row["cached"]) for row in rows] == [
        ("computed", 0), ("cached", 1), ("stopped", 0), ("failed", 0),
    ]  # fmt: skip
    assert [row["key"] for row in rows] == [first.key, first.key, stopped.key, first.key]
    assert rows[0]["detail"] == "60 variants, 60 computed, 0 known"
    assert rows[1]["detail"] == "60 variants, 0 computed, 60 known"
    assert rows[2]["detail"].startswith("60 variants, 0 computed, 0 known; the work was cancelled")
    assert rows[3]["detail"].startswith("UsageError: objective net_percent.luck is unknown")
    assert {(row["strategy"], row["engine"], row["who"]) for row in rows} == {("test", "counting", getpass.getuser())}
    assert json.loads(rows[0]["source"])["name"] == "small"
    assert 0 < rows[1]["seconds"] <= 60


@pytest.mark.parametrize("deadline_s", [None, 60.0])
def test_an_unknown_objective_is_refused_before_any_variant(
    where: Place, tmp_path: Path, deadline_s: float | None
) -> None:
    side = tmp_path / "side"
    sweep = counted(side).model_copy(update={"objective": "net_percent.luck"})
    with pytest.raises(UsageError, match=r"luck is unknown\. Choose one of net_percent\.sharpe, net_percent\.skew"):
        count(where, sweep, Limits(deadline_s=deadline_s), LocalProcesses(2))
    assert computed(side) == 1  # the backtest itself


def test_one_sweep_asked_for_twice_at_once_is_computed_once(where: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    found: list[sweeping.Found] = []
    threads = [
        threading.Thread(target=lambda: found.append(count(where, counted(side, 0.02)))) for _ in range(2)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted((one.computed, one.known) for one in found) == [(0, 60), (60, 0)]
    assert found[0].rows == found[1].rows
    assert computed(side) == 64  # of each, the backtest itself and the best one's curve


def test_who_waits_for_the_same_sweep_can_be_stopped(where: Place, tmp_path: Path) -> None:
    first = wander(where, searched(20), InProcess())
    tries = iter([False, False, True])
    with wiring.alone_with_sweep(where, first.key, 1.0):
        late = wander(where, searched(50), InProcess(), Limits(deadline_s=0.3))
        told = wander(where, searched(50), InProcess(), Limits(cancelled=lambda: next(tries)))
    assert isinstance(late.stopped, DeadlinePassed)
    assert str(late.stopped).startswith("the deadline of 0.3 s passed, after 20 of 50 items")
    assert (late.computed, late.known, late.left) == (0, 20, 30)
    assert isinstance(told.stopped, Cancelled)
    assert wander(where, searched(50), InProcess()).known == 20


def test_sweeps_and_backtests_do_not_wait_for_each_other(where: Place) -> None:
    key = "a" * 64
    with wiring.result_store(where).computing(key, 1.0), wiring.alone_with_sweep(where, key, 0.0):
        with wiring.alone_with_sweep(where, "aaa" + "b" * 61, 0.0), wiring.result_store(where).computing("b" * 64, 0.0):
            pass
        with pytest.raises(StoreBusy, match="the sweep aaaaaaaaaaaa"), wiring.alone_with_sweep(where, key, 0.0):
            pass


WHOLE_RUN = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from pipelines import sweeping
from pipelines.settings import Place
from resources.clusters.processes import LocalProcesses
from test_sweep_runs import counted
from trading.backtest.specification import Choice
where = Place(Path({home!r}), "local", Path("unused"))
sweep = counted(Path({side!r}), 0.05)
sweeping.run(where, sweep, Choice(name="small"), LocalProcesses(2), plugins=["backtest_parts"], keep_every_s=0.0)
"""


def test_killed_half_way_and_started_again_it_does_only_the_rest(where: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    paths = [str(HERE), str(HERE.parents[1])]
    program = WHOLE_RUN.format(paths=paths, home=str(where.home), side=str(side))
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        waited_for(lambda: computed(side) >= 31 or process.poll() is not None)
        crew = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert process.returncode == -9
    assert crew
    assert psutil.wait_procs(crew, timeout=30)[1] == []  # its workers end with it
    before = computed(side)
    found = count(where, counted(side, 0.05))
    assert 20 <= found.known <= before - 1  # but for the backtest itself, and what was not yet written
    assert (found.computed, found.left) == (60 - found.known, 0)
    assert computed(side) - before == found.computed + 2


def test_variants_equal_single_runs(where: Place) -> None:
    found = wander(where, searched(20), LocalProcesses(2))
    with Factory.open(where, Choice(name="wandering"), plugins=["sweep_parts"]) as factory:
        for overrides, statistics in zip(found.variants, found.statistics(), strict=True):
            single = factory.run(
                found.sweep.backtest.model_copy(update={"strategy": found.sweep.varied(overrides)})
            ).statistics["net_percent"]
            for name, value in single.items():
                kept = statistics[f"net_percent.{name}"]
                assert kept == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12, nan_ok=True)), name
    assert len({json.dumps(own) for own in found.statistics()}) == 20


def test_what_is_said_of_all_variants(where: Place) -> None:
    found = wander(where, searched(40), InProcess())
    assert found.odds["trials"] == 40
    assert 0 <= found.odds["probability_of_overfitting"] <= 1
    assert 0 <= found.odds["deflated_sharpe"] <= 1
    best = found.best()
    assert best is not None
    sharpes = [own["net_percent.sharpe"] for own in found.statistics()]
    assert sharpes[best] == max(sharpes)


def test_a_variant_that_cannot_be_computed_is_a_row_that_says_why(where: Place) -> None:
    axis = {"paths": ["rules.slow.parameters.fast"], "values": [[8], [16]]}
    short = {"paths": ["rules.quick.parameters.fast"], "values": [[2], [4]]}
    sweep = Sweep(backtest=backtest(), axes=[axis, short])
    found = wander(where, sweep, InProcess())
    assert [row is not None and row[0] for row in found.rows] == [None] * 4
    broken = Sweep(backtest=backtest(engine=Choice(name="counting", parameters={"infinite": True})), axes=[axis])
    told = count(where, broken)
    assert all(row is not None and "positions is infinite" in str(row[0]) for row in told.rows)
    assert sweep_request.answer(told, {})["failed"] == 2


def test_optuna_finds_the_same_whoever_computes(where: Place, tmp_path: Path) -> None:
    one = wander(where, searched(45, "optuna"), LocalProcesses(2))
    other = wander(Place(tmp_path / "other", "local", tmp_path), searched(45, "optuna"), InProcess())
    assert one.variants == other.variants
    assert one.rows == other.rows
    assert len(one.variants) == 45


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """A scheduler with two worker processes, as a user would start them."""
    program = (
        "from distributed import LocalCluster\nif __name__ == '__main__':\n"
        " with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:\n"
        "  print(cluster.scheduler_address, flush=True)\n  input()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes) as server:
        yield server.stdout.readline().strip()
        server.communicate("over\n", timeout=30)


def test_the_same_table_on_dask(where: Place, tmp_path: Path, dask_address: str) -> None:
    here = wander(where, searched(60), LocalProcesses(2))
    there = wander(Place(tmp_path / "dask", "local", tmp_path), searched(60), DaskCluster(dask_address))
    assert there.rows == here.rows
    assert there.odds == here.odds
    first, second = (sweep_request.table(one) for one in (here, there))
    assert list(first) == list(second)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


# --- at the shell -----------------------------------------------------------------------------------------------------
def test_a_sweep_at_the_shell(shared: Path, tmp_path: Path, daybook: Callable[..., Any]) -> None:
    words = ["sweep", "chapter15", "--home", tmp_path / "home", "--vendor", "pysystemtrade"]
    words += ["--source", shared / "data" / "futures", "--json"]
    axes = ["--axis", "buffer.fraction=0.05,0.2", "--axis", "volatility_target_percent=10,20,25"]
    table, picture = tmp_path / "table.parquet", tmp_path / "map.png"
    ended = daybook(*words, *axes, "--out", table, "--heat-map", picture)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["computed"], found["known"], found["left"], found["partial"]) == (6, 0, 0, False)
    rows = pq.read_table(table)
    assert rows["buffer.fraction"].to_pylist() == [0.05, 0.05, 0.05, 0.2, 0.2, 0.2]
    assert rows["volatility_target_percent"].to_pylist() == [10, 20, 25] * 2
    assert max(rows["net_percent.sharpe"].to_pylist()) == found["best"]["statistics"]["net_percent.sharpe"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    stopped = daybook(*words, "--axis", "buffer.fraction=0.0..0.5", "--random", 5000, "--deadline", 0.1)
    told = json.loads(stopped.out)
    assert (stopped.code, told["ok"], told["partial"]) == (1, False, True)
    assert told["left"] == 5000 - told["computed"] > 4000
    assert told["seconds"] < 3


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("a.b=1,2.5", {"paths": ["a.b"], "values": [[1], [2.5]]}),
        ("a=x,true", {"paths": ["a"], "values": [["x"], [True]]}),
        ("a=2..64", {"paths": ["a"], "low": 2.0, "high": 64.0, "log": False, "whole": True}),
        ("a=0.5..1", {"paths": ["a"], "low": 0.5, "high": 1.0, "log": False, "whole": False}),
        ("a=log:1e-3..0.1", {"paths": ["a"], "low": 0.001, "high": 0.1, "log": True, "whole": False}),
        ("a+b=8:32,16:64", {"paths": ["a", "b"], "values": [[8, 32], [16, 64]]}),
        ("rules.*.weight=total:1", {"paths": ["rules.*.weight"], "total": 1.0}),
    ],
)
def test_axes_as_they_are_typed(text: str, axis: dict[str, Any]) -> None:
    assert sweep_request.parsed_axis(text) == axis


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=total:much", "a=1e..2"])
def test_axes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"axis '"):
        sweep_request.parsed_axis(text)


def test_axes_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        '[[axes]]\npath = "buffer.fraction"\nvalues = [0.1, 0.2]\n[[axes]]\npaths = ["rules.*.weight"]\ntotal = 1.0\n'
    )
    words = sweep_request.SweepWords(space=file, random=10)
    made = sweep_request.made(backtest(), words)
    assert [axis.paths for axis in made.axes] == [("buffer.fraction",), ("rules.quick.weight", "rules.slow.weight")]
    file.write_text("[axis]\n")
    with pytest.raises(UsageError, match=r"write \[\[axes\]\] and nothing else"):
        sweep_request.made(backtest(), words)


def test_means_over_the_other_axes(where: Place) -> None:
    axes = [
        {"paths": ["buffer.fraction"], "values": [[0.1], [0.4]]},
        {"paths": ["volatility_target_percent"], "values": [[10], [20], [30]]},
        {"paths": ["forecasts.cap"], "values": [[10], [20]]},
    ]
    found = wander(where, Sweep(backtest=backtest(), axes=axes), InProcess())
    cells = means(found.sweep.axes[:2], found.variants, found.objectives())
    sharpes = [own["net_percent.sharpe"] for own in found.statistics()]
    assert cells.shape == (2, 3)
    assert cells[0, 0] == pytest.approx((sharpes[0] + sharpes[1]) / 2)
    assert cells[1, 2] == pytest.approx((sharpes[10] + sharpes[11]) / 2)
