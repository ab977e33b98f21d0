"""The backtest factory: one computation for all who ask, limits that really stop, and a row about each request."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines import backtesting, wiring
from pipelines.backtesting import Demand, Factory
from pipelines.settings import Place
from trading.backtest.specification import Backtest, Choice
from trading.config.strategies import StrategySettings
from trading.errors import (
    Cancelled,
    ConfigError,
    DeadlinePassed,
    MemoryCeilingPassed,
    StageFailed,
    StoreBusy,
    WorkStopped,
    WrongSpecification,
)

HERE = Path(__file__).parent
PLUGIN = "backtest_parts"
SOON_S = 20.0  # nothing waits so long unless it hangs


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty home, with the test's own parts where they can be imported."""
    monkeypatch.syspath_prepend(str(HERE))
    return Place(tmp_path / "home", "local", tmp_path / "backups")


@pytest.fixture
def side(tmp_path: Path) -> Path:
    """A file that parts write a line into when they do something."""
    return tmp_path / "side.txt"


def strategy() -> StrategySettings:
    """One rule, two instruments."""
    rules = {"slow": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "weight": 1.0}}
    return StrategySettings.model_validate(
        {"name": "test", "rules": rules, "instruments": ("CORN", "US10"), "volatility_target_percent": 20.0}
    )


def asked(**told: object) -> Backtest:
    """A backtest by the counting engine, told to wait, fail and so on."""
    return Backtest(strategy=strategy(), capital_base=1000.0, engine=Choice(name="counting", parameters=told))


def factory(where: Place, **told: object) -> Factory:
    """A factory over the small source."""
    return Factory.open(where, Choice(name="small", parameters=told), plugins=[PLUGIN], who="tester")


def audit(where: Place) -> list[dict[str, object]]:
    """Rows about requests, oldest first."""
    return sorted(wiring.ledger(where).rows("backtests"), key=lambda row: str(row["asked_at"]))


def seen(side: Path, word: str) -> None:
    """Waits until a part has written a word."""
    deadline = time.monotonic() + SOON_S
    while not (side.exists() and word in side.read_text().split()):
        assert time.monotonic() < deadline, f"nobody wrote {word}"
        threading.Event().wait(0.01)


