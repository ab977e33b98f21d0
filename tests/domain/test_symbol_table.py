"""Tables of symbols: every cell is examined, and every fault is told with its line, column, value and cure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.config.symbol_fields import FIELD, FIELDS
from trading.config.symbol_table import COLUMNS, LISTED, SymbolTable, symbol_table
from trading.errors import ConfigError

LEAVE = "or leave the cell empty: it inherits then."


def texts(columns: Mapping[str, Sequence[str | None]]) -> pa.Table:
    """Columns of text."""
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


def table_of(columns: Mapping[str, Sequence[str | None]]) -> SymbolTable:
    """A table from text, which messages call t.csv."""
    return symbol_table(texts(columns), "t.csv")


def faults_of(columns: Mapping[str, Sequence[str | None]] | pa.Table) -> list[str]:
    """What a table is refused for, a line each, without the head."""
    rows = columns if isinstance(columns, pa.Table) else texts(columns)
    with pytest.raises(ConfigError) as refused:
        symbol_table(rows, "t.csv")
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


def test_cells_become_columns() -> None:
    table = table_of(
        {
            "symbol": ["SP500", "BUND-X", "gold_micro"],
            "asset_class": ["equity", None, "metals"],
            "exchange_group": ["CME", "EUREX", "CME"],
            "max_position_contracts": ["12", "", "1e3"],
            "limit_offset_fraction": ["0.25", ".5", None],
            "trading_mode": [None, "none", "reduce_only"],
        }
    )
    assert table.symbols == ("SP500", "BUND-X", "gold_micro")
    assert table.lines.tolist() == [2, 3, 4]
    assert [table.asset_classes[code] if code >= 0 else None for code in table.asset_class] == [
        "equity", None, "metals",
    ]  # fmt: skip
    assert [table.exchange_groups[code] for code in table.exchange_group] == ["CME", "EUREX", "CME"]
    assert table.given["max_position_contracts"].tolist() == [True, False, True]
    assert table.columns["max_position_contracts"][[0, 2]].tolist() == [12, 1000]
    assert table.given["limit_offset_fraction"].tolist() == [True, True, False]
    assert table.columns["limit_offset_fraction"][:2].tolist() == [0.25, 0.5]
    assert table.given["trading_mode"].tolist() == [False, True, True]
    assert table.columns["trading_mode"][1:].tolist() == [2, 1]
    assert {name: column.dtype for name, column in table.columns.items()} == {
        "max_position_contracts": np.int32, "limit_offset_fraction": np.float64, "trading_mode": np.uint8,
    }  # fmt: skip
    assert len(table) == 3


def test_numbers_may_be_numbers_already() -> None:
    rows = pa.table({"symbol": ["A", "B"], "max_spike": [3, None], "max_order_contracts": [2.0, 7.0]})
    table = symbol_table(rows, "t.arrow")
    assert table.given["max_spike"].tolist() == [True, False]
    assert table.columns["max_spike"][0] == 3.0
    assert table.columns["max_order_contracts"].tolist() == [2, 7]


def test_a_table_of_dictionaries_and_chunks_is_read() -> None:
    symbols = pa.chunked_array([["A"], ["B", "C"]])
    mode = pa.chunked_array([pa.array(["free", "none", "free"]).dictionary_encode()])
    table = symbol_table(pa.table({"symbol": symbols, "trading_mode": mode}), "t.arrow")
    assert table.symbols == ("A", "B", "C")
    assert table.columns["trading_mode"].tolist() == [0, 2, 0]


def test_a_table_without_rows_has_no_symbols() -> None:
    assert table_of({"symbol": [], "max_spike": []}).symbols == ()


@pytest.mark.parametrize(
    ("column", "cell", "told"),
    [
        ("max_spike", "abc", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "0x10", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "1,5", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "1_000", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "5%", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "٣", "not a number. Write a number from 1 to 1000000"),
        ("max_spike", "nan", "not a finite number. Write a number from 1 to 1000000"),
        ("max_spike", "-inf", "not a finite number. Write a number from 1 to 1000000"),
        ("max_spike", "1e400", "not a finite number. Write a number from 1 to 1000000"),
        ("max_spike", "0.999", "below 1. Write a number from 1 to 1000000"),
        ("max_spike", "1000000.1", "above 1000000. Write a number from 1 to 1000000"),
        ("limit_offset_fraction", "-1e-9", "below 0. Write a number from 0 to 0.5"),
        ("max_price_points", "0", "below 1e-09. Write a number from 1e-09 to 1000000000000"),
        ("max_order_contracts", "1.5", "not a whole number. Write a whole number from 0 to 1000000"),
        ("max_order_contracts", "1e300", "above 1000000. Write a whole number from 0 to 1000000"),
        ("max_order_contracts", "99999999999999999999", "above 1000000. Write a whole number from 0 to 1000000"),
        ("max_order_contracts", "inf", "not a finite number. Write a whole number from 0 to 1000000"),
        ("max_order_contracts", "ten", "not a whole number. Write a whole number from 0 to 1000000"),
        ("max_silent_sessions", "0", "below 1. Write a whole number from 1 to 1000"),
        ("trading_mode", "Free", "not a choice. Write one of free, reduce_only, none"),
        ("order_type", "1", "not a choice. Write one of market, limit"),
    ],
)
def test_a_wrong_cell_is_told(column: str, cell: str, told: str) -> None:
    found = faults_of({"symbol": ["A", "B", "C"], column: ["", cell, ""]})
    assert len(found) == 1
    assert found[0].startswith(f"line 3, {column} is '{cell}': {told}, {LEAVE}")


def test_every_fault_is_told_at_once_in_order_of_lines() -> None:
    assert faults_of(
        {
            "symbol": ["A", "B B", "A", None],
            "max_spke": ["1", "2", "3", "4"],
            "asset_class": ["eq uity", "equity", None, "x" * 41],
            "max_spike": ["2", "high", "0", "3"],
            "trading_mode": ["fre", None, "none", "free"],
        }
    ) == [
        f"line 1, column 2 is 'max_spke': not a column of a table of symbols. Did you mean max_spike? "
        f"Columns are: {', '.join(COLUMNS)}.",
        "line 2, asset_class is 'eq uity': not a name. Write it with letters, digits and _ only, 40 at most.",
        f"line 2, trading_mode is 'fre': not a choice. Write one of free, reduce_only, none, {LEAVE} "
        "Did you mean free?",
        "line 3, symbol is 'B B': not a name. Write it with letters, digits, _ and - only, 40 at most.",
        f"line 3, max_spike is 'high': not a number. Write a number from 1 to 1000000, {LEAVE}",
        "line 4, symbol is 'A': it is on line 2 already. Keep one of the two rows.",
        f"line 4, max_spike is '0': below 1. Write a number from 1 to 1000000, {LEAVE}",
        "line 5, symbol: the row has no symbol. Write one, or remove the row.",
        f"line 5, asset_class is '{'x' * 41}': not a name. Write it with letters, digits and _ only, 40 at most.",
    ]


def test_rows_without_symbols_are_not_told_as_repeated() -> None:
    missing = "symbol: the row has no symbol. Write one, or remove the row."
    assert faults_of({"symbol": [None, "A", "", "A"]}) == [
        f"line 2, {missing}",
        f"line 4, {missing}",
        "line 5, symbol is 'A': it is on line 3 already. Keep one of the two rows.",
    ]


def test_a_header_without_symbols_and_with_a_column_twice_is_told() -> None:
    rows = pa.Table.from_arrays([pa.array(["2"]), pa.array(["x"])], names=["max_spike", "max_spike"])
    assert faults_of(rows) == [
        "line 1, column 2 is 'max_spike': the column is there twice. Remove one of them.",
        "line 1, symbol: the column is missing. Add it: it says whose row it is.",
    ]


def test_a_column_that_is_not_text_is_told() -> None:
    rows = pa.table({"symbol": [1, 2], "max_spike": [True, False], "trading_mode": [0, 1]})
    assert faults_of(rows) == [
        "line 1, symbol: the column holds int64. Give it as text.",
        "line 1, trading_mode: the column holds int64. Give it as text.",
        "line 1, max_spike: the column holds bool. Give it as text.",
    ]


def test_the_first_faults_are_told_and_the_rest_is_counted() -> None:
    count = 10_000
    columns = {"symbol": [f"S {i}" for i in range(count)], "max_spike": ["x"] * count, "order_type": ["y"] * count}
    with pytest.raises(ConfigError) as refused:
        table_of(columns)
    head, *told, rest = str(refused.value).splitlines()
    assert head == "t.csv: 30,000 faults; nothing of the table is used."
    assert len(told) == LISTED
    assert rest.strip() == "... and 29,950 more."
    assert told[0].strip().startswith("line 2, symbol is 'S 0'")
    assert {line.split(" is ")[0].strip() for line in told[:3]} == {
        "line 2, symbol", "line 2, max_spike", "line 2, order_type",
    }  # fmt: skip


def test_a_huge_cell_is_not_repeated_whole() -> None:
    assert all(len(line) < 200 for line in faults_of({"symbol": ["x" * 10_000_000], "max_spike": ["9" * 1_000_000]}))


def test_more_rows_than_the_ceiling_are_refused() -> None:
    rows = texts({"symbol": [f"S{i}" for i in range(11)]})
    with pytest.raises(ConfigError, match=r"t.csv: 11 rows, but a table of symbols may have 10\. .*_MAX_SYMBOLS"):
        symbol_table(rows, "t.csv", most_symbols=10)
    assert len(symbol_table(rows, "t.csv", most_symbols=11)) == 11


def test_lines_are_those_that_are_given() -> None:
    with pytest.raises(ConfigError, match=r"line 90, symbol is 'A': it is on line 7 already"):
        symbol_table(texts({"symbol": ["A", "B", "A"]}), "t.csv", lines=[7, 8, 90])


# --- the same verdict as a plain look at one cell ---------------------------------------------------------------------
def is_right(name: str, cell: str) -> bool:
    """Whether a cell is right, by plain rules."""
    field = FIELD[name]
    if field.kind == "choice":
        return cell in field.choices
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII):
        return False
    value = float(cell)
    return field.least <= value <= field.most and (field.kind == "number" or value.is_integer())


CELLS = st.one_of(
    st.sampled_from(["0", "1", "-1", "0.5", "1.0", "1e3", "+7", "1000000", "1e6", "1000001", "nan", "-NaN", "inf",
                     "Infinity", "0x1", "1_0", "--1", "1e", "e1", ".", "1.", ".1", "free", "none", "limit", "market"]),
    st.integers(-5, 2_000_000).map(str),
    st.floats(-10, 2e6, allow_nan=False).map(repr),
    st.text("0123456789.eE+-xn", min_size=1, max_size=6),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(FIELDS), cells=st.lists(CELLS, min_size=1, max_size=12))
def test_a_column_is_judged_as_its_cells_are(field, cells: list[str]) -> None:
    columns = {"symbol": [f"S{i}" for i in range(len(cells))], field.name: cells}
    wrong = [place for place, cell in enumerate(cells) if not is_right(field.name, cell)]
    if wrong:
        told = faults_of(columns)
        assert [int(re.match(r"line (\d+),", line)[1]) for line in told] == [place + 2 for place in wrong]
        return
    stored = table_of(columns).columns[field.name].tolist()
    if field.kind == "choice":
        assert stored == [field.choices.index(cell) for cell in cells]
    else:
        assert stored == [float(cell) for cell in cells]
        assert all(math.isfinite(value) for value in stored)
