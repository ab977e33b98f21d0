"""What differs between two configurations, setting by setting. Expected changes are written by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config.diffs import (
    ABSENT,
    KEPT_CHANGES,
    KEPT_CHARACTERS,
    Change,
    More,
    counted,
    diff,
    kept,
    of_section,
    shown,
    unkept,
)

OLD: dict[str, Any] = {
    "risk": {"max_daily_loss_fraction": 0.05, "max_gross_exposure_fraction": 20.0},
    "data": {"universe": {"instruments": ["CORN", "US10"]}, "vendor": {"name": "simulated", "source": None}},
    "strategies": [
        {"name": "trend", "buffer": 0.1, "rules": {"ewmac": {"fast": 16}}},
        {"name": "carry", "buffer": 0.2},
    ],
}


def changed(**sections: Any) -> dict[str, Any]:
    """OLD with some sections replaced."""
    return {**OLD, **sections}


def test_equal_configurations_do_not_differ() -> None:
    """Whatever their order is."""
    assert diff(OLD, json.loads(json.dumps(OLD, sort_keys=True))) == []


def test_a_change_is_of_one_setting_with_its_path() -> None:
    """The sibling is not named."""
    new = changed(risk={"max_daily_loss_fraction": 0.02, "max_gross_exposure_fraction": 20.0})
    (found,) = diff(OLD, new)
    assert found == Change("risk.max_daily_loss_fraction", 0.05, 0.02)
    assert found.kind == "changed"
    assert found.text() == "risk.max_daily_loss_fraction: 0.05 -> 0.02"


def test_new_and_gone_settings_are_told_from_none() -> None:
    """none is a value."""
    new = changed(data={"universe": {"instruments": ["CORN", "US10"]}, "vendor": {"name": None, "seed": 1}})
    found = diff(OLD, new)
    assert found == [
        Change("data.vendor.name", "simulated", None),
        Change("data.vendor.source", None, ABSENT),
        Change("data.vendor.seed", ABSENT, 1),
    ]
    assert [change.kind for change in found] == ["changed", "removed", "added"]
    assert [change.text() for change in found] == [
        'data.vendor.name: "simulated" -> none',
        "data.vendor.source: none -> not set",
        "data.vendor.seed: not set -> 1",
    ]
    assert [change.as_json() for change in found] == [
        {"path": "data.vendor.name", "before": "simulated", "after": None},
        {"path": "data.vendor.source", "before": None},
        {"path": "data.vendor.seed", "after": 1},
    ]


def test_of_a_new_section_each_setting_is_a_change() -> None:
    """What it leaves out is none, and inherited: nothing is said of it; nor when the section goes."""
    trend = {"max_position_contracts": 1, "order_type": None, "trading_mode": "none"}
    with_it = {**OLD, "symbols": {"strategies": {"trend": trend, "idle": {"order_type": None}}}}
    found = diff(OLD, with_it)
    assert [change.text() for change in found] == [
        "symbols.strategies.trend.max_position_contracts: not set -> 1",
        'symbols.strategies.trend.trading_mode: not set -> "none"',
        "symbols.strategies.idle: not set -> {}",
    ]
    assert [(change.path, change.kind) for change in diff(with_it, OLD)] == [
        ("symbols.strategies.trend.max_position_contracts", "removed"),
        ("symbols.strategies.trend.trading_mode", "removed"),
        ("symbols.strategies.idle", "removed"),
    ]


def test_what_is_cut_in_the_journal_stands_there_without_quotation_marks() -> None:
    """It is a list or a table, and was never a text."""
    (found,) = unkept(kept([Change("strategies.trend", ABSENT, {"rules": {"fast": "x" * 300}})]))
    assert found.text().startswith('strategies.trend: not set -> {rules: {fast: "xxx')
    assert found.text().endswith("xxx...")


def test_changes_that_are_not_listed_are_no_value() -> None:
    more = Change("symbols.table", ABSENT, More(49_001))
    assert unkept(kept([more])) == [more]
    assert more.text() == "symbols.table: 49,001 more changes"
    assert (more.as_json(), more.kind) == ({"path": "symbols.table", "more": 49_001}, "changed")
    assert unkept(kept([more]))[0].text() == more.text()
    assert counted([Change("a", 1, 2), more]) == 49_002


def test_strategies_are_compared_by_name() -> None:
    """Another order is no change, a rule's parameter is one."""
    new = changed(strategies=[
        {"name": "carry", "buffer": 0.2}, {"name": "trend", "buffer": 0.1, "rules": {"ewmac": {"fast": 32}}},
    ])  # fmt: skip
    assert diff(OLD, new) == [Change("strategies.trend.rules.ewmac.fast", 16, 32)]
    assert diff(OLD, changed(strategies=[])) == [
        Change("strategies.trend", OLD["strategies"][0], ABSENT),
        Change("strategies.carry", OLD["strategies"][1], ABSENT),
    ]


