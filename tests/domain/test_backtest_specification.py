"""What a backtest is: refused in sentences where it is wrong, and a key that changes with whatever changes a number."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.backtest.specification import (
    Backtest,
    Choice,
    DataSource,
    canonical,
    overridden,
    parsed_overrides,
    shortcomings,
)
from trading.config.strategies import StrategySettings
from trading.errors import WrongSpecification

RULES = {
    "fast": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "weight": 0.6},
    "slow": {"rule": "ewmac", "parameters": {"fast": 32, "slow": 128}, "weight": 0.4},
}
STRATEGY = {
    "name": "trend", "rules": RULES, "instruments": ("CORN", "EDOLLAR", "US10"), "volatility_target_percent": 20.0,
    "portfolio": {"weights": {"CORN": 0.5, "EDOLLAR": 0.25, "US10": 0.25}},
}  # fmt: skip
WHOLE = {"strategy": STRATEGY, "capital_base": 250_000.0}


def made(**changes: object) -> Backtest:
    """A backtest of the strategy above, some fields changed."""
    return Backtest.model_validate({**WHOLE, **changes})


def of(**changes: object) -> Mapping[str, object]:
    """The same, with settings of the strategy changed."""
    return {"strategy": {**STRATEGY, **changes}}


def rules(**changes: object) -> Mapping[str, object]:
    """The same, with settings of its first rule changed."""
    return of(rules={**RULES, "fast": {**RULES["fast"], **changes}})


NAN, INFINITY = float("nan"), float("inf")
WRONG: Mapping[str, tuple[Mapping[str, object], str]] = {
    "no strategy": ({"strategy": None}, "strategy is None"),
    "unknown field": ({"capitl_base": 1.0}, "capitl_base is not a setting. Did you mean capital_base?"),
    "known fields are named": ({"foo": 1}, "Settings of the top are: strategy, instruments, first, last, capital_base"),
    "unknown setting of the strategy": (of(buffr={}), "strategy.buffr is not a setting. Did you mean buffer?"),
    "unknown setting inside it": (of(buffer={"size": 1.0}), "strategy.buffer.size is not a setting."),
    "unknown setting of a rule": (rules(span=3), "strategy.rules.fast.span is not a setting."),
    "capital is text": ({"capital_base": "a lot"}, "capital_base is 'a lot' (text), but must be a number"),
    "capital is true": ({"capital_base": True}, "capital_base is True (true or false), but must be a number"),
    "capital is negative": ({"capital_base": -1.0}, "capital_base is -1.0, but must be more than 0"),
    "capital is zero": ({"capital_base": 0.0}, "capital_base is 0.0, but must be more than 0"),
    "capital is NaN": ({"capital_base": NAN}, "capital_base is nan, but must be a finite number"),
    "capital is infinite": ({"capital_base": INFINITY}, "capital_base is inf, but must be"),
    "currency in words": ({"base_currency": "dollars"}, "base_currency is 'dollars', but must be a currency"),
    "first is no date": ({"first": "soon"}, "first is 'soon'"),
    "there is no such day": ({"last": "2020-02-30"}, "last is '2020-02-30'"),
    "dates reversed": ({"first": "2020-02-01", "last": "2020-01-01"}, "first (2020-02-01) is after last (2020-01-01)"),
    "instruments are one text": ({"instruments": "CORN"}, "instruments is 'CORN' (text), but must be a list"),
    "instrument with a space": ({"instruments": ("US 10",)}, "instruments[0] is 'US 10', but must be a name"),
    "instrument twice": ({"instruments": ("CORN", "CORN")}, "instruments name CORN twice"),
    "instrument of another strategy": ({"instruments": ("SOFR",)}, "SOFR is not one of the strategy's: choose of CORN"),
    "negative seed": ({"seed": -1}, "seed is -1, but must be 0 or more"),
    "half a seed": ({"seed": 0.5}, "seed is 0.5"),
    "engine is a word": ({"engine": "daybook"}, "engine is 'daybook' (text), but must be a table"),
    "engine without a name": ({"engine": {"parameters": {}}}, "engine.name is missing"),
    "parameter of a part is NaN": ({"costs": {"name": "flat", "parameters": {"a": NAN}}}, "costs.parameters.a is nan"),
    "no target": (of(volatility_target_percent=None), "strategy.volatility_target_percent is not set"),
    "no rules": (of(rules={}), "strategy.rules has no entries, but must have at least 1"),
    "NaN weight": (rules(weight=NAN), "strategy.rules.fast.weight is nan, but must be a finite number"),
    "negative weight": (rules(weight=-0.6), "strategy.rules.fast.weight is -0.6, but must be 0 or more"),
    "weights that do not sum": (rules(weight=0.9), "weights of the rules sum to 1.3, not 1"),
    "NaN share": (of(portfolio={"weights": {"CORN": NAN}}), "strategy.portfolio.weights.CORN is nan"),
    "shares that do not sum": (
        of(portfolio={"weights": {"CORN": 0.5, "EDOLLAR": 0.5, "US10": 0.5}}), "portfolio.weights sum to 1.5, not 1",
    ),
    "share of a stranger": (
        of(portfolio={"weights": {"CORN": 0.5, "SOFR": 0.5}}), "portfolio.weights names SOFR, but instruments lists",
    ),
    "instrument without a share": (of(portfolio={"weights": {"CORN": 1.0}}), "portfolio.weights has none for EDOLLAR"),
    "span is text": (rules(scalar="big"), "strategy.rules.fast.scalar is 'big', but must be"),
    "not a choice": (of(compounding="weekly"), "but must be one of fixed, half, full"),
    "look-ahead refused": (
        {**of(costs={"deflator": "final_volatility"}), "look_ahead": "refused"},
        "strategy.costs.deflator = 'final_volatility' sees the future",
    ),
    "look-ahead of weekend rows": ({**of(weekend_rows="friday"), "look_ahead": "refused"}, "strategy.weekend_rows"),
    "look-ahead by another word": ({"look_ahead": "maybe"}, "look_ahead is 'maybe'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_when_the_backtest_is_made(name: str) -> None:
    changes, says = WRONG[name]
    with pytest.raises(WrongSpecification) as refused:
        made(**changes)
    assert says in str(refused.value)
    assert str(refused.value).endswith((".", "?"))
    assert refused.value.exit_code == 2


def test_the_table_is_as_long_as_promised() -> None:
    assert len(WRONG) >= 25


def test_a_backtest_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        made().capital_base = 1.0  # type: ignore[misc]


# --- keys -------------------------------------------------------------------------------------------------------------
def test_the_order_of_keys_and_ways_of_writing_a_number_do_not_change_the_key() -> None:
    plain = made(engine={"name": "daybook", "parameters": {"a": 1, "b": 2.5}})
    turned = dict(reversed(RULES.items())) | {"fast": {**RULES["fast"], "parameters": {"slow": 64.0, "fast": 16.0}}}
    other = Backtest.model_validate(
        {
            "engine": {"parameters": {"b": 2.5, "a": 1.0}, "name": "daybook"},
            "capital_base": 250_000,
            "strategy": {**dict(reversed(STRATEGY.items())), "rules": dict(reversed(turned.items()))},
        }
    )
    assert other.key("data", "code") == plain.key("data", "code")


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "another word"},
        {"look_ahead": "refused"},
        of(description="said otherwise"),
        of(name="renamed"),
        {"instruments": ("US10", "EDOLLAR", "CORN")},
        of(capital_base=9.0),  # the backtest's own counts
        of(buffer={"fraction": 0.1}),  # a default written out
    ],
)
def test_what_changes_no_number_does_not_change_the_key(changes: Mapping[str, object]) -> None:
    assert made(**changes).key("data", "code") == made().key("data", "code")


CHANGED = {
    "capital": {"capital_base": 250_001.0},
    "currency": {"base_currency": "EUR"},
    "first": {"first": "2000-01-03"},
    "last": {"last": "2000-01-03"},
    "instruments": {"instruments": ("CORN",)},
    "seed": {"seed": 1},
    "engine": {"engine": {"name": "other"}},
    "option of the engine": {"engine": {"name": "daybook", "parameters": {"fast": True}}},
    "cost model": {"costs": {"name": "flat"}},
    "cost parameter": {"costs": {"name": "settings", "parameters": {"per_contract": 1.0}}},
    "who decides": {"decided_by": {"name": "two_each"}},
    "weight": of(rules={**RULES, "fast": {**RULES["fast"], "weight": 0.605}}),
    "parameter": of(rules={**RULES, "fast": {**RULES["fast"], "parameters": {"fast": 17, "slow": 64}}}),
    "name of a rule": of(rules={"quick": RULES["fast"], "slow": RULES["slow"]}),
    "buffer": of(buffer={"fraction": 0.11}),
    "target": of(volatility_target_percent=21.0),
}


def test_every_change_has_a_key_of_its_own() -> None:
    keys = {name: made(**changes).key("data", "code") for name, changes in CHANGED.items()}
    keys |= {"": made().key("data", "code"), "data": made().key("newer", "code"), "code": made().key("data", "newer")}
    keys["parts"] = made().key("data", "code", {"engine": "daybook 2"})
    assert len(set(keys.values())) == len(keys)
    assert all(len(key) == 64 for key in keys.values())


NUMBERS = {
    "capital_base": st.floats(1.0, 1e12),
    "seed": st.integers(0, 2**40),
    "base_currency": st.sampled_from(["USD", "EUR"]),
}
SPECIFICATIONS = st.fixed_dictionaries(
    {
        **NUMBERS,
        "first": st.dates(date(1980, 1, 1), date(2000, 1, 1)),
        "fraction": st.floats(0, 1),
        "span": st.integers(2, 60),
    }
)


def specified(values: Mapping[str, Any]) -> Backtest:
    """A backtest of drawn values."""
    fast = {**RULES["fast"], "parameters": {"fast": values["span"], "slow": 64}}
    strategy = {**STRATEGY, "buffer": {"fraction": values["fraction"]}, "rules": {**RULES, "fast": fast}}
    return made(
        strategy=strategy, **{name: values[name] for name in ("capital_base", "seed", "base_currency", "first")}
    )


@given(SPECIFICATIONS, SPECIFICATIONS)
def test_keys_are_equal_exactly_where_the_values_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = specified(one).key("data", "code") == specified(other).key("data", "code")
    assert same == (one == other)


@given(
    SPECIFICATIONS,
    st.sampled_from(["capital_base", "seed", "base_currency", "first", "fraction", "span"]),
    SPECIFICATIONS,
)
def test_any_field_that_changes_changes_the_key(one: dict[str, Any], field: str, other: dict[str, Any]) -> None:
    changed = {**one, field: other[field]}
    assert (specified(changed).key("d", "c") == specified(one).key("d", "c")) == (changed[field] == one[field])


SCALARS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**50), 2**50) | st.text(max_size=5)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(NESTED)
def test_canonical_json_reads_back_to_equal_values(value: Any) -> None:
    assert json.loads(canonical(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize("bad", [NAN, INFINITY, {"a": [1.0, -INFINITY]}])
def test_no_key_is_made_of_what_is_no_number(bad: object) -> None:
    with pytest.raises(WrongSpecification, match="is no number"):
        canonical(bad)


def test_a_key_stays_what_it_was() -> None:
    # Written down once: keys of kept results must not change by accident. A new setting changes it on purpose.
    text = canonical({"b": [1.0, 2.5, None, True], "a": {"z": 1e300, "y": -0.0}})
    assert text == '{"a":{"y":0,"z":1e+300},"b":[1,2.5,null,true]}'


# --- the strategy an engine gets --------------------------------------------------------------------------------------
def test_of_some_instruments_the_ratios_of_weights_are_kept() -> None:
    resolved = made(instruments=("US10", "CORN")).resolved()
    assert resolved.instruments == ("CORN", "US10")
    assert resolved.portfolio.weights == {"CORN": 0.5, "US10": 0.25}
    assert resolved.portfolio.sum_of_weights == "any"
    assert (resolved.capital_base, resolved.base_currency) == (250_000.0, "USD")


def test_rules_come_in_one_order_however_they_were_written() -> None:
    turned = made(**of(rules=dict(reversed(RULES.items()))))
    assert list(turned.resolved().rules) == list(made().resolved().rules) == ["fast", "slow"]


# --- overrides --------------------------------------------------------------------------------------------------------
def settings() -> StrategySettings:
    """The strategy above."""
    return StrategySettings.model_validate(STRATEGY)


def test_settings_are_overridden_by_path() -> None:
    changed = overridden(settings(), {"rules.fast.parameters.fast": 8, "buffer.fraction": 0.2, "compounding": "half"})
    assert changed.rules["fast"].parameters == {"fast": 8, "slow": 64}
    assert (changed.buffer.fraction, changed.compounding) == (0.2, "half")
    assert changed.rules["slow"] == settings().rules["slow"]
    assert settings().buffer.fraction == 0.1


def test_tables_of_names_take_new_names() -> None:
    changed = overridden(settings(), {"forecasts.multipliers.CORN": 1.2, "forecasts.weights.CORN": {"fast": 1.0}})
    assert changed.forecasts.multipliers == {"CORN": 1.2}
    assert changed.forecasts.weights == {"CORN": {"fast": 1.0}}


def test_weights_can_be_brought_back_to_one() -> None:
    changed = overridden(settings(), {"rules.fast.weight": 1.6, "portfolio.weights.CORN": 0.0}, rescale=True)
    assert {name: rule.weight for name, rule in changed.rules.items()} == {"fast": 0.8, "slow": 0.2}
    assert changed.portfolio.weights == {"CORN": 0.0, "EDOLLAR": 0.5, "US10": 0.5}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "bufer.fraction",
            0.2,
            "'bufer' is unknown. Did you mean buffer? Known under the strategy: base_currency, buffer",
        ),
        (
            "buffer.fractoin",
            0.2,
            "'fractoin' is unknown. Did you mean fraction? Known under buffer: fraction, method",
        ),
        ("rules.carry.weight", 0.2, "'carry' is unknown. Known under rules: fast, slow"),
        ("buffer.fraction.half", 0.2, "'half' is unknown. buffer.fraction is a value with nothing under it"),
        ("buffer.fraction", 2.0, "buffer.fraction is 2.0, but must be 1 or less"),
        ("buffer.fraction", "wide", "buffer.fraction is 'wide' (text), but must be a number"),
        ("rules.fast.weight", 0.9, "weights of the rules sum to 1.3, not 1"),
        ("", 1, "'' is unknown. Known under the strategy"),
    ],
)
def test_a_wrong_override_is_refused_and_says_what_is_known(path: str, value: object, says: str) -> None:
    with pytest.raises(WrongSpecification) as refused:
        overridden(settings(), {path: value})
    assert says in str(refused.value)


def test_overrides_are_read_from_texts() -> None:
    texts = [
        "buffer.fraction=0.2",
        "compounding=half",
        "buffer.whole_contracts=false",
        "rules.fast.parameters.fast = 8",
    ]
    assert parsed_overrides(texts) == {
        "buffer.fraction": 0.2, "compounding": "half", "buffer.whole_contracts": False, "rules.fast.parameters.fast": 8,
    }  # fmt: skip
    with pytest.raises(WrongSpecification, match="is not PATH=VALUE"):
        parsed_overrides(["buffer.fraction"])


# --- parts ------------------------------------------------------------------------------------------------------------
class Whole:
    """A source with every method, one of which takes more than it must."""

    def instruments(self):
        return []

    def version(self, instruments, base, weekend_rows, through=None, quickly=False):
        return ""

    def panel(self, *args, **kwargs):
        return None


class Turned(Whole):
    """A source that takes the right words in another order."""

    def version(self, base, instruments, weekend_rows, through=None):
        return ""


class Renamed(Whole):
    """A source that gave a parameter another name."""

    def panel(self, codes, base, weekend_rows, through=None):
        return None


class Asking(Whole):
    """A source that needs what nobody gives."""

    def instruments(self, exchange):
        return []


@pytest.mark.parametrize(
    ("part", "lacks"),
    [
        (Whole(), []),
        (Turned(), ["has version(base, instruments, weekend_rows, through=None) where version(instruments, base, "]),
        (Renamed(), ["has panel(codes, base"]),
        (Asking(), ["has instruments(exchange) where instruments() is called"]),
        (object(), ["has no method instruments()", "has no method version(", "has no method panel("]),
        (
            Whole,
            ["has no method instruments()", "has no method version(", "has no method panel("],
        ),  # not an object of it
    ],
)
def test_a_part_is_looked_over_before_it_is_used(part: object, lacks: list[str]) -> None:
    found = shortcomings(part, DataSource)
    assert len(found) == len(lacks)
    assert all(phrase.startswith(start) for phrase, start in zip(found, lacks, strict=True))


@pytest.mark.parametrize("name", ["chapter15", "trend"])
def test_the_strategies_that_come_with_daybook_can_be_backtested(root: Path, name: str) -> None:
    given_settings = tomllib.loads((root / "config/strategies" / f"{name}.toml").read_text("utf-8"))
    strategy = StrategySettings.model_validate({"volatility_target_percent": 20.0, **given_settings})
    found = Backtest(strategy=strategy, capital_base=strategy.capital_base or 1e6, engine=Choice(name="daybook"))
    assert math.isfinite(float(len(found.key("data", "code"))))


def test_the_key_is_the_sha_256_that_was_written_down() -> None:
    # By `sha256sum` of the canonical JSON. A setting that is added, or another default, changes every key, as it must:
    # then this is written down anew. Nothing else may change it, and no library, machine or process does.
    one = {"fast": {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "weight": 1.0}}
    plain = {"name": "t", "rules": one, "instruments": ("CORN",), "volatility_target_percent": 20.0}
    found = made(strategy=plain).key("data", "code", {"engine": "daybook 1"})
    assert found == "10113e10e8b2ea00d64c0374568909f679b65d8eb217ace65571c7545a96047f"
