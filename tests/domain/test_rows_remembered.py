"""Rows that a process found in one version are known in the next one, where symbols are the same; and only there."""

from __future__ import annotations

import numpy as np

from trading.config.compiled import compiled
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELDS

FACTS = {
    "configuration_hash": "c" * 64, "environment": "paper", "base_currency": "USD", "capital_base": 2e6,
    "max_gross_exposure_fraction": 20.0, "max_daily_loss_fraction": 0.05,
}  # fmt: skip


def snapshot(limits: dict[str, int], shards: int = 1) -> Snapshot:
    """Symbols with these largest positions, everything else as it is shipped."""
    stored = {each.name: each.choices.index(str(each.default)) if each.choices else each.default for each in FIELDS}
    count = len(limits)
    fields = {each.name: np.full(count, stored[each.name], DTYPES[each.kind]) for each in FIELDS}
    fields["max_position_contracts"] = np.array(list(limits.values()), np.int32)
    none, own = np.zeros(count, np.uint16), np.zeros(count, np.uint32)
    columns = SymbolColumns(tuple(limits), ("",), none, ("",), none, fields, own, {})
    return Snapshot.open(compiled(columns, {}, FACTS, shards))


def test_rows_are_known_after_a_swap_and_values_are_those_of_the_new_version() -> None:
    in_force = InForce(Version(1, snapshot({"CORN": 1, "GOLD": 2, "US10": 3})))
    old = in_force.now.snapshot
    assert [old.position_limit(symbol) for symbol in ("CORN", "US10")] == [1, 3]
    new = in_force.swap(1, snapshot({"CORN": 10, "GOLD": 20, "US10": 30})).snapshot
    assert set(new._rows) == {"CORN", "US10"}  # nobody asked it yet
    assert [new.position_limit(symbol) for symbol in ("CORN", "GOLD", "US10")] == [10, 20, 30]
    assert [old.position_limit(symbol) for symbol in ("CORN", "GOLD", "US10")] == [1, 2, 3]
    assert new._rows.index is new._index is not old._index


def test_another_universe_forgets_them() -> None:
    in_force = InForce(Version(1, snapshot({"CORN": 1, "GOLD": 2, "US10": 3})))
    assert in_force.now.snapshot.position_limit("US10") == 3
    new = in_force.swap(1, snapshot({"GOLD": 20, "SP500": 25, "US10": 30})).snapshot
    assert not new._rows
    assert [new.position_limit(symbol) for symbol in ("GOLD", "SP500", "US10")] == [20, 25, 30]
    assert "CORN" not in new


def test_so_does_another_number_of_shards() -> None:
    names = {f"S{number:03}": number for number in range(100)}
    in_force = InForce(Version(1, snapshot(names)))
    assert in_force.now.snapshot.position_limit("S042") == 42
    new = in_force.swap(1, snapshot({name: 7 * limit for name, limit in names.items()}, shards=4)).snapshot
    assert not new._rows
    assert all(new.position_limit(name) == 7 * limit for name, limit in names.items())
