"""What differs between two tables of symbols, cell by cell. Expected changes are written by hand."""

from __future__ import annotations

import pyarrow as pa

from trading.config.diffs import ABSENT, Change, More
from trading.config.symbol_table import SymbolTable, symbol_table
from trading.config.table_diffs import LISTED, table_changes


def table(**columns: list[str | None]) -> SymbolTable:
    """A table of text, as read."""
    return symbol_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), "t.csv")


OLD = table(
    symbol=["CORN", "US10", "GOLD"],
    asset_class=["agriculture", "bond", None],
    max_position_contracts=["50", None, "5"],
    trading_mode=["free", None, None],
)


def test_equal_tables_do_not_differ_in_whatever_order() -> None:
    same = table(
        symbol=["GOLD", "CORN", "US10"],
        trading_mode=[None, "free", None],
        max_position_contracts=["5", "50.0", None],
        asset_class=[None, "agriculture", "bond"],
    )
    assert table_changes(OLD, same) == []
    assert table_changes(None, None) == []


def test_symbols_that_came_and_went_and_cells_that_differ() -> None:
    """An empty cell is not set; a value that is given anew is, though it is what is inherited."""
    new = table(
        symbol=["US10", "CORN", "SILVER"],
        asset_class=["bond", "metal", "metal"],
        max_position_contracts=["20", "50", None],
        trading_mode=[None, "none", "reduce_only"],
        max_spike=[None, "7.5", None],
    )
    assert table_changes(OLD, new) == [
        Change("symbols.table.SILVER", ABSENT, {"asset_class": "metal", "trading_mode": "reduce_only"}),
        Change("symbols.table.GOLD", {"max_position_contracts": 5}, ABSENT),
        Change("symbols.table.CORN.asset_class", "agriculture", "metal"),
        Change("symbols.table.US10.max_position_contracts", ABSENT, 20),
        Change("symbols.table.CORN.trading_mode", "free", "none"),
        Change("symbols.table.CORN.max_spike", ABSENT, 7.5),
    ]


def test_a_column_that_is_gone_is_cells_that_are_not_set() -> None:
    new = table(symbol=["CORN", "US10", "GOLD"], max_position_contracts=["50", None, "5"])
    assert table_changes(OLD, new) == [
        Change("symbols.table.CORN.asset_class", "agriculture", ABSENT),
        Change("symbols.table.US10.asset_class", "bond", ABSENT),
        Change("symbols.table.CORN.trading_mode", "free", ABSENT),
    ]


def test_a_new_table_is_symbols_that_came() -> None:
    small = table(symbol=["CORN"], max_position_contracts=["1"])
    assert table_changes(None, small) == [Change("symbols.table.CORN", ABSENT, {"max_position_contracts": 1})]
    assert table_changes(small, None) == [Change("symbols.table.CORN", {"max_position_contracts": 1}, ABSENT)]


def test_more_than_a_thousand_changes_are_counted() -> None:
    names = [f"S{number:04}" for number in range(1500)]
    old, new = (table(symbol=names, max_position_contracts=[limit] * 1500) for limit in ("1", "2"))
    changes = table_changes(old, new)
    assert len(changes) == LISTED + 1
    assert changes[0] == Change("symbols.table.S0000.max_position_contracts", 1, 2)
    assert changes[-1] == Change("symbols.table", ABSENT, More(500))
