"""Wrong strategies: each gets a sentence with the setting, the value, and what may stand there.

Belongs here: what one strategy file can have wrong. Does not belong here: files that cannot be found or read
(`tests/days/test_strategy_files.py`).
"""

from __future__ import annotations

import math
import tomllib
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trading.config.refusals import refusal, refusals
from trading.config.strategies import StrategySettings, sees_the_future
from trading.errors import ConfigError
from trading.strategies.rule import check_rules

RULE = {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "scalar": 3.75, "weight": 1.0}
GOOD: dict[str, Any] = {"name": "good", "rules": {"trend": RULE}, "instruments": ["CORN", "US10"]}
REMOVED = object()
FOREST = {"CORN": 0.5, "US10": 0.5}

WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    # unknown settings and missing ones
    (
        "unknown at the top",
        {"capitl_base": 5.0},
        ["capitl_base is not a setting", "Did you mean capital_base?", "rules, "],
    ),
    (
        "unknown in a section",
        {"buffer.fractoin": 0.1},
        [
            "buffer.fractoin is not a setting",
            "Did you mean fraction?",
            "Settings of [buffer] are: method, fraction, trade_to, whole_contracts",
        ],
    ),
    ("unknown in a rule", {"rules.trend.wieght": 1.0}, ["rules.trend.wieght is not a setting", "Did you mean weight?"]),
    ("no name", {"name": REMOVED}, ["name is missing (unique name)"]),
    ("no weight", {"rules.trend.weight": REMOVED}, ["rules.trend.weight is missing"]),
    ("no rules", {"rules": REMOVED}, ["rules is missing (rules by name)"]),
    ("empty rules", {"rules": {}}, ["rules has no entries, but must have at least 1"]),
    # types
    ("text for a number", {"forecasts.cap": "20"}, ["forecasts.cap is '20' (text), but must be a number."]),
    (
        "true for a number",
        {"rules.trend.weight": True},
        ["rules.trend.weight is True (true or false)", "must be a number"],
    ),
    ("fraction for whole", {"volatility.span": 35.5}, ["volatility.span is 35.5", "must be a whole number"]),
    ("number for true or false", {"buffer.whole_contracts": 1}, ["buffer.whole_contracts is 1", "true or false"]),
    ("text for a list", {"instruments": "CORN"}, ["instruments is 'CORN' (text), but must be a list"]),
    ("number in a list", {"instruments": ["CORN", 7]}, ["instruments[1] is 7 (a number), but must be text"]),
    ("number for a section", {"buffer": 0.1}, ["buffer is 0.1 (a number), but must be a table"]),
    (
        "text for a parameter",
        {"rules.trend.parameters.fast": "16"},
        ["rules.trend.parameters.fast is '16'", "a number"],
    ),
    (
        "a word for a scalar",
        {"rules.trend.scalar": "guessed"},
        ["rules.trend.scalar is 'guessed'", "a number or estimated"],
    ),
    (
        "a word for a multiplier",
        {"portfolio.multiplier": "estimate"},
        ["portfolio.multiplier is 'estimate'", "a number or estimated"],
    ),
    ("no date", {"prices_since": "lately"}, ["prices_since is 'lately'"]),
    # choices
    (
        "unknown volatility",
        {"volatility.method": "mixd"},
        ["volatility.method is 'mixd', but must be one of mixed, robust", "Did you mean mixed?"],
    ),
    (
        "unknown buffering",
        {"buffer.method": "always"},
        ["buffer.method is 'always'", "one of position, forecast, none"],
    ),
    ("unknown costs", {"costs.method": "free"}, ["costs.method is 'free'", "cash, sharpe, none"]),
    # bounds
    ("negative capital", {"capital_base": -250_000.0}, ["capital_base is -250000.0, but must be more than 0"]),
    ("no capital", {"capital_base": 0.0}, ["capital_base is 0.0, but must be more than 0"]),
    ("too much risk", {"volatility_target_percent": 2000.0}, ["volatility_target_percent is 2000.0", "200 or less"]),
    ("negative buffer", {"buffer.fraction": -0.1}, ["buffer.fraction is -0.1, but must be 0 or more"]),
    (
        "scalar of zero",
        {"rules.trend.scalar": 0.0},
        ["rules.trend.scalar is 0.0", "give a positive number or 'estimated'"],
    ),
    ("negative weight", {"rules.trend.weight": -0.5}, ["rules.trend.weight is -0.5, but must be 0 or more"]),
    ("more than all capital", {"capital_share": 1.5}, ["capital_share is 1.5, but must be 1 or less"]),
    # numbers that are none
    ("NaN weight", {"rules.trend.weight": math.nan}, ["rules.trend.weight is nan, but must be a finite number"]),
    ("infinite weight", {"rules.trend.weight": math.inf}, ["rules.trend.weight is inf, but must be a finite number"]),
    (
        "NaN instrument weight",
        {"portfolio.weights": {"CORN": math.nan, "US10": 0.5}},
        ["portfolio.weights.CORN is nan"],
    ),
    ("NaN target", {"volatility_target_percent": math.nan}, ["volatility_target_percent is nan"]),
    ("NaN parameter", {"rules.trend.parameters.fast": math.nan}, ["rules.trend.parameters.fast is nan"]),
    # names
    ("name with a blank", {"name": "two words"}, ["name is 'two words'", "letters, digits and _ only"]),
    (
        "code with a slash",
        {"instruments": ["../CORN"]},
        ["instruments[0] is '../CORN'", "letters, digits, _ and - only"],
    ),
    ("no currency", {"base_currency": "dollar"}, ["base_currency is 'dollar'", "three capital letters"]),
    # what single settings cannot see
    (
        "rules do not sum",
        {"rules.trend.weight": 0.7},
        ["weights of the rules sum to 0.7, not 1 (within 0.01)", "forecasts.sum_of_weights = 'any'"],
    ),
    ("percent for shares", {"rules.trend.weight": 100.0}, ["weights of the rules sum to 100, not 1"]),
    ("all rules at zero", {"rules.trend.weight": 0.0}, ["weights of the rules: all are 0"]),
    (
        "instruments do not sum",
        {"portfolio.weights": {"CORN": 0.5, "US10": 0.3}},
        ["portfolio.weights sum to 0.8, not 1", "portfolio.sum_of_weights = 'any'"],
    ),
    ("instruments at zero", {"portfolio.weights": {"CORN": 0.0, "US10": 0.0}}, ["portfolio.weights: all are 0"]),
    (
        "weight of a stranger",
        {"portfolio.weights": {**FOREST, "US1O": 0.0}},
        ["portfolio.weights names US1O", "instruments lists CORN, US10", "Did you mean US10?"],
    ),
    ("no weight for one", {"portfolio.weights": {"CORN": 1.0}}, ["portfolio.weights has none for US10"]),
    ("weights without a list", {"portfolio.weights": FOREST, "instruments": []}, ["instruments is empty"]),
    ("twice the same", {"instruments": ["CORN", "US10", "CORN"]}, ["instruments lists CORN more than once"]),
    (
        "weights of no rule",
        {"forecasts.weights": {"CORN": {"trnd": 1.0}}},
        ["forecasts.weights.CORN names trnd", "the rules are trend", "Did you mean trend?"],
    ),
    ("own weights do not sum", {"forecasts.weights": {"CORN": {"trend": 0.4}}}, ["forecasts.weights.CORN sum to 0.4"]),
    ("own weights of a stranger", {"forecasts.weights": {"GOLD": {"trend": 1.0}}}, ["forecasts.weights names GOLD"]),
    ("multiplier of a stranger", {"forecasts.multipliers": {"GOLD": 1.1}}, ["forecasts.multipliers names GOLD"]),
    ("average above the cap", {"forecasts.average": 30.0}, ["forecasts.average (30) is above forecasts.cap (20)"]),
    (
        "never a volatility",
        {"volatility": {"method": "simple", "min_periods": 30}},
        ["volatility.min_periods (30) is above volatility.window (25)"],
    ),
    (
        "never a floor",
        {"volatility": {"method": "robust", "floor_min_periods": 600}},
        ["volatility.floor_min_periods (600) is above volatility.floor_rows (500)"],
    ),
]
WRONG_RULES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "unknown rule",
        {"rules.trend.rule": "ewmca"},
        [
            "strategy good, rules.trend: there is no rule 'ewmca'",
            "Did you mean ewmac?",
            "Rules are: acceleration, breakout, carry, ewmac",
        ],
    ),
    ("unknown parameter", {"rules.trend.parameters.quick": 16}, ["strategy good, rules.trend", "quick", "fast, slow"]),
    ("missing parameter", {"rules.trend.parameters": {"fast": 16}}, ["rules.trend", "slow"]),
    (
        "fast slower than slow",
        {"rules.trend.parameters": {"fast": 64, "slow": 16}},
        ["fast (64) must be shorter than slow"],
    ),
    ("span of zero", {"rules.trend.parameters.fast": 0}, ["rules.trend", "fast", "given 0"]),
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The good strategy with some settings, by their path, given or removed."""
    made = deepcopy(GOOD)
    for path, value in changes.items():
        *sections, name = path.split(".")
        place = made
        for section in sections:
            place = place.setdefault(section, {})
        if value is REMOVED:
            del place[name]
        else:
            place[name] = value
    return made


def test_the_strategy_that_the_tables_change_is_good() -> None:
    check_rules(StrategySettings.model_validate(GOOD))


@pytest.mark.parametrize(("changes", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_strategy_gets_a_sentence(changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ValidationError) as found:
        StrategySettings.model_validate(changed(changes))
    text = refusal(found.value, StrategySettings, "strategies/good.toml")
    assert text.startswith("strategies/good.toml: ")
    assert text.endswith(" Correct it and run again.")
    assert not [part for part in said if part not in text], text
    assert len(refusals(found.value, StrategySettings)) == 1, "one mistake is one sentence"


@pytest.mark.parametrize(("changes", "said"), [row[1:] for row in WRONG_RULES], ids=[row[0] for row in WRONG_RULES])
def test_a_wrong_rule_gets_a_sentence(changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigError) as found:
        check_rules(StrategySettings.model_validate(changed(changes)))
    assert found.value.exit_code == 2
    assert not [part for part in said if part not in str(found.value)], str(found.value)


def test_many_mistakes_are_five_sentences_and_a_count() -> None:
    wrong = changed({f"unknown_{number}": 1 for number in range(8)})
    with pytest.raises(ValidationError) as found:
        StrategySettings.model_validate(wrong)
    text = refusal(found.value, StrategySettings, "here")
    assert text.count("is not a setting") == 5
    assert "And 3 more." in text


@pytest.mark.parametrize(
    "changes",
    [
        {"portfolio.weights": {"CORN": 0.498, "US10": 0.5}},  # as those of chapter 15: 0.998
        {"rules.trend.weight": 0.7, "forecasts.sum_of_weights": "any"},
        {"portfolio.weights": {"CORN": 3.0, "US10": 1.0}, "portfolio.sum_of_weights": "any"},
        {"rules.trend.weight": 0.0, "forecasts.weights": {"CORN": {"trend": 1.0}, "US10": {"trend": 1.0}}},
        {"instruments": ["JGB-SGX-mini"], "prices_since": date(2000, 1, 31)},
        {"forecasts.multiplier": 2, "rules.trend.scalar": "estimated"},
    ],
)
def test_what_is_unusual_but_right_is_taken(changes: dict[str, Any]) -> None:
    StrategySettings.model_validate(changed(changes))


def test_the_same_strategy_comes_back_from_json() -> None:
    strategy = StrategySettings.model_validate(changed({"prices_since": date(2000, 1, 31)}))
    assert StrategySettings.model_validate(strategy.model_dump(mode="json")) == strategy


def test_a_plain_strategy_sees_no_future_and_chapter_15_says_where_it_does(root: Path) -> None:
    assert sees_the_future(StrategySettings.model_validate(GOOD)) == ()
    given = tomllib.loads((root / "config" / "strategies" / "chapter15.toml").read_text())
    chapter15 = StrategySettings.model_validate(given)
    assert sorted(sees_the_future(chapter15)) == [
        "costs.deflator", "costs.rolls", "costs.same_date", "forecasts.zero_rules", "weekend_rows",
    ]  # fmt: skip
    estimated = StrategySettings.model_validate(
        {**given, "portfolio": {"multiplier": "estimated", "refits": "from_end"}}
    )
    assert "portfolio.refits" in sees_the_future(estimated)