class BusyLedger:
    """Takes events after some refusals."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.tried, self.rows = refusals, 0, []

    def record(self, events):
        """As the port."""
        self.tried += 1
        if self.tried <= self.refusals:
            raise StoreBusy("the ledger is being written by process 1. Wait for it.")
        self.rows += events


def left_behind(where: Place) -> list[str]:
    """Files of results that are no whole result."""
    return [str(path) for path in (where.home / "results").rglob("*") if "draft" in path.name]


def test_the_same_is_computed_once_and_read_back_bit_for_bit(where: Place, side: Path) -> None:
    with factory(where) as open_factory:
        first = open_factory.run(asked(side=str(side)))
        again = open_factory.run(asked(side=str(side)))
    assert (first.cached, again.cached) == (False, True)
    assert side.read_text().split() == ["computed"]
    assert again.key == first.key
    for name, values in first.result.curves.items():
        assert again.result.curves[name].tobytes() == values.tobytes()
    assert again.result.positions.tobytes() == first.result.positions.tobytes()
    assert (again.result.sessions == first.result.sessions).all()
    assert again.result.instruments == ("CORN", "US10")
    assert str(again.statistics) == str(first.statistics)  # NaN is not equal to itself
    assert again.kept.record == first.kept.record


def test_what_was_read_back_is_what_the_engine_said(where: Place) -> None:
    with factory(where) as open_factory:
        open_factory.run(asked())
        found = open_factory.run(asked())
    net = found.result.curves["net_percent"]
    assert np.isnan(net[1])
    assert net[2] == 5e-324
    assert net[3] == 0.0
    assert net[4] == 4 / 3.0
    assert found.statistics["net_percent"]["worst"] == float("-inf")


def test_limits_are_an_option_of_the_specification_and_refusals_are_kept_with_the_result(where: Place) -> None:
    """By name, out of a specification as people write it, computed and then read back."""
    rule = {"rule": "ewmac", "parameters": {"fast": 8, "slow": 32}, "weight": 1.0, "scalar": 5.0}
    of = {"name": "trend", "rules": {"fast": rule}, "instruments": ["AAA", "BBB"], "volatility_target_percent": 20.0}
    limits = [{"rule": "position_size", "warn": 1.0}, {"rule": "gross_exposure", "by": "currency", "refuse": 0.25}]
    asked = Backtest.model_validate(
        {
            "strategy": of,
            "capital_base": 1_000_000.0,
            "engine": {"name": "limited", "parameters": {"limits": limits}},
        }
    )
    source = Choice(name="made_up", parameters={"instruments": ["AAA", "BBB"], "sessions": 200})
    with Factory.open(where, source, who="tester") as open_factory:
        first, again = open_factory.run(asked), open_factory.run(asked)
        free = open_factory.run(asked.model_copy(update={"engine": Choice(name="daybook")}))
    assert (first.cached, again.cached, free.key != first.key) == (False, True, True)
    for found in (first, again):
        refused = found.result.curves["refused_by_gross_exposure"]
        assert refused.sum() > 0
        assert found.statistics["refusals"]["by_gross_exposure"] == refused.sum()
    # A point is a dollar: beyond a quarter of the capital are 2,500 contracts at 100 points.
    assert np.nanmax(np.abs(free.result.positions)) > np.nanmax(np.abs(first.result.positions))
    assert "refused_orders" not in free.result.curves


def test_without_the_cache_it_is_computed_anew_and_not_kept(where: Place, side: Path) -> None:
    with factory(where) as open_factory:
        for _ in range(2):
            assert not open_factory.run(asked(side=str(side)), Demand(cache=False)).cached
    assert side.read_text().split() == ["computed"] * 2
    assert not list((where.home / "results").rglob("*.parquet"))


def test_two_threads_compute_it_once(where: Place, side: Path) -> None:
    outcomes = []
    with factory(where) as one, factory(where) as other:

        def ask(mine: Factory) -> None:
            outcomes.append(mine.run(asked(side=str(side), wait_s=0.3)))

        threads = [threading.Thread(target=ask, args=(mine,)) for mine in (one, other, one)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON_S)
    assert side.read_text().split() == ["computed"]
    assert sorted(outcome.cached for outcome in outcomes) == [False, True, True]


def child(where: Place, side: Path, **told: object) -> subprocess.Popen[str]:
    """Another process that asks for the same, and prints key and whether it was cached."""
    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_backtest_factory import asked, factory\n"
        "from pipelines.settings import Place\n"
        "home = Path(sys.argv[2]); told = json.loads(sys.argv[3])\n"
        "with factory(Place(home, 'local', home)) as f:\n"
        "    found = f.run(asked(**told))\n"
        "print(found.key, found.cached)\n"
    )
    words = [sys.executable, "-c", program, str(HERE), str(where.home), json.dumps({"side": str(side), **told})]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


def test_two_processes_compute_it_once(where: Place, side: Path) -> None:
    asking = [child(where, side, wait_s=1.0) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].split() for process in asking)
    assert side.read_text().split() == ["computed"]
    assert said[0][0] == said[1][0]
    assert [cached for _, cached in said] == ["False", "True"]
    assert [row["outcome"] for row in audit(where)].count("computed") == 1


def test_killed_in_the_middle_it_leaves_nothing_and_the_next_run_computes(where: Place, side: Path) -> None:
    killed = child(where, side, wait_s=60.0)
    deadline = time.monotonic() + 60
    while not side.exists() and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    killed.kill()
    killed.communicate(timeout=SOON_S)
    assert not list((where.home / "results").rglob("*.parquet"))
    assert not left_behind(where)
    with factory(where) as open_factory:
        assert not open_factory.run(asked(side=str(side), wait_s=0.0)).cached
        # The key that the killed one held is free: only its deadline stops this one.
        with pytest.raises(DeadlinePassed, match=r"stage (computing|data)"):
            open_factory.run(asked(side=str(side), wait_s=60.0), Demand(deadline_s=1.5))


@pytest.mark.parametrize(
    ("told", "demand", "error", "says"),
    [
        ({"wait_s": 60.0}, {"deadline_s": 0.1}, DeadlinePassed, "the deadline of 0.1 s passed, after "),
        ({"wait_s": 60.0, "megabytes": 600}, {"memory_mb": 500.0}, MemoryCeilingPassed, "MB"),
    ],
)
def test_a_limit_really_stops_the_work(
    where: Place, side: Path, told: dict[str, object], demand: dict[str, float], error: type, says: str
) -> None:
    began, before = time.monotonic(), children()
    with (
        factory(where) as open_factory,
        pytest.raises(error, match=r"backtest test, stage (data|computing)") as stopped,
    ):
        open_factory.run(asked(side=str(side), **told), Demand(**demand))
    assert says in str(stopped.value)
    assert time.monotonic() - began < SOON_S
    assert not left_behind(where)
    assert [(row["outcome"], row["cached"]) for row in audit(where)] == [("failed", 0)]
    assert error.__name__ in str(audit(where)[0]["detail"])
    assert children() <= before, "no process of the work is left"


def children() -> set[int]:
    """Processes that this one has started and that live; other tests of it may have some."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_cancelling_really_stops_the_work(where: Place, side: Path) -> None:
    began = time.monotonic()
    with factory(where) as open_factory, pytest.raises(Cancelled, match="backtest test, stage computing"):
        open_factory.run(asked(side=str(side), wait_s=60.0), Demand(cancelled=side.exists))
    assert time.monotonic() - began < SOON_S


