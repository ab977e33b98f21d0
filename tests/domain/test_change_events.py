"""Events of a changed configuration and who hears of which part; differences of real snapshots, worked by hand."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from trading.config.change_events import Changed, FieldChanges, Interest, SymbolChange, SymbolChanges
from trading.config.compiled import compiled
from trading.config.diffs import ABSENT, Change
from trading.config.in_force import Version
from trading.config.snapshot import Snapshot
from trading.config.snapshot_diffs import MOST_VALUES, differences
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELDS

FACTS = {
    "configuration_hash": "a" * 64, "environment": "development", "base_currency": "USD", "capital_base": 1e6,
    "max_gross_exposure_fraction": 20.0, "max_daily_loss_fraction": 0.05,
}  # fmt: skip


def snapshot(symbols: Mapping[str, Mapping[str, float]], shards: int = 1, **sections: Any) -> Snapshot:
    """A snapshot of symbols, with the fields that are not as by default, and of sections."""
    names, count = tuple(sorted(symbols)), len(symbols)
    default = {field.name: 0 if field.kind == "choice" else field.default for field in FIELDS}
    fields = {
        field.name: np.array([symbols[n].get(field.name, default[field.name]) for n in names], DTYPES[field.kind])
        for field in FIELDS
    }
    none = np.zeros(count, np.uint16)
    columns = SymbolColumns(names, ("",), none, ("",), none, fields, np.zeros(count, np.uint32), {})
    told = {name: json.dumps(value).encode() for name, value in sections.items()}
    return Snapshot.open(compiled(columns, told, FACTS, shards))


def event(*changes: Change, symbols: SymbolChanges | None = None, complete: bool = True) -> Changed:
    """An event from version 1 to 2."""
    found = snapshot({"A": {}})
    return Changed(Version(2, found), Version(1, found), changes, symbols or SymbolChanges(), complete)


TWO = SymbolChanges(
    ("CORN", "US10"),
    {
        "max_position_contracts": FieldChanges(np.array([0, 1], np.int32), np.array([5, 6]), np.array([7, 8])),
        "order_type": FieldChanges(np.array([1], np.int32), np.array([0], np.uint8), np.array([1], np.uint8)),
    },
    added=("GOLD",),
    removed=("OIL",),
)
CORN = SymbolChange("CORN", "max_position_contracts", 5, 7)
US10 = [
    SymbolChange("US10", "max_position_contracts", 6, 8),
    SymbolChange("US10", "order_type", "market", "limit"),
]


# --- what an event says -----------------------------------------------------------------------------------------------
def test_changes_of_symbols_are_told_as_people_write_them() -> None:
    assert sorted(TWO) == sorted([CORN, *US10])
    assert (TWO.of("CORN"), TWO.of("US10"), TWO.of("GOLD"), TWO.of("ZZZ")) == ([CORN], US10, [], [])


def test_a_symbol_that_changed_came_or_went_is_concerned() -> None:
    assert [TWO.concerns(name) for name in ("CORN", "GOLD", "OIL", "SILVER")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("wanted", "said", "came", "went"),
    [
        (["US10"], US10, (), ()),
        (["CORN", "GOLD", "X"], [CORN], ("GOLD",), ()),
        (["OIL"], [], (), ("OIL",)),
        (["AAA", "ZZZ"], [], (), ()),
    ],
)
def test_the_part_about_some_symbols(
    wanted: list[str], said: list[SymbolChange], came: tuple[str, ...], went: tuple[str, ...]
) -> None:
    part = TWO.only(wanted)
    assert (sorted(part), part.added, part.removed) == (sorted(said), came, went)
    assert part.of("US10") == (US10 if "US10" in wanted else [])
    assert bool(part) == bool(said or came or went)


def test_sections_and_strategies_of_an_event() -> None:
    found = event(
        Change("risk.max_daily_loss_fraction", 0.05, 0.04),
        Change("strategies.trend.buffer.fraction", 0.1, 0.2),
        Change("symbols.strategies.carry.order_type", ABSENT, "limit"),
        Change("trading.strategies", ["trend", "old"], ["trend", "new"]),
    )
    assert found.sections == {"risk", "strategies", "symbols", "trading"}
    assert found.strategies == {"trend", "carry", "old", "new"}
    assert event(symbols=TWO).sections == {"symbols"}


# --- who hears of what ------------------------------------------------------------------------------------------------
RISK = Change("risk.max_daily_loss_fraction", 0.05, 0.04)
TREND = Change("strategies.trend.buffer.fraction", 0.1, 0.2)


@pytest.mark.parametrize(
    ("interest", "heard"),
    [
        (Interest(), (RISK, TREND)),
        (Interest.of(sections=["risk"]), (RISK,)),
        (Interest.of(strategies=["trend"]), (TREND,)),
        (Interest.of(strategies=["trend"], sections=["risk"]), (RISK, TREND)),
        (Interest.of(strategies=["carry"]), None),
        (Interest.of(sections=["data"]), None),
        (Interest.of(symbols=["US10"]), None),
    ],
)
def test_only_what_is_of_interest_is_heard(interest: Interest, heard: tuple[Change, ...] | None) -> None:
    found = interest.within(event(RISK, TREND))
    assert (found.changes if found else None) == heard


def test_symbols_of_interest() -> None:
    only = Interest.of(symbols=["CORN"]).within(event(RISK, symbols=TWO))
    assert only is not None
    assert (only.changes, list(only.symbols), only.version.number) == ((), [CORN], 2)
    assert Interest.of(symbols=["SILVER"]).within(event(RISK, symbols=TWO)) is None
    section = Interest.of(sections=["symbols"]).within(event(RISK, symbols=TWO))
    assert section is not None
    assert len(list(section.symbols)) == 3


def test_what_does_not_list_everything_is_heard_by_everybody() -> None:
    found = Interest.of(strategies=["trend"]).within(event(RISK, complete=False))
    assert found is not None
    assert (found.changes, found.complete) == ((), False)


# --- differences of snapshots -----------------------------------------------------------------------------------------
def test_equal_snapshots_have_no_differences() -> None:
    found = differences(snapshot({"A": {}, "B": {}}, risk={"x": 1}), snapshot({"A": {}, "B": {}}, risk={"x": 1}))
    assert (found.settings, bool(found.symbols), found.complete) == ((), False, True)


@pytest.mark.parametrize("shards", [1, 3])
def test_settings_and_values_of_symbols_that_differ(shards: int) -> None:
    old = snapshot(
        {"A": {}, "B": {"max_spike": 5.0}, "C": {}}, shards, risk={"loss": 0.05}, strategies=[{"name": "trend", "b": 1}]
    )
    new = snapshot(
        {"A": {"order_type": 1}, "B": {"max_spike": 6.0}, "D": {}},
        risk={"loss": 0.04},
        strategies=[{"name": "trend", "b": 2}],
    )
    found = pickle.loads(pickle.dumps(differences(old, new)))
    assert found.settings == (Change("risk.loss", 0.05, 0.04), Change("strategies.trend.b", 1, 2))
    assert sorted(found.symbols) == [
        SymbolChange("A", "order_type", "market", "limit"),
        SymbolChange("B", "max_spike", 5.0, 6.0),
    ]
    assert (found.symbols.added, found.symbols.removed, found.complete) == (("D",), ("C",), True)


def test_more_than_an_event_lists_is_said_to_be_more() -> None:
    names = [f"S{number:05}" for number in range(MOST_VALUES // 2 + 1)]
    changes = {"max_spike": 6.0, "max_silent_sessions": 9.0}
    found = differences(snapshot({name: {} for name in names}), snapshot(dict.fromkeys(names, changes)))
    assert (bool(found.symbols), found.complete) == (False, False)
