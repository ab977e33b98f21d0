"""What differs between two tables of symbols, cell by cell.

Belongs here: cells as people wrote them. Does not belong here: what is in force for a symbol in the end
(`snapshot_diffs.py`), or trees of settings (`diffs.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.diffs import ABSENT, Change, More
from trading.config.symbol_fields import FIELD, FIELDS
from trading.config.symbol_table import ASSET_CLASS, EXCHANGE_GROUP, SymbolTable

TABLE = "symbols.table"
LISTED = 1_000  # changes that are listed; the rest is counted
_COLUMNS = (ASSET_CLASS, EXCHANGE_GROUP, *(field.name for field in FIELDS))
Rows = npt.NDArray[np.intp]


def table_changes(old: SymbolTable | None, new: SymbolTable | None) -> list[Change]:
    """Symbols that are new, symbols that are gone, and cells that differ of those that are in both; None is a table
    without symbols. The first `LISTED`, and then one change that counts the others. An empty cell is ABSENT."""
    came, went, cells, count = _places(new), _places(old), list[_Cell](), 0
    if old is not None and new is not None:
        pairs, came, went = _paired(old.symbols, new.symbols)
        cells, count = _different(old, new, pairs)
    changes = _listed(old, new, came, went, cells)
    more = len(came) + len(went) + count - LISTED
    return [*islice(changes, LISTED), *([Change(TABLE, ABSENT, More(more))] if more > 0 else [])]


class _Cell(NamedTuple):
    """A cell by its column and its rows in both tables."""

    column: str
    before: int
    after: int


def _places(table: SymbolTable | None) -> Sequence[int]:
    return range(0 if table is None else len(table))


def _paired(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[tuple[Rows, Rows], Sequence[int], Sequence[int]]:
    """Rows in both tables of symbols that both have; rows of the new table that came, rows of the old one that went."""
    if old == new:
        same = np.arange(len(old), dtype=np.intp)
        return (same, same), (), ()
    after = {symbol: row for row, symbol in enumerate(new)}
    theirs = np.array([after.pop(symbol, -1) for symbol in old], dtype=np.intp)
    mine = np.flatnonzero(theirs >= 0)
    return (mine, theirs[mine]), tuple(after.values()), np.flatnonzero(theirs < 0).tolist()


def _different(old: SymbolTable, new: SymbolTable, pairs: tuple[Rows, Rows]) -> tuple[list[_Cell], int]:
    """The first cells that differ, and how many do."""
    mine, theirs = pairs
    found: list[_Cell] = []
    count = 0
    for name in _COLUMNS:
        (values, given), (others, also) = _column(old, name, mine), _column(new, name, theirs)
        places = np.flatnonzero((given != also) | (given & also & (values != others)))
        count += len(places)
        listed = places[: LISTED - len(found)]
        rows = zip(mine[listed].tolist(), theirs[listed].tolist(), strict=True)
        found += [_Cell(name, before, after) for before, after in rows]
    return found, count


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
    old: SymbolTable | None, new: SymbolTable | None, came: Iterable[int], went: Iterable[int], cells: Iterable[_Cell]
) -> Iterator[Change]:
    for row in came:
        yield Change(_path(new, row), ABSENT, _row(new, row))
    for row in went:
        yield Change(_path(old, row), _row(old, row), ABSENT)
    for cell in cells:
        sides = _cell(old, cell.before, cell.column), _cell(new, cell.after, cell.column)
        yield Change(f"{_path(new, cell.after)}.{cell.column}", *sides)


def _path(table: SymbolTable | None, row: int) -> str:
    assert table is not None
    return f"{TABLE}.{table.symbols[row]}"


def _row(table: SymbolTable | None, row: int) -> dict[str, Any]:
    """The cells of a row that are not empty."""
    cells = {name: _cell(table, row, name) for name in _COLUMNS}
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