def test_within_its_limits_a_child_gives_the_same_result(where: Place, side: Path) -> None:
    with factory(where) as open_factory:
        apart = open_factory.run(asked(side=str(side)), Demand(deadline_s=60.0, memory_mb=4000.0, cache=False))
        here = open_factory.run(asked(side=str(side)), Demand(cache=False))
    assert apart.key == here.key
    assert apart.result.curves["net_percent"].tobytes() == here.result.curves["net_percent"].tobytes()


def test_awaited_it_is_the_same_and_cancelling_the_task_stops_it(where: Place, side: Path) -> None:
    async def use() -> tuple[bool, float]:
        with factory(where) as open_factory:
            found = await open_factory.run_async(asked(side=str(side)))
            slow = asyncio.create_task(open_factory.run_async(asked(side=str(side), wait_s=60.0)))
            while side.read_text().split().count("computed") != 2:
                await asyncio.sleep(0.01)  # until the child is at work: the side file says so
            began = time.monotonic()
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            return found.cached, time.monotonic() - began

    cached, took = asyncio.run(use())
    assert not cached
    assert took < SOON_S


def test_awaited_it_is_done_by_a_child_unless_this_process_is_asked_for(where: Place, side: Path) -> None:
    async def use(demand: Demand) -> str:
        with factory(where) as open_factory, pytest.raises((WorkStopped, StageFailed)) as stopped:
            await open_factory.run_async(asked(killed=True) if demand.isolated is None else asked(breaks=True), demand)
        return type(stopped.value).__name__

    assert asyncio.run(use(Demand())) == "WorkerLost", "the process that was killed was another one"
    assert asyncio.run(use(Demand(isolated=False))) == "StageFailed"


