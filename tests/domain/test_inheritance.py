"""What a symbol inherits: the same for all symbols at once as for one after another, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.config.inheritance import (
    LEVELS,
    Classification,
    Origin,
    explained,
    idle,
    resolved,
    strategy_changes,
)
from trading.config.symbol_fields import FIELD, FIELDS
from trading.config.symbol_table import SymbolTable, symbol_table
from trading.config.symbols import SymbolsSettings
from trading.errors import ConfigError

PLACE = {field.name: place for place, field in enumerate(FIELDS)}


def table_of(rows: list[dict[str, str]]) -> SymbolTable:
    """A table from rows of text."""
    names = dict.fromkeys(["symbol", *(name for row in rows for name in row)])
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return symbol_table(pa.table(columns), "symbols.csv")


KNOWN = {
    "SP500": Classification("equity", "CME"),
    "DAX": Classification("equity", "EUREX"),
    "BUND": Classification("bond", "EUREX"),
    "GOLD": Classification("metals", ""),
}
DESK = SymbolsSettings.model_validate(
    {
        "defaults": {"max_position_contracts": 100, "max_spike": 15},
        "asset_classes": {
            "risky": {"max_spike": 10, "max_silent_sessions": 2},
            "equity": {"inherits": "risky", "max_spike": 8},
            "bond": {"trading_mode": "reduce_only"},
        },
        "exchange_groups": {"EUREX": {"max_spike": 6, "order_type": "limit"}, "CME": {}},
        "strategies": {"trend": {"max_spike": 5, "max_order_contracts": 7}, "empty": {}},
        "symbols": {"DAX": {"max_position_contracts": 3}},
    }
)


def test_later_levels_lie_over_earlier_ones() -> None:
    table = table_of(
        [
            {"symbol": "DAX", "max_position_contracts": "4", "max_order_contracts": "2"},
            {"symbol": "NEW", "asset_class": "bond", "exchange_group": "CME", "max_spike": "9"},
        ]
    )
    columns = resolved(DESK, table, KNOWN)
    assert columns.symbols == ("BUND", "DAX", "GOLD", "NEW", "SP500")
    by_symbol = {symbol: columns.settings(symbol)._asdict() for symbol in columns.symbols}
    usual = {
        "max_position_contracts": 100, "max_order_contracts": 1_000_000, "max_exposure_fraction": 1000.0,
        "trading_mode": "free", "order_type": "market", "limit_offset_fraction": 0.0, "max_spike": 15.0,
        "max_silent_sessions": 3, "max_price_points": 1e9,
    }  # fmt: skip
    assert by_symbol == {
        "SP500": usual | {"max_spike": 8.0, "max_silent_sessions": 2},
        "DAX": usual | {"max_spike": 6.0, "max_silent_sessions": 2, "order_type": "limit", "max_position_contracts": 3,
                        "max_order_contracts": 2},
        "BUND": usual | {"max_spike": 6.0, "order_type": "limit", "trading_mode": "reduce_only"},
        "GOLD": usual,
        "NEW": usual | {"max_spike": 9.0, "trading_mode": "reduce_only"},
    }  # fmt: skip


def test_classes_and_own_settings_are_told_with_the_columns() -> None:
    table = table_of([{"symbol": "NEW", "asset_class": "bond", "max_spike": "9"}, {"symbol": "GOLD"}])
    columns = resolved(DESK, table, KNOWN)
    of = {s: columns.asset_classes[columns.asset_class[columns.row(s)]] for s in columns.symbols}
    assert of == {"SP500": "equity", "DAX": "equity", "BUND": "bond", "GOLD": "metals", "NEW": "bond"}
    of = {s: columns.exchange_groups[columns.exchange_group[columns.row(s)]] for s in columns.symbols}
    assert of == {"SP500": "CME", "DAX": "EUREX", "BUND": "EUREX", "GOLD": "", "NEW": ""}
    own = {symbol: int(columns.own[columns.row(symbol)]) for symbol in columns.symbols}
    nothing = dict.fromkeys(columns.symbols, 0)
    assert own == nothing | {"NEW": 1 << PLACE["max_spike"], "DAX": 1 << PLACE["max_position_contracts"]}
    assert columns.strategies == {"trend": {"max_spike": 5.0, "max_order_contracts": 7}}


def test_a_strategy_lies_over_groups_and_under_the_symbols_own() -> None:
    table = table_of([{"symbol": "SP500", "max_spike": "9"}])
    columns = resolved(DESK, table, KNOWN)
    assert columns.settings("DAX", "trend").max_spike == 5.0
    assert columns.settings("SP500", "trend").max_spike == 9.0
    assert columns.settings("SP500", "trend").max_order_contracts == 7


def test_columns_have_their_types_and_cannot_be_written() -> None:
    columns = resolved(DESK, None, KNOWN)
    kinds = {"whole": np.int32, "number": np.float64, "choice": np.uint8}
    assert {name: array.dtype for name, array in columns.fields.items()} == {f.name: kinds[f.kind] for f in FIELDS}
    assert [columns.own.dtype, columns.asset_class.dtype, columns.exchange_group.dtype] == [
        np.uint32, np.uint16, np.uint16,
    ]  # fmt: skip
    for array in (*columns.fields.values(), columns.own, columns.asset_class, columns.exchange_group):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_desk_without_symbols_has_empty_columns() -> None:
    columns = resolved(SymbolsSettings(), None, {})
    assert len(columns) == 0
    assert all(len(array) == 0 for array in columns.fields.values())


# --- where it came from -----------------------------------------------------------------------------------------------
def test_the_whole_chain_is_told() -> None:
    table = table_of([{"symbol": "SP500", "max_order_contracts": "4"}, {"symbol": "DAX", "max_spike": "4"}])
    assert explained(DESK, table, KNOWN, "DAX", "max_spike", "trend") == [
        Origin("defaults", "defaults", 15.0, False),
        Origin("asset_class", "risky", 10.0, False),
        Origin("asset_class", "equity", 8.0, False),
        Origin("exchange_group", "EUREX", 6.0, False),
        Origin("strategy", "trend", 5.0, False),
        Origin("symbol", "DAX, line 3 of symbols.csv", 4.0, True),
        Origin("symbol", "DAX", None, False),
    ]


def test_levels_that_say_nothing_are_told_too() -> None:
    assert explained(DESK, None, KNOWN, "GOLD", "trading_mode") == [
        Origin("defaults", "defaults", "free", True),
        Origin("asset_class", "metals", None, False),
        Origin("exchange_group", "", None, False),
        Origin("strategy", "", None, False),
        Origin("symbol", "GOLD", None, False),
    ]


def test_an_entry_of_the_settings_is_in_force_over_the_table() -> None:
    table = table_of([{"symbol": "DAX", "max_position_contracts": "4"}])
    assert explained(DESK, table, KNOWN, "DAX", "max_position_contracts")[-2:] == [
        Origin("symbol", "DAX, line 2 of symbols.csv", 4, False),
        Origin("symbol", "DAX", 3, True),
    ]


@pytest.mark.parametrize(
    ("symbol", "field", "why"),
    [
        ("SP50", "max_spike", "symbol 'SP50' is neither in the reference data nor in the table of symbols. "
                              "Did you mean SP500?"),
        ("DAX", "max_spikes", "max_spikes is not a setting of a symbol. Did you mean max_spike?"),
    ],
)  # fmt: skip
def test_what_nobody_knows_cannot_be_explained(symbol: str, field: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        explained(DESK, None, KNOWN, symbol, field)
    assert why in str(refused.value)


# --- what contradicts -------------------------------------------------------------------------------------------------
def refused_because(desk: Mapping[str, Any], rows: list[dict[str, str]], known=KNOWN) -> str:
    """Why settings, a table and reference data do not go together."""
    with pytest.raises(ConfigError) as refused:
        resolved(SymbolsSettings.model_validate(desk), table_of(rows), known)
    return str(refused.value)


def test_a_symbol_that_is_something_else_in_the_table_is_refused() -> None:
    rows = [{"symbol": "NEW"}, {"symbol": "DAX", "asset_class": "bond", "exchange_group": "CME"}, {"symbol": "GOLD"}]
    said = (
        "symbols.csv, line 3: symbol DAX: asset_class is 'bond', but 'equity' in the reference data. "
        "Correct one of them, or leave the cell empty."
    )
    assert refused_because({}, rows) == (
        f"{said}\nsymbols.csv, line 3: symbol DAX: exchange_group is 'CME', but 'EUREX' in the reference data. "
        "Correct one of them, or leave the cell empty."
    )
    with pytest.raises(ConfigError) as refused:
        explained(DESK, table_of(rows), KNOWN, "DAX", "max_spike")
    assert str(refused.value) == said


def test_what_reference_data_leaves_open_the_table_may_say() -> None:
    columns = resolved(DESK, table_of([{"symbol": "GOLD", "exchange_group": "CME"}]), KNOWN)
    assert columns.exchange_groups[columns.exchange_group[columns.row("GOLD")]] == "CME"


def test_a_class_that_nobody_knows_is_refused() -> None:
    rows = [{"symbol": "X"}, {"symbol": "Y", "asset_class": "equty"}, {"symbol": "Z", "asset_class": "equty"}]
    assert refused_because({"asset_classes": {"crypto": {}}}, rows) == (
        "symbols.csv, line 3: asset_class is 'equty' (2 of its rows), which neither the reference data nor "
        "symbols.asset_classes has. Did you mean equity? Correct it, or add [symbols.asset_classes.equty]."
    )
    resolved(SymbolsSettings.model_validate({"asset_classes": {"equty": {}}}), table_of(rows), KNOWN)


def test_settings_of_a_symbol_that_nobody_knows_are_refused() -> None:
    assert refused_because({"symbols": {"SP5OO": {"max_spike": 2}, "NEW": {}}}, [{"symbol": "NEW"}]) == (
        "symbols.symbols.SP5OO has settings, but the symbol is neither in the reference data nor in the table. "
        "Did you mean SP500? Correct it, or remove them."
    )


def test_the_first_contradictions_are_told() -> None:
    known = {f"S{i}": Classification("equity", "CME") for i in range(20_000)}
    rows = [{"symbol": f"S{i}", "asset_class": "bond"} for i in range(20_000)]
    said = refused_because({}, rows, known)
    assert said.count("but 'equity' in the reference data") == 50
    assert said.endswith("And there are more.")


def test_settings_that_no_symbol_has_are_told() -> None:
    desk = SymbolsSettings.model_validate(
        {
            "asset_classes": {"top": {}, "equity": {"inherits": "top"}, "equities": {"max_spike": 2}, "crypto": {}},
            "exchange_groups": {"CME": {}, "EUREKS": {}},
        }
    )
    assert list(idle(desk, table_of([{"symbol": "X", "asset_class": "crypto"}]), KNOWN)) == [
        "symbols.asset_classes.equities has settings, but no symbol is in it. Did you mean equity?",
        "symbols.exchange_groups.EUREKS has settings, but no symbol is in it. Did you mean EUREX?",
    ]


# --- all at once as one after another ---------------------------------------------------------------------------------
CLASSES, GROUPS, SYMBOLS = ["c0", "c1", "c2", "c3"], ["g0", "g1", "g2"], [f"S{i}" for i in range(12)]


def value_of(field) -> st.SearchStrategy[Any]:
    """Values that are right for a field."""
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "whole":
        return st.integers(int(field.least), int(field.most))
    return st.floats(field.least, field.most)


CHANGES = st.fixed_dictionaries({}, optional={field.name: value_of(field) for field in FIELDS})


@st.composite
def groups_of(draw, names: list[str]) -> dict[str, dict[str, Any]]:
    """Some of the names with changes; each may inherit from one before it, so that there is no cycle."""
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    found = {}
    for place, name in enumerate(chosen):
        found[name] = draw(CHANGES)
        parent = draw(st.sampled_from([None, *chosen[:place]]))
        if parent is not None:
            found[name]["inherits"] = parent
    return found


@st.composite
def desks(draw) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Classification]]:
    """Settings, rows of a table, and reference data, that do not contradict each other."""
    truth = {s: (draw(st.sampled_from(["", *CLASSES])), draw(st.sampled_from(["", *GROUPS]))) for s in SYMBOLS}
    in_reference = draw(st.lists(st.sampled_from(SYMBOLS), unique=True))
    in_table = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
    told = {s: tuple(part if draw(st.booleans()) else "" for part in truth[s]) for s in in_reference}
    rows = [{"symbol": s, "asset_class": truth[s][0], "exchange_group": truth[s][1], **draw(CHANGES)} for s in in_table]
    everybody = sorted({*in_reference, *in_table})
    own = draw(st.lists(st.sampled_from(everybody), unique=True, max_size=4))
    desk = {
        "defaults": draw(CHANGES),
        "asset_classes": {**{name: {} for name in CLASSES}, **draw(groups_of(CLASSES))},
        "exchange_groups": {**{name: {} for name in GROUPS}, **draw(groups_of(GROUPS))},
        "strategies": {"trend": draw(CHANGES)},
        "symbols": {s: draw(CHANGES) for s in own},
    }
    return desk, rows, {s: Classification(*parts) for s, parts in told.items()}


def slowly(desk, rows, known, symbol: str, field: str, strategy: str | None) -> tuple[Any, int]:
    """What a symbol has, by walking through the levels; and whether it is its own."""
    row = next((row for row in rows if row["symbol"] == symbol), {})
    reference = known.get(symbol, Classification("", ""))
    value = desk["defaults"].get(field, FIELD[field].default)
    for section, name in (
        ("asset_classes", reference.asset_class or row.get("asset_class", "")),
        ("exchange_groups", reference.exchange_group or row.get("exchange_group", "")),
    ):
        chain = []
        while name:
            chain.insert(0, desk[section].get(name, {}))
            name = chain[0].get("inherits")
        for changes in chain:
            value = changes.get(field, value)
    if strategy is not None:
        value = desk["strategies"].get(strategy, {}).get(field, value)
    value = row.get(field, value)
    own = field in row or field in desk["symbols"].get(symbol, {})
    return desk["symbols"].get(symbol, {}).get(field, value), own


@settings(max_examples=150, deadline=None)
@given(made=desks())
def test_all_at_once_is_as_one_after_another(made) -> None:
    desk, rows, known = made
    table = table_of([{name: str(value) if value != "" else None for name, value in row.items()} for row in rows])
    given_settings = SymbolsSettings.model_validate(desk)
    columns = resolved(given_settings, table, known)
    assert columns.symbols == tuple(sorted({*known, *table.symbols}))
    for symbol in columns.symbols:
        for strategy in (None, "trend", "other"):
            found = columns.settings(symbol, strategy)
            for field in FIELDS:
                wanted, own = slowly(desk, rows, known, symbol, field.name, strategy)
                assert getattr(found, field.name) == wanted
                assert bool(columns.own[columns.row(symbol)] >> PLACE[field.name] & 1) == own


@settings(max_examples=60, deadline=None)
@given(made=desks(), field=st.sampled_from(FIELDS), strategy=st.sampled_from([None, "trend", "other"]))
def test_what_is_explained_is_what_is_in_force(made, field, strategy: str | None) -> None:
    desk, rows, known = made
    table = table_of([{name: str(value) if value != "" else None for name, value in row.items()} for row in rows])
    given_settings = SymbolsSettings.model_validate(desk)
    for symbol in {*known, *table.symbols}:
        told = explained(given_settings, table, known, symbol, field.name, strategy)
        assert [one.value for one in told if one.in_force] == [
            slowly(desk, rows, known, symbol, field.name, strategy)[0]
        ]
        assert list(dict.fromkeys(one.level for one in told)) == list(LEVELS)


def test_strategies_that_change_nothing_are_left_out() -> None:
    assert strategy_changes(DESK) == {"trend": {"max_spike": 5.0, "max_order_contracts": 7}}
