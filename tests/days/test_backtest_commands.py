"""`daybook backtest` and `daybook sweep` with registered parts and rules of a user's own, as they are typed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

Typed = Callable[..., Any]
CONFIG = "Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,Slippage"
ROLLS = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset"
MULTIPLE = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT"
STRATEGY = """
instruments = ["CORN", "US10"]
volatility_target_percent = 20.0
[rules.quick]
rule = "ewmac"
parameters = { fast = 8, slow = 32 }
scalar = 5.0
weight = 1.0
"""


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def typed(tmp_path: Path, root: Path, daybook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command on 500 sessions of two instruments in dollars; the pages' modules can be imported."""
    days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2020-02-01"))
    days = days[np.is_busday(days)][:500]
    for place, code in enumerate(("CORN", "US10")):
        prices = 100.0 + np.cumsum(np.random.default_rng(place).normal(0.02, 1.0, len(days)))
        stamped = [(f"{day} 20:00:00", f"{price:.6f}") for day, price in zip(days, prices, strict=True)]
        write(tmp_path / f"data/adjusted_prices_csv/{code}.csv", "DATETIME,price", [f"{t},{p}" for t, p in stamped])
        held = [f"{t},{p},20300600,{p},20300300,{p},20300600" for t, p in stamped]
        write(tmp_path / f"data/multiple_prices_csv/{code}.csv", MULTIPLE, held)
    (tmp_path / "data/fx_prices_csv").mkdir()
    write(
        tmp_path / "data/csvconfig/instrumentconfig.csv", CONFIG, [f"{c},1,0,0,0,X,USD,x,0" for c in ("CORN", "US10")]
    )
    write(tmp_path / "data/csvconfig/rollconfig.csv", ROLLS, [f"{c},HMUZ,-5,1,HMUZ,0" for c in ("CORN", "US10")])
    (tmp_path / "mine.toml").write_text(STRATEGY)
    for page, name in (("backtests", "my_parts"), ("strategies", "my_rules")):
        text = (root / f"docs/how-to/{page}.md").read_text("utf-8")
        found = re.findall(rf"```python\n# {name}.py\n(.*?)```", text, re.DOTALL)[0]
        (tmp_path / f"{name}.py").write_text(found)
    monkeypatch.syspath_prepend(str(tmp_path))
    vendor = ("--vendor", "pysystemtrade", "--source", str(tmp_path / "data"), "--capital", "1000000")

    def run(command: str, *words: str, strategy: str = "mine.toml", given: tuple[str, ...] = vendor) -> Any:
        home = ("--json", "--home", str(tmp_path / "home"))
        return daybook(command, str(tmp_path / strategy), *given, *words, *home)

    return run


def answered(ended: Any) -> dict[str, Any]:
    """The document of a command that went well."""
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_a_cost_model_with_its_parameters(typed: Typed) -> None:
    free = answered(typed("backtest", "--costs", "free"))
    two, four = (
        answered(typed("backtest", "--costs", "flat", "--part", f"costs.per_contract_base={n}")) for n in (2, 4)
    )
    assert len({one["key"] for one in (free, two, four)}) == 3
    means = [one["statistics"]["net_currency"]["ann_mean"] for one in (free, two, four)]
    assert means[0] > means[1] > means[2]
    # What is paid is proportional to the price of a contract.
    assert means[0] - means[2] == pytest.approx(2 * (means[0] - means[1]), rel=1e-9)


def test_people_are_shown_what_limits_refused(typed: Typed, daybook: Callable[..., Any], tmp_path: Path) -> None:
    """As the document says it, which is of every order on its own."""
    words = ("--engine", "limited", "--part", "engine.max_gross_exposure_fraction=0.01")
    sums = answered(typed("backtest", *words))["statistics"]["refusals"]
    assert sums["orders"] == sums["by_gross_exposure"] > 100
    vendor = ("--vendor", "pysystemtrade", "--source", str(tmp_path / "data"), "--capital", "1000000")
    shown = daybook("backtest", str(tmp_path / "mine.toml"), *vendor, *words, "--home", str(tmp_path / "home")).out
    said = f"{sums['orders']:,.0f} orders on {sums['sessions']:,.0f} sessions (gross_exposure {sums['orders']:,.0f})"
    assert said in " ".join(shown.replace("│", " ").split())
    assert (
        "refused" not in daybook("backtest", str(tmp_path / "mine.toml"), *vendor, "--home", str(tmp_path / "home")).out
    )


