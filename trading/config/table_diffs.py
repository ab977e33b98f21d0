"""What differs between two tables of symbols, cell by cell.

Belongs here: cells as people wrote them. Does not belong here: what is in force for a symbol in the end
(`snapshot_diffs.py`), or trees of settings (`diffs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.config.diffs import ABSENT, Change
from trading.config.symbol_fields import FIELD, FIELDS
from trading.config.symbol_table import ASSET_CLASS, EXCHANGE_GROUP, SymbolTable

TABLE = "symbols.table"
LISTED = 1_000  # changes that are listed; the rest is counted


def table_changes(old: SymbolTable | None, new: SymbolTable | None) -> list[Change]:
    """Symbols that are new, symbols that are gone, and cells that differ of those that are in both; None is a table
    without symbols. The first `LISTED`, and then one change that counts the others. An empty cell is ABSENT."""
    before, after = _rows(old), _rows(new)
    both = [symbol for symbol in before if symbol in after]
    came = [symbol for symbol in after if symbol not in before]
    went = [symbol for symbol in before if symbol not in after]
    cells = _different(old, new, both, before, after) if old is not None and new is not None else []
    changes = _listed(old, new, before, after, (came, went, cells))
    more = len(came) + len(went) + len(cells) - LISTED
    return [*islice(changes, LISTED), *([Change(TABLE, ABSENT, f"{more:,} more changes")] if more > 0 else [])]


def _rows(table: SymbolTable | None) -> dict[str, int]:
    return {} if table is None else {symbol: row for row, symbol in enumerate(table.symbols)}


Cell = tuple[str, str]  # symbol and column


def _different(
    old: SymbolTable, new: SymbolTable, both: Sequence[str], before: Mapping[str, int], after: Mapping[str, int]
) -> list[Cell]:
    rows = (np.array([of[symbol] for symbol in both], np.intp) for of in (before, after))
    mine, theirs = rows
    found: list[Cell] = []
    for name in (ASSET_CLASS, EXCHANGE_GROUP, *(field.name for field in FIELDS)):
        (values, given), (others, also) = _column(old, name, mine), _column(new, name, theirs)
        places = np.flatnonzero((given != also) | (given & also & (values != others)))
        found += [(both[place], name) for place in places.tolist()]
    return found


def _column(
    table: SymbolTable, name: str, rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Values of some rows, comparable between tables, and whether they are given."""
    if name in (ASSET_CLASS, EXCHANGE_GROUP):
        names, codes = _named(table, name)
        return np.array([*names, ""], dtype=object)[codes[rows]], codes[rows] >= 0
    if name not in table.columns:
        return np.zeros(len(rows)), np.zeros(len(rows), bool)
    return table.columns[name][rows], table.given[name][rows]


def _named(table: SymbolTable, name: str) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    if name == ASSET_CLASS:
        return table.asset_classes, table.asset_class
    return table.exchange_groups, table.exchange_group


def _listed(
    old: SymbolTable | None,
    new: SymbolTable | None,
    before: Mapping[str, int],
    after: Mapping[str, int],
    found: tuple[Sequence[str], Sequence[str], Sequence[Cell]],
) -> Iterator[Change]:
    came, went, cells = found
    for symbol in came:
        yield Change(f"{TABLE}.{symbol}", ABSENT, _row(new, after[symbol]))
    for symbol in went:
        yield Change(f"{TABLE}.{symbol}", _row(old, before[symbol]), ABSENT)
    for symbol, name in cells:
        sides = _cell(old, before[symbol], name), _cell(new, after[symbol], name)
        yield Change(f"{TABLE}.{symbol}.{name}", *sides)


def _row(table: SymbolTable | None, row: int) -> dict[str, Any]:
    """The cells of a row that are not empty."""
    names = (ASSET_CLASS, EXCHANGE_GROUP, *(field.name for field in FIELDS))
    cells = {name: _cell(table, row, name) for name in names}
    return {name: value for name, value in cells.items() if value is not ABSENT}


def _cell(table: SymbolTable | None, row: int, name: str) -> Any:
    """A value as people write it."""
    assert table is not None
    if name in (ASSET_CLASS, EXCHANGE_GROUP):
        names, codes = _named(table, name)
        return ABSENT if codes[row] < 0 else names[codes[row]]
    if name not in table.columns or not table.given[name][row]:
        return ABSENT
    value = table.columns[name][row].item()
    return FIELD[name].choices[value] if FIELD[name].kind == "choice" else value