def test_a_deadline_counts_while_versions_are_read(where: Place, side: Path) -> None:
    with factory(where, side=str(side), wait_s=0.2) as open_factory, pytest.raises(DeadlinePassed, match="stage data"):
        open_factory.run(asked(), Demand(deadline_s=0.1, isolated=False))
    assert side.read_text().split() == ["asked"], "no panel was made after it"
    with factory(where, side=str(side)) as open_factory, pytest.raises(Cancelled, match="stage data"):
        open_factory.run(asked(), Demand(cancelled=lambda: True))
    assert side.read_text().split() == ["asked"], "nothing was asked of the data"


def test_what_may_pass_is_tried_again_a_bounded_number_of_times(where: Place, side: Path) -> None:
    with factory(where, side=str(side), busy=2) as open_factory:
        assert not open_factory.run(asked()).cached
    assert side.read_text().split().count("asked") == 3
    side.unlink()
    with (
        factory(where, side=str(side), busy=99) as open_factory,
        pytest.raises(StageFailed, match="stage data: the prices are being written"),
    ):
        open_factory.run(asked(), Demand(attempts=2))
    assert side.read_text().split().count("asked") == 2


def test_an_error_says_which_backtest_stage_instrument_and_session(where: Place) -> None:
    with factory(where) as open_factory:
        with pytest.raises(StageFailed) as found:
            open_factory.run(asked(infinite=True))
        assert (found.value.instrument, str(found.value.session)) == ("US10", "2020-01-09")
        assert str(found.value).startswith("backtest test, stage computing, instrument US10, session 2020-01-09: ")
        with pytest.raises(StageFailed, match="stage computing: ZeroDivisionError: no volatility"):
            open_factory.run(asked(breaks=True))
        with pytest.raises(StageFailed, match="stage computing, instrument US10"):
            open_factory.run(asked(infinite=True), Demand(deadline_s=60.0))


def test_a_child_that_dies_is_said_and_not_kept(where: Place) -> None:
    with factory(where) as open_factory, pytest.raises(WorkStopped, match="backtest test"):
        open_factory.run(asked(killed=True), Demand(deadline_s=60.0))
    assert not list((where.home / "results").rglob("*.parquet"))


def test_a_batch_shares_its_panel(where: Place, side: Path) -> None:
    told: list[tuple[int, int]] = []
    with factory(where, side=str(side)) as open_factory:
        batch = [asked(wait_s=0.001 * number) for number in range(4)]
        found = open_factory.run_all(batch, Demand(progress=lambda done, total, _: told.append((done, total))))
    assert len({outcome.key for outcome in found}) == 4
    assert side.read_text().split().count("panel") == 1
    assert side.read_text().split().count("asked") == 1
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_panel_is_made_while_another_one_is_being_made(where: Place, side: Path) -> None:
    gate = side.with_name("gate.txt")
    slow = asked().model_copy(update={"instruments": ("CORN",)})
    with factory(where, side=str(side), gate=str(gate), gated="CORN") as open_factory:
        waiting = threading.Thread(target=open_factory.run, args=(slow,))
        waiting.start()
        seen(side, "panel")
        found = open_factory.run(asked())  # of both instruments, while that of CORN waits at the gate
        assert waiting.is_alive()
        gate.touch()
        waiting.join(SOON_S)
    assert not found.cached
    assert not waiting.is_alive()


def test_each_of_a_batch_has_its_row_before_the_next_is_begun(where: Place) -> None:
    rows: list[int] = []
    with factory(where) as open_factory:
        batch = [asked(wait_s=0.001 * number) for number in range(3)]
        open_factory.run_all(batch, Demand(progress=lambda *_: rows.append(len(audit(where)))))
    assert rows == [0, 1, 2, 3]


def test_a_ledger_that_stays_busy_loses_no_answer_and_hides_no_error(where: Place) -> None:
    busy = BusyLedger(refusals=4)
    with factory(where) as open_factory:
        open_factory._ledger = busy
        assert not open_factory.run(asked(), Demand(attempts=2)).cached
        with pytest.raises(StageFailed, match="no volatility"):
            open_factory.run(asked(breaks=True), Demand(attempts=2))
        assert (busy.tried, busy.rows) == (4, [])
    assert [event.payload["outcome"] for event in busy.rows] == ["computed", "failed"], "written when it closed"


