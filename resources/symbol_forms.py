"""Settings of symbols for machines: the resolved columns as one Arrow table, and back; and as CSV.

Belongs here: that table, bounded, with every value held to its field. Does not belong here: reading the CSV people
write (`symbol_csv.py`), desk settings (`config_forms.py`), or the compiled snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.arrow_messages import CURE, read, written
from trading.config.ceilings import USUAL, Ceilings
from trading.config.documents import refuse, shown
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELDS, SymbolField, Value, checked
from trading.errors import ConfigError

KIND, FORM = "symbols", 1
LONGEST_STRATEGIES = 1_000_000
_ARROW = {"whole": pa.int32(), "number": pa.float64(), "choice": pa.string()}
SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("symbol", "asset_class", "exchange_group")]
    + [pa.field(field.name, _ARROW[field.kind]) for field in FIELDS]
    + [pa.field("own", pa.uint32())]
)


def as_arrow(columns: SymbolColumns) -> bytes:
    """Resolved settings of symbols as an Arrow stream: a row a symbol, choices as words, `own` as its bits."""
    strategies = json.dumps({name: dict(changes) for name, changes in columns.strategies.items()}, sort_keys=True)
    return written(_table(columns), {"daybook": KIND, "form": str(FORM), "strategies": strategies})


def as_csv(columns: SymbolColumns) -> bytes:
    """Resolved settings of symbols as CSV that a table of symbols may be: without `own`, and what strategies change."""
    from pyarrow import csv

    sink = pa.BufferOutputStream()
    csv.write_csv(_table(columns).drop_columns(["own"]), sink, csv.WriteOptions(quoting_style="needed"))
    return bytes(sink.getvalue())


def _table(columns: SymbolColumns) -> pa.Table:
    table = {
        "symbol": list(columns.symbols),
        "asset_class": np.array(columns.asset_classes, dtype=object)[columns.asset_class],
        "exchange_group": np.array(columns.exchange_groups, dtype=object)[columns.exchange_group],
        "own": columns.own,
    }
    for field in FIELDS:
        column = columns.fields[field.name]
        table[field.name] = np.array(field.choices, dtype=object)[column] if field.kind == "choice" else column
    return pa.table({name: table[name] for name in SCHEMA.names}, schema=SCHEMA)


def from_arrow(data: bytes, name: str = "symbols in Arrow", ceilings: Ceilings = USUAL) -> SymbolColumns:
    """Resolved settings from `as_arrow`. Raises ConfigError naming `name`, and symbol, field and value where there is
    one: another form, damaged, symbols out of order, a value its field cannot have."""
    table, facts = read(data, SCHEMA, ceilings.table_bytes, ceilings.symbols, name)
    _checked(facts, name)
    empty = [column for column in SCHEMA.names if table[column].null_count]
    if empty:
        refuse(name, None, f"column {empty[0]} has empty values", CURE)
    symbols = tuple(table["symbol"].to_pylist())
    if any(left >= right for left, right in pairwise(symbols)):
        refuse(name, None, "its symbols are not in order, or one is given twice", CURE)
    classes, class_codes = _coded(table["asset_class"], name)
    groups, group_codes = _coded(table["exchange_group"], name)
    fields = {field.name: _column(table[field.name], field, symbols, name) for field in FIELDS}
    own = _flags(table["own"], symbols, name)
    return SymbolColumns(symbols, classes, class_codes, groups, group_codes, fields, own, _strategies(facts, name))


def _checked(facts: Mapping[str, str], name: str) -> None:
    if facts.get("daybook") != KIND:
        refuse(name, None, "holds no settings of symbols", CURE)
    if facts.get("form") != str(FORM):
        refuse(name, None, f"its form is {shown(facts.get('form'))}, and this version reads {FORM}", "Update Daybook.")


def _coded(column: Any, name: str) -> tuple[tuple[str, ...], Any]:
    names, codes = np.unique(np.array(column.to_pylist(), dtype=object), return_inverse=True)
    if len(names) > np.iinfo(np.uint16).max:
        refuse(name, None, f"{len(names):,} classes or groups are more than there can be", CURE)
    return tuple(map(str, names)), codes.astype(np.uint16)


def _column(column: Any, field: SymbolField, symbols: tuple[str, ...], name: str) -> Any:
    if field.kind == "choice":
        places = pc.index_in(column, pa.array(field.choices))
        codes = np.asarray(pc.fill_null(places, -1).to_numpy())
        _hold(codes >= 0, column, field, symbols, name)
        return codes.astype(DTYPES["choice"])
    values = np.asarray(column.to_numpy())
    least = -np.inf if field.least is None else field.least
    most = np.inf if field.most is None else field.most
    _hold(np.isfinite(values) & (values >= least) & (values <= most), column, field, symbols, name)
    return values.astype(DTYPES[field.kind])


def _hold(fits: Any, column: Any, field: SymbolField, symbols: tuple[str, ...], name: str) -> None:
    if not fits.all():
        row = int(np.argmin(fits))
        found = f"symbol {symbols[row]}: {field.name} is {shown(column[row].as_py())}, but must be {field.allowed}"
        refuse(name, None, found, "Correct the table it was made from, and make it again.")


def _flags(column: Any, symbols: tuple[str, ...], name: str) -> Any:
    own = np.asarray(column.to_numpy())
    wrong = own >= 1 << len(FIELDS)
    if wrong.any():
        row = int(np.argmax(wrong))
        refuse(name, None, f"symbol {symbols[row]}: own is {own[row]}, and there are {len(FIELDS)} fields", CURE)
    return own.astype(np.uint32)


def _strategies(facts: Mapping[str, str], name: str) -> dict[str, dict[str, Value]]:
    text = facts.get("strategies", "{}")
    try:
        if len(text) > LONGEST_STRATEGIES:
            raise ValueError("too long")
        found = json.loads(text)
        return {str(strategy)[:40]: checked(changes) for strategy, changes in found.items()}
    except (ValueError, AttributeError, TypeError, RecursionError, ConfigError) as cause:
        refuse(name, None, f"what strategies change is wrong: {str(cause)[:200]}", CURE, cause)
