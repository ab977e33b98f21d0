"""A table of symbols as typed columns, examined cell by cell, all of them at once.

Belongs here: which columns a table may have, what may stand in their cells, and every fault with its line. Does not
belong here: files and CSV (`resources/symbol_csv.py`), or what an empty cell inherits (`inheritance.py`).

Cells are judged by the column, not one by one: only what is wrong is looked at again, and put into words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trading.config.symbol_columns import DTYPES
from trading.config.symbol_fields import FIELD, FIELDS, SymbolField, fault, near, shown
from trading.errors import ConfigError

SYMBOL, ASSET_CLASS, EXCHANGE_GROUP = "symbol", "asset_class", "exchange_group"
COLUMNS = (SYMBOL, ASSET_CLASS, EXCHANGE_GROUP, *FIELD)
MOST_SYMBOLS = 100_000
LISTED = 50  # faults that are put into words; the rest is counted

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_CODE = "^[A-Za-z0-9_-]{1,40}$"
_NAME = "^[A-Za-z0-9_]{1,40}$"
_LEAVE = "or leave the cell empty: it inherits then"


@dataclass(frozen=True, slots=True, eq=False)
class SymbolTable:
    """A table of n symbols without faults, each symbol once, in the table's order.

    `where` names it in messages and `lines` (n) are its lines, as a text editor counts them. `asset_class` (n, int32)
    is a place in `asset_classes`, -1 where the cell is empty; `exchange_group` likewise. `columns` has an array (n) for
    each field that is a column, as in `SymbolColumns.fields`; it counts only where `given` (n, bool) of the same name
    says so.
    """

    where: str
    symbols: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    asset_classes: tuple[str, ...]
    asset_class: npt.NDArray[np.int32]
    exchange_groups: tuple[str, ...]
    exchange_group: npt.NDArray[np.int32]
    columns: Mapping[str, npt.NDArray[Any]]
    given: Mapping[str, npt.NDArray[np.bool_]]

    def __len__(self) -> int:
        return len(self.symbols)


class Fault(NamedTuple):
    """What is wrong in one place of a table, and what to do."""

    line: int
    column: str
    value: str | None
    found: str
    cure: str

    def __str__(self) -> str:
        place = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        said = "" if self.value is None else f" is {shown(self.value)}"
        return f"{place}{said}: {self.found}. {self.cure}"


@dataclass(slots=True)
class Faults:
    """What was found while a table is examined: how much, and the first of it by column."""

    count: int = 0
    listed: list[Fault] = field(default_factory=list)

    def add(self, found: Iterable[Fault], count: int) -> None:
        """Notes faults of one column or kind, of which there are `count`; the first `LISTED` of `found` are kept."""
        self.count += count
        self.listed.extend(one for one, _ in zip(found, range(LISTED), strict=False))

    def refuse(self, where: str) -> None:
        """Raises ConfigError with the first of them by line, and how many more there are, if there are any."""
        if not self.count:
            return
        first = sorted(self.listed, key=lambda one: one.line)[:LISTED]
        more = self.count - len(first)
        rest = [f"... and {more:,} more."] if more else []
        head = f"{where}: {self.count:,} {'fault' if self.count == 1 else 'faults'}; nothing of the table is used."
        told = [f"{where}, {fault}" for fault in first] + [f"{where}: {each}" for each in rest]
        raise ConfigError("\n  ".join([head, *map(str, first), *rest]), told)


def symbol_table(
    rows: pa.Table,
    where: str,
    lines: Sequence[int] | npt.NDArray[np.int64] | None = None,
    faults: Faults | None = None,
    most_symbols: int = MOST_SYMBOLS,
) -> SymbolTable:
    """A table of symbols from rows of text (numbers may be numbers already), where null or "" is an empty cell.

    Columns: symbol, perhaps asset_class and exchange_group, and any of FIELDS. `lines` are the rows' lines in the file;
    none: 2, 3, ... `faults` is what was found in reading. Raises ConfigError with every fault (the first 50 in words):
    line, column, value, what is wrong, and what to do; and where there are more than `most_symbols`.
    """
    refuse_many(rows.num_rows, most_symbols, where)
    found = Faults() if faults is None else faults
    at = np.arange(2, rows.num_rows + 2) if lines is None else np.asarray(lines, np.int64)
    found.add(*_faults_of_header(rows.column_names))
    cells = _Cells(rows, at, found)
    symbols = cells.symbols()
    classes, asset_class = cells.names(ASSET_CLASS)
    groups, exchange_group = cells.names(EXCHANGE_GROUP)
    columns = {each.name: cells.values(each) for each in FIELDS if each.name in rows.column_names}
    found.refuse(where)
    values, given = ({name: pair[i] for name, pair in columns.items()} for i in (0, 1))
    return SymbolTable(where, symbols, at, classes, asset_class, groups, exchange_group, values, given)


def refuse_many(count: int, most: int, where: str) -> None:
    """Raises ConfigError where a table has more rows than it may have."""
    if count > most:
        raise ConfigError(
            f"{where}: {count:,} rows, but a table of symbols may have {most:,}. Leave out symbols that are not "
            "followed, or raise the ceiling with DAYBOOK_MAX_SYMBOLS."
        )


def _faults_of_header(names: Sequence[str]) -> tuple[list[Fault], int]:
    """Columns that are unknown or there twice, and the one that is missing."""
    listed = ", ".join(COLUMNS)
    found = []
    for place, name in enumerate(names):
        if name not in COLUMNS:
            cure = f"{near(name, COLUMNS).lstrip()} Columns are: {listed}.".lstrip()
            found.append(Fault(1, f"column {place + 1}", name, "not a column of a table of symbols", cure))
        elif name in names[:place]:
            found.append(Fault(1, f"column {place + 1}", name, "the column is there twice", "Remove one of them."))
    if SYMBOL not in names:
        found.append(Fault(1, SYMBOL, None, "the column is missing", "Add it: it says whose row it is."))
    return found, len(found)


# --- cells ------------------------------------------------------------------------------------------------------------
class _Cells:
    """The cells of a table under examination. What is wrong with them is noted in `faults`."""

    def __init__(self, rows: pa.Table, lines: npt.NDArray[np.int64], faults: Faults) -> None:
        self._rows, self._lines, self._faults = rows, lines, faults

    def symbols(self) -> tuple[str, ...]:
        """Names, each once; () where the column is not there."""
        cells = self._column(SYMBOL)
        if cells is None:
            return ()
        self._note(SYMBOL, cells, _mask(cells.is_null()), "the row has no symbol", "Write one, or remove the row.")
        self._note_spelling(SYMBOL, cells, _CODE, "letters, digits, _ and - only, 40 at most")
        self._note_repeated(cells)
        return tuple(cells.to_pylist())

    def names(self, column: str) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
        """Names of classes or groups, and each row's place among them; -1 where there is none."""
        cells = self._column(column)
        if cells is None:
            return (), np.full(self._rows.num_rows, -1, np.int32)
        self._note_spelling(column, cells, _NAME, "letters, digits and _ only, 40 at most")
        encoded = cells.dictionary_encode()
        return tuple(encoded.dictionary.to_pylist()), _plain(encoded.indices, np.int32, -1)

    def values(self, of: SymbolField) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """A field's values, and where they are given."""
        cells = self._column(of.name, numbers=of.kind != "choice")
        if cells is None:
            return np.empty(0, DTYPES[of.kind]), np.empty(0, np.bool_)
        values, good = _choices(of, cells) if of.kind == "choice" else _numbers(of, cells)
        given = _mask(cells.is_valid())
        if not good.all():
            self._faults.add(self._wrong(of, cells, ~good), int((~good).sum()))
            values = np.where(good, values, 0)
        return values.astype(DTYPES[of.kind], copy=False), given

    def _column(self, name: str, numbers: bool = False) -> pa.Array | None:
        """A column as text without empty texts, or as numbers where they are allowed; none where it is not there (once)
        or neither."""
        if self._rows.column_names.count(name) != 1:
            return None
        column = self._rows[name]
        cells = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        if numbers and (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)):
            return cells
        if not any(is_text(_inner(cells.type)) for is_text in (pa.types.is_string, pa.types.is_large_string)):
            found = Fault(1, name, None, f"the column holds {cells.type}", "Give it as text.")
            self._faults.add([found], 1)
            return None
        texts = cells.cast(pa.string())
        if pc.min(pc.binary_length(texts)).as_py() != 0:
            return texts
        return pc.if_else(pc.match_substring_regex(texts, "^$"), pa.nulls(len(texts), pa.string()), texts)

    def _note(self, column: str, cells: pa.Array, wrong: npt.NDArray[np.bool_], found: str, cure: str) -> None:
        """Notes one kind of fault in those cells that are `wrong`."""
        if wrong.any():
            rows = np.flatnonzero(wrong)
            texts = ((self._line(row), cells[row].as_py()) for row in rows[:LISTED].tolist())
            self._faults.add((Fault(line, column, text, found, cure) for line, text in texts), len(rows))

    def _note_spelling(self, column: str, cells: pa.Array, pattern: str, allowed: str) -> None:
        spelt = _mask(pc.or_kleene(pc.match_substring_regex(cells, pattern), cells.is_null()))
        self._note(column, cells, ~spelt, "not a name", f"Write it with {allowed}.")

    def _note_repeated(self, cells: pa.Array) -> None:
        """Notes symbols that an earlier line has."""
        encoded = cells.dictionary_encode()
        if len(encoded.dictionary) == len(cells) - cells.null_count:
            return
        codes = _plain(encoded.indices, np.int32, -1)
        _, first, back = np.unique(codes, return_index=True, return_inverse=True)
        before = first[back]
        rows = np.flatnonzero((before != np.arange(len(codes))) & (codes >= 0))
        self._faults.add(self._repeated(cells, rows[:LISTED].tolist(), before), len(rows))

    def _repeated(self, cells: pa.Array, rows: Iterable[int], before: npt.NDArray[Any]) -> Iterable[Fault]:
        for row in rows:
            found = f"it is on line {self._line(before[row])} already"
            yield Fault(self._line(row), SYMBOL, cells[row].as_py(), found, "Keep one of the two rows.")

    def _wrong(self, of: SymbolField, cells: pa.Array, wrong: npt.NDArray[np.bool_]) -> Iterable[Fault]:
        for row in np.flatnonzero(wrong)[:LISTED].tolist():
            text = str(cells[row].as_py())
            cure = f"Write {of.allowed}, {_LEAVE}.{near(text, of.choices)}"
            yield Fault(self._line(row), of.name, text, _reason(of, text), cure)

    def _line(self, row: int) -> int:
        return int(self._lines[row])


