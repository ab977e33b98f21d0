"""Variants of a sweep, worked out by hand; and what is said of wrong ones."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trading.backtest.specification import Backtest
from trading.backtest.sweeps import Sweep, variant_text, variants
from trading.config.strategies import StrategySettings
from trading.errors import WrongSpecification

RULES = {
    "slow": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "weight": 0.6},
    "carry": {"rule": "carry", "parameters": {"smooth": 90}, "weight": 0.4},
}
FAST, SLOW = "rules.slow.parameters.fast", "rules.slow.parameters.slow"
BUFFER = {"paths": ["buffer.fraction"], "values": [[0.1], [0.2]]}


def sweep(*axes: dict[str, Any], **words: Any) -> Sweep:
    strategy = StrategySettings.model_validate({"name": "s", "rules": RULES, "volatility_target_percent": 20})
    return Sweep(backtest=Backtest(strategy=strategy, capital_base=1e6), axes=axes, **words)


def test_a_grid_is_every_combination_the_last_axis_fastest() -> None:
    made = variants(sweep(BUFFER, {"paths": ["forecasts.cap"], "values": [[10.0], [20.0], [30.0]]}))
    found = [(one["buffer.fraction"], one["forecasts.cap"]) for one in made.overrides]
    assert found == [(0.1, 10), (0.1, 20), (0.1, 30), (0.2, 10), (0.2, 20), (0.2, 30)]
    assert made.dropped == 0


def test_paths_of_one_axis_vary_together() -> None:
    made = variants(sweep({"paths": [FAST, SLOW], "values": [[8, 32], [16, 64]]}))
    assert made.overrides == ({FAST: 8, SLOW: 32}, {FAST: 16, SLOW: 64})


def test_combinations_whose_fast_span_is_not_below_the_slow_one_are_dropped_and_counted() -> None:
    axes = [{"paths": [path], "values": [[8], [16], [32]]} for path in (FAST, SLOW)]
    made = variants(sweep(*axes))
    assert [(one[FAST], one[SLOW]) for one in made.overrides] == [(8, 16), (8, 32), (16, 32)]
    assert made.dropped == 6


def test_a_span_that_stays_counts_too() -> None:
    made = variants(sweep({"paths": [FAST], "values": [[32], [64], [100]]}))  # slow is 64
    assert (made.overrides, made.dropped) == (({FAST: 32},), 2)


def test_random_variants_are_the_same_each_time_and_more_begin_with_fewer() -> None:
    axes = [
        {"paths": ["buffer.fraction"], "low": 0.0, "high": 0.5},
        {"paths": [FAST], "low": 2, "high": 100, "whole": True},
    ]
    few = variants(sweep(*axes, search="random", trials=50, seed=3)).overrides
    many = variants(sweep(*axes, search="random", trials=2000, seed=3)).overrides
    other = variants(sweep(*axes, search="random", trials=50, seed=4)).overrides
    assert many[:50] == few != other
    assert len(many) == 2000
    assert all(0 <= one["buffer.fraction"] < 0.5 for one in many)
    assert {one[FAST] for one in many} == set(range(2, 64))  # below 64, the slow span


def test_a_range_of_whole_numbers_reaches_both_ends_evenly() -> None:
    made = variants(
        sweep({"paths": ["volatility.span"], "low": 10, "high": 13, "whole": True}, search="random", trials=4000)
    )
    found = [one["volatility.span"] for one in made.overrides]
    assert all(abs(found.count(value) - 1000) < 150 for value in (10, 11, 12, 13))  # 5 deviations of 27
    assert all(isinstance(value, int) for value in found)


def test_a_logarithmic_range_has_half_of_its_numbers_below_the_geometric_middle() -> None:
    axis = {"paths": ["buffer.fraction"], "low": 0.001, "high": 0.1, "log": True}
    made = variants(sweep(axis, search="random", trials=4000))
    below = sum(one["buffer.fraction"] < 0.01 for one in made.overrides)
    assert abs(below - 2000) < 160  # 5 deviations of 32


def test_random_weights_sum_to_their_total_and_are_all_alike() -> None:
    made = variants(sweep({"paths": ["rules.*.weight"], "total": 1.0}, search="random", trials=4000))
    assert set(made.overrides[0]) == {"rules.slow.weight", "rules.carry.weight"}
    assert all(math.isclose(sum(one.values()), 1.0) and min(one.values()) >= 0 for one in made.overrides)
    low = sum(one["rules.carry.weight"] < 0.25 for one in made.overrides)
    assert abs(low - 1000) < 140  # of two weights each is even in 0 to 1


def test_weights_may_be_rescaled() -> None:
    axis = {"paths": ["rules.carry.weight"], "values": [[0.2]]}
    varied = sweep(axis, rescale_weights=True).varied({"rules.carry.weight": 0.2})
    assert [rule.weight for rule in varied.rules.values()] == pytest.approx([0.75, 0.25])


def test_a_variant_is_told_by_its_values_alone() -> None:
    assert variant_text({"b": 16.0, "a": 0.5}) == variant_text({"a": 0.5, "b": 16}) == '{"a":0.5,"b":16}'
    assert variant_text({"a": {"y": 1.0, "x": [2.0]}}) == '{"a":{"x":[2],"y":1}}'


@pytest.mark.parametrize(
    ("axes", "words", "said"),
    [
        ([], {}, "axes"),
        ([{"paths": ["buffer.fractio"], "values": [[0.1]]}], {}, "Did you mean fraction"),
        ([{"paths": ["rules.fast.weight"], "values": [[0.1]]}], {}, "'fast' is unknown"),
        ([{"paths": ["buffer.fraction"], "values": []}], {}, "give values, or a range"),
        ([{"paths": ["buffer.fraction"], "values": [[0.1], [0.10]]}], {}, r"\[0.1\] is there twice"),
        ([{"paths": ["buffer.fraction"], "values": [["wide"]]}], {}, "must be a number"),
        ([{"paths": ["buffer.fraction"], "values": [[0.1], [7]]}], {}, "buffer.fraction is 7"),
        ([{"paths": [FAST, SLOW], "values": [[8]]}], {}, "2 paths need as many values each time"),
        ([BUFFER, BUFFER], {}, "is on two axes"),
        ([{"paths": ["weekend_rows"], "values": [["friday"]]}], {}, "sweep each apart"),
        ([{"paths": ["rules.carry.weight"], "values": [[0.2]]}], {}, "weights of the rules sum to 0.8, not 1"),
        ([{"paths": ["buffer.fraction"], "low": 0, "high": 1}], {}, "a grid needs values"),
        ([{"paths": ["buffer.fraction"], "low": 0.5, "high": 0.1}], {"search": "random", "trials": 9}, "first below"),
        ([{"paths": ["buffer.fraction"], "low": 0.5}], {"search": "random", "trials": 9}, "needs low and high"),
        ([{"paths": ["buffer.fraction"], "low": 0, "high": 1, "log": True}], {"search": "random"}, "above 0"),
        ([{"paths": [FAST], "low": 2.5, "high": 9, "whole": True}], {"search": "random", "trials": 9}, "whole numbers"),
        ([{"paths": [FAST, SLOW], "low": 2, "high": 9}], {"search": "random", "trials": 9}, "a range is of one path"),
        ([BUFFER], {"search": "random"}, "needs the number of trials"),
        ([BUFFER], {"search": "random", "trials": 2_000_000}, "trials"),
        ([{"paths": ["buffer.fraction"], "values": [[n / 2000] for n in range(2000)]},
          {"paths": ["forecasts.cap"], "values": [[n + 1.0] for n in range(501)]}], {}, "1,002,000 variants are more"),
        ([BUFFER], {"search": "gird"}, "search"),
    ],
)  # fmt: skip
def test_wrong_sweeps_are_refused_in_sentences(axes: list[dict[str, Any]], words: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongSpecification, match=said) as refused:
        sweep(*axes, **words)
    assert refused.value.exit_code == 2


def test_a_search_without_any_variant_left_is_refused() -> None:
    with pytest.raises(WrongSpecification, match="of 2 combinations 0 have every fast span below its slow one"):
        variants(sweep({"paths": [FAST], "values": [[64], [65]]}))
    with pytest.raises(WrongSpecification, match="0 have every fast span"):
        variants(sweep({"paths": [FAST], "low": 70, "high": 99, "whole": True}, search="random", trials=5))