def test_a_registered_strategy_decides(typed: Typed, tmp_path: Path) -> None:
    out = tmp_path / "positions.parquet"
    words = ("--plugin", "my_parts", "--decided-by", "hold_all", "--part", "decided_by.contracts=3")
    answered(typed("backtest", *words, "--positions", str(out)))
    assert set(pq.read_table(out)["CORN"].to_pylist()) == {3.0}
    seen = typed("backtest", *words, "--check-look-ahead", "--cuts", "3")
    assert answered(seen)["findings"] == []


def test_a_rule_of_ones_own_in_a_backtest_its_examination_and_a_sweep(typed: Typed, tmp_path: Path) -> None:
    text = STRATEGY.replace('rule = "ewmac"', 'rule = "rise"').replace("fast = 8, slow = 32", "sessions = 20")
    (tmp_path / "rising.toml").write_text(text)
    mine = {"strategy": "rising.toml"}
    found = answered(typed("backtest", "--plugin", "my_rules", **mine))
    assert np.isfinite(found["statistics"]["net_percent"]["sharpe"])
    assert answered(typed("backtest", "--plugin", "my_rules", "--check-look-ahead", "--cuts", "3", **mine))["ok"]
    axis = ("--axis", "rules.quick.parameters.sessions=20,40", "--workers", "2", "--out", str(tmp_path / "out.parquet"))
    swept = answered(typed("sweep", "--plugin", "my_rules", *axis, **mine))
    assert (swept["variants"], swept["failed"]) == (2, 0)
    first = pq.read_table(tmp_path / "out.parquet")["net_percent.sharpe"][0].as_py()
    assert first == pytest.approx(found["statistics"]["net_percent"]["sharpe"], rel=1e-12)
    refused = typed("backtest", **mine)
    assert refused.code == 2
    assert "there is no rule 'rise'" in refused.err