def _inner(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _mask(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Truth values without nulls."""
    return _plain(array.cast(pa.uint8()), np.uint8).view(np.bool_)


def _plain(array: pa.Array, kind: type[np.generic], missing: float = 0) -> npt.NDArray[Any]:
    """Numbers of that kind, `missing` where they are null. Arrow's own `to_numpy` imports pandas, and so does a Python
    value given to one of its functions: 0.4 s and 40 MB."""
    if not len(array):
        return np.empty(0, kind)
    width = np.dtype(kind).itemsize
    values = np.frombuffer(array.buffers()[1], kind, len(array), array.offset * width)
    return np.where(_mask(array.is_valid()), values, kind(missing)) if array.null_count else values


def _choices(of: SymbolField, cells: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Places in the field's choices, and which cells are empty or one of them."""
    encoded = cells.dictionary_encode()
    place = {choice: at for at, choice in enumerate(of.choices)}
    by_code = np.array([*(place.get(text, -1) for text in encoded.dictionary.to_pylist()), 0])  # the last: empty cells
    values = by_code[_plain(encoded.indices, np.int32, -1)]
    return values, values >= 0


def _numbers(of: SymbolField, cells: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Numbers, and which cells are empty or a number of the field's kind within its bounds."""
    try:
        values = _plain(cells.cast(pa.float64()), np.float64, float(of.default))
    except pa.ArrowInvalid:
        values = np.array([_number(text, of) for text in cells.to_pylist()])
    good = (values >= of.least) & (values <= of.most)  # NaN is neither
    if of.kind == "whole":
        good &= values == np.rint(values)
    return values, good


def _number(text: object, of: SymbolField) -> float:
    """A cell's number; that of an empty one does not count, and what is no number is NaN."""
    if text is None:
        return float(of.default)
    return float(str(text)) if NUMBER.fullmatch(str(text)) else np.nan


def _reason(of: SymbolField, text: str) -> str:
    """What is wrong with a cell that is wrong."""
    value: object = text
    if of.kind != "choice" and NUMBER.fullmatch(text):
        value = float(text)
        if not np.isfinite(value):
            return "not a finite number"
        value = int(value) if value.is_integer() else value
    return fault(of, value) or "not allowed"