def test_a_plugins_rule_decides_and_the_hash_of_its_package_is_in_the_key(
    where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (HERE / "backtest_parts.py").read_text()
    (tmp_path / "ones_own").mkdir()
    (tmp_path / "ones_own" / "rules_of_mine.py").write_text(text)
    (tmp_path / "ones_own" / "numbers.py").write_text("SPAN = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    rules = {"up": {"rule": "rising", "parameters": {"days": 7}, "weight": 1.0}}
    mine = StrategySettings.model_validate({"name": "mine", "rules": rules, "volatility_target_percent": 20.0})
    backtest = Backtest(strategy=mine, capital_base=1e6)
    source = Choice(name="made_up", parameters={"sessions": 300})
    with Factory.open(where, source, plugins=["ones_own.rules_of_mine"]) as open_factory:
        here = open_factory.run(backtest, Demand(cache=False))
        apart = open_factory.run(backtest, Demand(cache=False, isolated=True))
        (tmp_path / "ones_own" / "numbers.py").write_text("SPAN = 6\n")
        assert open_factory.key(backtest) != here.key
    assert np.isfinite(here.result.positions).any()
    assert np.array_equal(here.result.positions, apart.result.positions, equal_nan=True)
    assert here.kept.record.parts["rule rising"]
    with Factory.open(where, source) as open_factory, pytest.raises(StageFailed, match="there is no rule 'rising'"):
        open_factory.run(backtest)


def test_a_source_of_ones_own_is_in_the_key_with_its_code(where: Place) -> None:
    import backtest_parts

    with factory(where) as named, Factory.open(where, backtest_parts.Reversed()) as given:
        assert named.workshop.versions(asked())["data_source"].startswith("small 1 ")
        own = given.workshop.versions(Backtest(strategy=strategy(), capital_base=1000.0))["data_source"]
    assert len(own.removeprefix("Reversed ")) == 64


def test_each_request_leaves_a_row_that_sql_can_read(where: Place) -> None:
    from pipelines.deployments import frame_store, ledger, sql_reader

    with factory(where) as open_factory:
        first = open_factory.run(asked())
        open_factory.run(asked())
    reader = sql_reader(frame_store(where), ledger(where), where)
    rows = reader.query("select * from ledger_backtests order by asked_at").to_pylist()
    assert [(row["outcome"], row["cached"], row["who"]) for row in rows] == [
        ("computed", 0, "tester"),
        ("cached", 1, "tester"),
    ]
    assert {row["key"] for row in rows} == {first.key}
    assert json.loads(rows[0]["source"])["name"] == "small"
    kept = reader.query("select key, strategy, engine, sharpe from backtest_results").to_pylist()
    assert kept == [{"key": first.key, "strategy": "test", "engine": kept[0]["engine"], "sharpe": 1 / 3}]
    assert kept[0]["engine"].startswith("counting 1")


def test_a_strategy_of_ones_own_decides_and_its_version_is_in_the_key(where: Place) -> None:
    mine = asked().model_copy(update={"decided_by": Choice(name="two_each")})
    with factory(where) as open_factory:
        own, rules = open_factory.run(mine), open_factory.run(asked())
    assert own.key != rules.key
    assert (own.result.positions == 2.0).all()
    assert own.kept.record.parts["strategy"].startswith("two_each 7 ")


def test_the_window_bounds_the_curve(where: Place) -> None:
    window = Backtest.model_validate({**asked().model_dump(), "first": "2020-02-03", "last": "2020-02-07"})
    with factory(where) as open_factory:
        found = open_factory.run(window).result
    assert [str(day) for day in found.sessions[[0, -1]]] == ["2020-02-03", "2020-02-07"]


def test_prewarming_computes_and_keeps_nothing(where: Place, side: Path) -> None:
    with factory(where) as open_factory:
        assert set(open_factory.prewarm(asked(side=str(side)))) == {"data", "computing"}
    assert side.read_text().split() == ["computed"]
    assert not list((where.home / "results").rglob("*.parquet"))


WRONG = {
    "unknown engine": ({"engine": Choice(name="contin")}, "engine contin is unknown. Did you mean counting?"),
    "unknown option": ({"engine": Choice(name="counting", parameters={"wait": 1})}, "Did you mean wait_s?"),
    "wrong option": ({"engine": Choice(name="counting", parameters={"wait_s": "long"})}, "must be a number"),
    "unknown cost model": ({"costs": Choice(name="flatt")}, "Did you mean flat?"),
    "cost model not taken": ({"costs": Choice(name="free")}, "takes no cost_model of its own"),
    "negative cost": ({"costs": Choice(name="flat", parameters={"per_contract_base": -1})}, "takes no cost_model"),
    "unknown strategy part": ({"decided_by": Choice(name="magic")}, "strategy magic is unknown"),
    "strategy without methods": ({"decided_by": Choice(name="no_strategy")}, "has no method positions(panel, strategy"),
    "instrument without data": ({"strategy": "SOFR"}, "there is no data of SOFR"),
    "first after the data": ({"first": "2030-01-01"}, "there is data from 2020-01-06 to 2020-03-27"),
    "last before the data": ({"last": "1999-01-01"}, "there are no prices through 1999-01-01"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_only_parts_and_data_can_tell_is_refused_in_a_sentence(where: Place, name: str) -> None:
    changes, says = WRONG[name]
    whole = asked().model_dump()
    if "strategy" in changes:
        changes = {"strategy": {**whole["strategy"], "instruments": ("CORN", changes["strategy"])}}
    with factory(where) as open_factory, pytest.raises(WrongSpecification) as refused:
        open_factory.run(Backtest.model_validate({**whole, **changes}))
    assert says in str(refused.value)
    assert str(refused.value).endswith((".", "?"))
    assert refused.value.exit_code == 2


def test_a_deployment_that_nothing_serves_is_refused(tmp_path: Path) -> None:
    nowhere = Place(tmp_path, "moon", tmp_path)
    for make in (wiring.frame_store, wiring.ledger, wiring.reference):
        with pytest.raises(ConfigError, match="has no such backend"):
            make(nowhere)


class NoVersion:
    """A source that forgot a method."""

    def instruments(self) -> list[str]:
        return ["CORN"]

    def panel(self, instruments, base, weekend_rows, through=None):
        return None


class FewWords(NoVersion):
    """A source whose version takes too little."""

    def version(self, instruments):
        return "1"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (NoVersion(), "has no method version(instruments, base, weekend_rows, through)"),
        (FewWords(), "has version(instruments) where version(instruments, base, weekend_rows, through) is called"),
        (Choice(name="csvv"), "data_source csvv is unknown. Did you mean csv?"),
        (Choice(name="csv"), "folder is missing"),
    ],
)
def test_a_wrong_source_is_refused_when_the_factory_opens(where: Place, source: object, says: str) -> None:
    with pytest.raises(WrongSpecification) as refused:
        Factory.open(where, source)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_a_module_that_is_not_there_is_named(where: Place) -> None:
    with pytest.raises(WrongSpecification, match="module no_such_parts cannot be imported"):
        backtesting.known_parts(["no_such_parts"])


def test_parts_are_listed_with_capabilities_and_schema(where: Place) -> None:
    found = {(part["kind"], part["name"]): part for part in backtesting.listing([PLUGIN])}
    assert found["engine", "counting"]["capabilities"] == ["strategy"]
    assert found["engine", "counting"]["parameters"]["properties"]["wait_s"]["type"] == "number"
    assert found["cost_model", "flat"]["parameters"]["required"] == ["per_contract_base"]
    assert found["strategy", "two_each"]["version"] == "7"
    assert json.loads(json.dumps(list(found.values())))