REFUSED = {
    "flat without a price": (("--costs", "flat"), "per_contract_base is missing"),
    "unknown parameter": (("--costs", "flat", "--part", "costs.price=2"), "price is not a setting"),
    "unknown kind": (("--part", "cost.x=2"), "with a kind of costs, decided_by, engine"),
    "no parameter": (("--part", "costs=2"), "is not KIND.PARAMETER=VALUE"),
    "no part": (("--part", "decided_by.contracts=3"), "name it with --decided-by NAME"),
    "option of an engine": (("--part", "engine.x=1"), "x is not a setting"),
    "no capital at all": (("--capital", "0"), "capital_base is 0.0, but must be more than 0"),
    "a name that is empty": (("--engine", ""), "engine.name is ''"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_with_parts_is_said(typed: Typed, name: str) -> None:
    words, says = REFUSED[name]
    ended = typed("backtest", *words)
    assert ended.code == 2
    assert says in ended.err


def test_rules_and_parts_of_plugins_are_listed(daybook: Callable[..., Any], typed: Typed) -> None:
    listed = answered(daybook("backtest", "--list", "--plugin", "my_rules", "--plugin", "my_parts", "--json"))
    assert "rise" in [rule["name"] for rule in listed["rules"]]
    assert ("strategy", "hold_all") in [(part["kind"], part["name"]) for part in listed["parts"]]


@pytest.mark.parametrize(("words", "says"), [
    (("--deadline", "nan"), "nan is not a number more than 0"),
    (("--deadline", "0"), "not in the range"),
    (("--memory-ceiling", "-3"), "not in the range"),
    (("--instruments", "CORN,,US10"), "has an empty name"),
    (("--instruments", ""), "has an empty name"),
    (("--capital", "0"), "capital_base is 0.0, but must be more than 0"),
])  # fmt: skip
def test_numbers_and_names_that_are_none_are_refused(typed: Typed, words: tuple[str, ...], says: str) -> None:
    ended = typed("backtest", *words)
    assert ended.code == 2
    assert says in ended.err


def test_an_option_that_sees_the_future_is_told_where_no_cut_shows_it(typed: Typed) -> None:
    sound = typed("backtest", "--check-look-ahead", "--cuts", "3")
    assert (sound.code, sound.document["findings"]) == (0, [])
    friday = typed("backtest", "--check-look-ahead", "--cuts", "3", "--set", "weekend_rows=friday")
    assert friday.code == 1
    assert friday.document["findings"] == ["weekend_rows sees the future by what it is; none of these cuts showed it."]


@pytest.mark.parametrize(("words", "says"), [
    (("--axis", "buffer.fraction=0.1,0.2", "--heat-map", "m.png"), "a heat map needs two axes with values"),
    (("--axis", "buffer.fraction=0.1,0.2", "--out", "/nowhere/t.csv"), "there is no folder /nowhere"),
])  # fmt: skip
def test_a_sweep_that_could_not_be_shown_is_not_begun(
    typed: Typed, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    ended = typed("sweep", *words)
    assert ended.code == 2
    assert says in ended.err
    assert not (tmp_path / "home" / "frames" / "sweep_results").exists()


def test_people_are_shown_the_best_variant_and_the_counts(
    typed: Typed, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    vendor = ("--vendor", "pysystemtrade", "--source", tmp_path / "data", "--capital", "1000000")
    ended = daybook(
        "sweep", tmp_path / "mine.toml", *vendor, "--home", tmp_path / "home", "--axis", "buffer.fraction=0.1,0.3"
    )
    assert ended.code == 0, ended.err
    assert "buffer.fraction" in ended.out
    assert "net_percent.sharpe" in ended.out
    assert "probability of overfitting" in ended.out
    assert "net_percent.hitrate" not in ended.out


TELLING = '''
import os
import threading
import time

import numpy as np

from trading.config.settings import Settings
from trading.strategies.rule import Market, forecast_rule


class Told(Settings):
    number: int = 1


@forecast_rule(Told)
def telling(market: Market, given: Told):
    """Says which process computes it, and takes its time."""
    with open(os.environ["WHO_COMPUTES"], "a") as file:
        file.write(f"{time.monotonic()} 1\\n")
    threading.Event().wait(0.2)
    with open(os.environ["WHO_COMPUTES"], "a") as file:
        file.write(f"{time.monotonic()} -1\\n")
    return np.full(market.price.shape, 1.0 + given.number)
'''


@pytest.fixture
def telling(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Sweeps eight variants by a desk with these settings of parallelism; how it ended, and how many were computed at
    once at most."""
    (tmp_path / "telling_rules.py").write_text(TELLING)
    text = STRATEGY.replace('rule = "ewmac"', 'rule = "telling"').replace("fast = 8, slow = 32", "number = 1")
    (tmp_path / "telling.toml").write_text(text)
    monkeypatch.setenv("WHO_COMPUTES", str(tmp_path / "computed"))
    (tmp_path / "home").mkdir()

    def run(parallelism: str, *words: str) -> tuple[Any, int]:
        (tmp_path / "home" / "desk.toml").write_text(f"schema = 2\n[data.parallelism]\n{parallelism}\n")
        (tmp_path / "computed").write_text("")
        axis = ("--axis", "rules.quick.parameters.number=1,2,3,4,5,6,7,8")
        ended = typed("sweep", "--plugin", "telling_rules", *axis, *words, strategy="telling.toml")
        lines = [line.split() for line in (tmp_path / "computed").read_text().splitlines()]
        steps = [int(step) for _, step in sorted((float(at), step) for at, step in lines)]
        return ended, max(accumulate(steps), default=0)

    return run


@pytest.mark.parametrize(("jobs", "words", "processes"), [(1, (), 1), (3, (), 3), (3, ("--workers", "2"), 2)])
def test_a_sweep_computes_no_more_at_once_than_is_set(
    jobs: int, words: tuple[str, ...], processes: int, telling: Callable[..., Any]
) -> None:
    ended, at_once = telling(f"jobs = {jobs}", *words)
    assert (answered(ended)["variants"], answered(ended)["failed"]) == (8, 0)
    assert 1 <= at_once <= processes, "without the setting it were one a processor"


def test_a_process_of_a_sweep_takes_no_more_memory_than_is_set(telling: Callable[..., Any]) -> None:
    ended, _ = telling("job_memory_mb = 20.0")
    found = json.loads(ended.out)
    assert (ended.code, found["partial"]) == (1, True)
    assert "20 MB" in found["message"]
    ended, _ = telling("job_memory_mb = 20.0", "--memory-ceiling", "4000")
    assert answered(ended)["variants"] == 8, "what is typed counts"