def test_a_list_is_one_value_and_says_what_came_and_went() -> None:
    """5,000 instruments must not be printed for one that was added."""
    new = changed(data={"universe": {"instruments": ["CORN", "GOLD"]}, "vendor": OLD["data"]["vendor"]})
    (found,) = diff(OLD, new)
    assert found == Change("data.universe.instruments", ["CORN", "US10"], ["CORN", "GOLD"])
    assert found.text() == 'data.universe.instruments: + "GOLD", - "US10" (2 now, 2 before)'
    order = Change("trading.strategies", ["a", "b"], ["b", "a"])
    assert order.text() == 'trading.strategies: ["a", "b"] -> ["b", "a"]'
    many = Change("x", [], [f"S{number:02}" for number in range(12)])
    assert many.text().endswith('+ "S09" and 2 more (12 now, 0 before)')


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (0, False), ([1], [True]), (0.5, "0.5"), ([], None), ("", None), ([], {})]
)
def test_values_of_other_kinds_differ(old: object, new: object) -> None:
    """Python calls 1 and true equal; a configuration does not."""
    assert diff({"a": old}, {"a": new}) == [Change("a", old, new)]


def test_whole_and_broken_numbers_that_are_equal_are_equal() -> None:
    """20 and 20.0 are one limit."""
    assert diff({"a": 20}, {"a": 20.0}) == []


def test_a_key_with_a_dot_is_quoted() -> None:
    """Brokers' symbols are any text."""
    (found,) = diff({"symbols": {}}, {"symbols": {"ES.FUT": "SP500"}})
    assert found.path == 'symbols."ES.FUT"'


def test_changes_of_a_section() -> None:
    """Those within it, and those of all it lies in; `risky` is not in `risk`."""
    changes = [Change("risk.a", 1, 2), Change("risky.b", 1, 2), Change("data", ABSENT, {"risk": 1})]
    assert of_section(changes, "risk") == changes[:1]
    assert of_section(changes, "data.vendor") == changes[2:]


def test_long_values_are_cut_where_they_are_shown() -> None:
    """A line stays a line."""
    assert shown("x" * 200) == '"' + "x" * 76 + "..."


def test_what_the_journal_keeps_is_bounded_and_comes_back() -> None:
    """The first changes, whole where they are short."""
    changes = [Change("a", ABSENT, None), Change("b", 1.5, ABSENT), Change("c", ["x"], ["y"])]
    assert unkept(kept(changes)) == changes
    long = unkept(kept([Change(f"n{number}", "x" * 10_000, number) for number in range(500)]))
    assert len(long) == KEPT_CHANGES
    assert len(long[0].before) == KEPT_CHARACTERS


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | FLOATS | st.text("ab.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
TREES = st.dictionaries(st.text("abc.", min_size=1, max_size=2), VALUES, max_size=4)


def applied(tree: Any, changes: list[Change]) -> Any:
    """A tree with changes made in it, by a way of its own: sections that are not there are made."""
    made = json.loads(json.dumps(tree))
    for change in changes:
        _set(made, _parts(change.path), change.after)
    return made


def _parts(path: str) -> list[str]:
    parts, rest = [], path
    while rest:
        if rest.startswith('"'):
            part, end = json.JSONDecoder().raw_decode(rest)
        else:
            part, end = rest.partition(".")[0], len(rest.partition(".")[0])
        parts.append(part)
        rest = rest[end + 1 :]
    return parts


def _set(tree: Any, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        tree = tree.setdefault(part, {})
    if value is ABSENT:
        del tree[parts[-1]]
    else:
        tree[parts[-1]] = value


@given(TREES, TREES)
def test_the_old_tree_with_its_changes_is_the_new_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Nothing is left out, and nothing is told that is not so, but for what says nothing in sections: none."""
    assert saying(applied(old, diff(old, new))) == saying(new)


def saying(tree: Any) -> Any:
    """A tree without what is none, and without sections that say nothing."""
    if not isinstance(tree, dict):
        return tree
    inner = {key: saying(value) for key, value in tree.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}
