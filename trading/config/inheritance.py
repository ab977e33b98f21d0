"""What every symbol has in the end, and where it came from.

Belongs here: laying the levels of settings over one another, for all symbols at once, and telling one value's origin.
Does not belong here: the settings themselves (`symbols.py`, `symbol_table.py`), who inherits from whom (`lineage.py`),
or files.

Later over earlier: defaults, asset class (over the class it inherits from), exchange group (likewise), strategy, the
symbol's own. A symbol's own is its row in the table and, over it, its entry in [symbols.symbols]. A strategy's value is
put in when it is read, so that columns are the same for all strategies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.lineage import lineage
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELD, FIELDS, SymbolField, Value, near
from trading.config.symbol_table import ASSET_CLASS, EXCHANGE_GROUP, SymbolTable
from trading.config.symbols import GroupOverrides, SymbolOverrides, SymbolsSettings, parents
from trading.errors import ConfigError

LEVELS = ("defaults", ASSET_CLASS, EXCHANGE_GROUP, "strategy", "symbol")
LISTED = 50  # contradictions that are put into words
MOST_NAMES = 65_535  # places in a column of uint16, "" included


class Classification(NamedTuple):
    """What reference data says an instrument is; "" where it says nothing."""

    asset_class: str
    exchange_group: str


class Origin(NamedTuple):
    """One place that may say something about a setting of a symbol: its level (of LEVELS), its name ("" where the
    symbol has none there), what it says (none: nothing), and whether that is what counts."""

    level: str
    name: str
    value: Value | None
    in_force: bool


def resolved(
    settings: SymbolsSettings, table: SymbolTable | None, known: Mapping[str, Classification]
) -> SymbolColumns:
    """What is in force for every symbol of the reference data (`known`) and the table, before any strategy.

    Raises ConfigError with every contradiction (the first 50 in words): a symbol whose class or group differs between
    reference data and table, a class or group of the table that nobody knows, settings of a symbol that nobody knows.
    """
    symbols = _universe(table, known)
    at = _places(symbols, table)
    asset = _classified(ASSET_CLASS, symbols, at, table, known)
    group = _classified(EXCHANGE_GROUP, symbols, at, table, known)
    _refuse(chain(asset.clashes(), group.clashes(), _strangers(settings, table, known, symbols)))
    levels = (
        _LevelValues(asset, settings.asset_classes),
        _LevelValues(group, settings.exchange_groups),
    )
    own = np.zeros(len(symbols), np.uint32)
    fields = {}
    for place, field in enumerate(FIELDS):
        column, given = _column(field, settings, levels, (symbols, at, table))
        own |= given.astype(np.uint32) << np.uint32(place)
        fields[field.name] = _frozen(column)
    return SymbolColumns(
        symbols, asset.names, _frozen(asset.codes.astype(np.uint16)), group.names,
        _frozen(group.codes.astype(np.uint16)), fields, _frozen(own), strategy_changes(settings),
    )  # fmt: skip


def strategy_changes(settings: SymbolsSettings) -> dict[str, dict[str, Value]]:
    """What each strategy changes, by field; strategies that change nothing are left out."""
    found = {name: _given(overrides) for name, overrides in settings.strategies.items()}
    return {name: changes for name, changes in found.items() if changes}


def explained(
    settings: SymbolsSettings,
    table: SymbolTable | None,
    known: Mapping[str, Classification],
    symbol: str,
    field: str,
    strategy: str | None = None,
) -> list[Origin]:
    """Every place that may say something about a setting of a symbol, from defaults to the symbol's own; the last that
    says something is in force. Raises ConfigError on an unknown symbol or setting, with what is meant perhaps."""
    _refuse(_unknown(symbol, field, table, known))
    row = table.symbols.index(symbol) if table is not None and symbol in table.symbols else None
    said: list[tuple[str, str, Value | None]] = [("defaults", "defaults", getattr(settings.defaults, field))]
    for level, groups in ((ASSET_CLASS, settings.asset_classes), (EXCHANGE_GROUP, settings.exchange_groups)):
        said += _said_by_groups(level, _class_of(level, symbol, row, table, known), groups, field)
    said.append(("strategy", strategy or "", _said(settings.strategies.get(strategy or ""), field)))
    if table is not None and row is not None:
        said.append(("symbol", f"{symbol}, line {table.lines[row]} of {table.where}", _cell(table, row, field)))
    said.append(("symbol", symbol, _said(settings.symbols.get(symbol), field)))
    last = max(place for place, (_, _, value) in enumerate(said) if value is not None)
    return [Origin(*one, in_force=place == last) for place, one in enumerate(said)]


def idle(settings: SymbolsSettings, table: SymbolTable | None, known: Mapping[str, Classification]) -> Iterator[str]:
    """A sentence for each class and group that has settings but no symbol, none through inheritance either: the name
    may be misspelt, and its limits are not in force anywhere."""
    for level, groups in ((ASSET_CLASS, settings.asset_classes), (EXCHANGE_GROUP, settings.exchange_groups)):
        used = {*map(attrgetter(level), known.values()), *_table_names(level, table)}
        elders = parents(groups)
        served = {elder for name in used for elder in lineage(name, elders)}
        for name in groups:
            if name not in served:
                section = f"symbols.{_section(level)}"
                yield f"{section}.{name} has settings, but no symbol is in it.{near(name, used - {''})}"


# --- who there is -----------------------------------------------------------------------------------------------------
def _universe(table: SymbolTable | None, known: Mapping[str, Classification]) -> tuple[str, ...]:
    """Symbols of the table and of reference data, sorted, each once."""
    if table is None:
        return tuple(sorted(known))
    return tuple(sorted(dict.fromkeys([*table.symbols, *known])))


def _places(symbols: Sequence[str], table: SymbolTable | None) -> npt.NDArray[np.intp]:
    """Where the rows of the table stand among all symbols."""
    if table is None:
        return np.empty(0, np.intp)
    if table.symbols == symbols:
        return np.arange(len(symbols))
    place = {symbol: at for at, symbol in enumerate(symbols)}
    return np.fromiter((place[symbol] for symbol in table.symbols), np.intp, len(table))


class _Classified(NamedTuple):
    """Symbols by class or group: names (sorted), each symbol's place among them, and contradicting places."""

    level: str
    symbols: Sequence[str]
    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    clashing: npt.NDArray[np.intp]
    other: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int64]
    where: str

    def clashes(self) -> Iterator[str]:
        """A sentence for each symbol whose class differs between reference data and table."""
        for at, told, line in zip(self.clashing.tolist(), self.other.tolist(), self.lines.tolist(), strict=True):
            place = f"{self.where}, line {line}"
            yield _clash(self.symbols[at], self.level, self.names[told], place, self.names[self.codes[at]])


def _classified(
    level: str,
    symbols: tuple[str, ...],
    at: npt.NDArray[np.intp],
    table: SymbolTable | None,
    known: Mapping[str, Classification],
) -> _Classified:
    """What each symbol is by reference data and, where that says nothing, by the table."""
    by_name = dict(zip(known, map(attrgetter(level), known.values()), strict=True))
    listed = _table_names(level, table)
    names = tuple(sorted({"", *by_name.values(), *listed}))
    if len(names) > MOST_NAMES:
        raise ConfigError(f"{len(names):,} names of {level}, but there may be {MOST_NAMES:,}. Use fewer.")
    place: dict[str | None, int] = {name: code for code, name in enumerate(names)} | {None: 0}
    codes = np.fromiter(map(place.__getitem__, map(by_name.get, symbols)), np.int32, len(symbols))
    if table is None:
        nobody = np.empty(0, np.intp)
        return _Classified(level, symbols, names, codes, nobody, nobody.astype(np.int32), nobody, "")
    told = np.array([*(place[name] for name in listed), 0], np.int32)[_table_codes(level, table)]  # -1 is the last: ""
    clash = (told != 0) & (codes[at] != 0) & (told != codes[at])
    codes[at] = np.where(codes[at] == 0, told, codes[at])
    return _Classified(level, symbols, names, codes, at[clash], told[clash], table.lines[clash], table.where)


def _table_names(level: str, table: SymbolTable | None) -> tuple[str, ...]:
    if table is None:
        return ()
    return table.asset_classes if level == ASSET_CLASS else table.exchange_groups


def _table_codes(level: str, table: SymbolTable) -> npt.NDArray[np.int32]:
    return table.asset_class if level == ASSET_CLASS else table.exchange_group


def _section(level: str) -> str:
    return "asset_classes" if level == ASSET_CLASS else "exchange_groups"


# --- what contradicts -------------------------------------------------------------------------------------------------
def _refuse(found: Iterable[str]) -> None:
    """Raises ConfigError with what was found, if anything was. What is not told is not looked for either."""
    first = list(islice(found, LISTED + 1))
    if first:
        said = [*first[:LISTED], *(["And there are more."] if len(first) > LISTED else [])]
        raise ConfigError("\n".join(said), said)


def _clash(symbol: str, level: str, theirs: str, place: str, ours: str) -> str:
    return (
        f"{place}: symbol {symbol}: {level} is '{theirs}', but '{ours}' in the reference data. Correct one of them, or "
        "leave the cell empty."
    )


def _strangers(
    settings: SymbolsSettings,
    table: SymbolTable | None,
    known: Mapping[str, Classification],
    symbols: Sequence[str],
) -> Iterator[str]:
    """Symbols with settings, and classes and groups of the table, that nobody knows."""
    for symbol in settings.symbols:
        at = bisect_left(symbols, symbol)
        if at == len(symbols) or symbols[at] != symbol:
            yield stranger(symbol, symbols)
    if table is not None:
        for level, groups in ((ASSET_CLASS, settings.asset_classes), (EXCHANGE_GROUP, settings.exchange_groups)):
            named = {*groups, *map(attrgetter(level), known.values())} - {""}
            yield from _unknown_groups(level, named, table)


def stranger(symbol: str, symbols: Iterable[str]) -> str:
    """That a symbol with settings of its own is not among those that there are."""
    return (
        f"symbols.symbols.{symbol} has settings, but the symbol is neither in the reference data nor in the table."
        f"{near(symbol, symbols)} Correct it, or remove them."
    )


def _unknown_groups(level: str, named: set[str], table: SymbolTable) -> Iterator[str]:
    codes = _table_codes(level, table)
    for code, name in enumerate(_table_names(level, table)):
        if name not in named:
            rows, section = np.flatnonzero(codes == code), f"symbols.{_section(level)}"
            yield (
                f"{table.where}, line {table.lines[rows[0]]}: {level} is '{name}' ({len(rows):,} of its rows), which "
                f"neither the reference data nor {section} has.{near(name, named)} Correct it, or add "
                f"[{section}.{name}]."
            )


def _unknown(symbol: str, field: str, table: SymbolTable | None, known: Mapping[str, Classification]) -> Iterator[str]:
    if field not in FIELD:
        yield f"{field} is not a setting of a symbol.{near(field, FIELD)} Settings are: {', '.join(FIELD)}."
    in_table = table is not None and symbol in table.symbols
    if symbol not in known and not in_table:
        listed = _universe(table, known)
        yield f"symbol {symbol!r} is neither in the reference data nor in the table of symbols.{near(symbol, listed)}"


# --- what it comes to -------------------------------------------------------------------------------------------------
class _LevelValues:
    """What the classes or groups of one level say, each over whom it inherits from."""

    def __init__(self, classified: _Classified, groups: Mapping[str, GroupOverrides]) -> None:
        elders = parents(groups)
        self._codes = classified.codes
        self._said = [_inherited(lineage(name, elders), groups) for name in classified.names]

    def lie_over(self, field: SymbolField, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The column with what this level says put in."""
        given = np.array([field.name in said for said in self._said])
        if not given.any():
            return column
        values = [_stored(field, said[field.name]) if field.name in said else 0 for said in self._said]
        by_code = np.array(values, column.dtype)
        return np.where(given[self._codes], by_code[self._codes], column)


def _inherited(names: Iterable[str], groups: Mapping[str, GroupOverrides]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in names:
        if name in groups:
            found |= _given(groups[name])
    return found


def _given(overrides: SymbolOverrides) -> dict[str, Value]:
    """What is set, by field; a whole number for a number is a float."""
    said = ((field, getattr(overrides, field.name)) for field in FIELDS)
    return {field.name: float(value) if field.kind == "number" else value for field, value in said if value is not None}


def _column(
    field: SymbolField,
    settings: SymbolsSettings,
    levels: Iterable[_LevelValues],
    owners: tuple[Sequence[str], npt.NDArray[np.intp], SymbolTable | None],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """A field for all symbols, and where it is the symbol's own."""
    symbols, at, table = owners
    default = _stored(field, getattr(settings.defaults, field.name))
    column = np.full(len(symbols), default, DTYPES[field.kind])
    for level in levels:
        column = level.lie_over(field, column)
    own = np.zeros(len(symbols), np.bool_)
    if table is not None and field.name in table.columns:
        given = table.given[field.name]
        column[at[given]] = table.columns[field.name][given]
        own[at[given]] = True
    for symbol, overrides in settings.symbols.items():
        value = getattr(overrides, field.name)
        if value is not None:
            row = bisect_left(symbols, symbol)
            column[row], own[row] = _stored(field, value), True
    return column, own


def _stored(field: SymbolField, value: Value) -> Value:
    """A value as a column stores it: a choice is its place."""
    return field.choices.index(str(value)) if field.kind == "choice" else value


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.setflags(write=False)
    return array


# --- where it came from -----------------------------------------------------------------------------------------------
def _class_of(
    level: str, symbol: str, row: int | None, table: SymbolTable | None, known: Mapping[str, Classification]
) -> str:
    """A symbol's class or group; "" where it has none. Raises ConfigError where reference data and table differ."""
    ours: str = getattr(known[symbol], level) if symbol in known else ""
    code = -1 if table is None or row is None else int(_table_codes(level, table)[row])
    theirs = _table_names(level, table)[code] if code >= 0 else ""
    if ours and theirs and ours != theirs and table is not None:
        raise ConfigError(_clash(symbol, level, theirs, f"{table.where}, line {table.lines[row]}", ours))
    return ours or theirs


def _said_by_groups(
    level: str, name: str, groups: Mapping[str, GroupOverrides], field: str
) -> Iterator[tuple[str, str, Value | None]]:
    """What a class says, after those it inherits from."""
    for each in lineage(name, parents(groups)):
        yield level, each, _said(groups.get(each), field)


def _said(overrides: SymbolOverrides | None, field: str) -> Value | None:
    return None if overrides is None else _given(overrides).get(field)


def _cell(table: SymbolTable, row: int, name: str) -> Value | None:
    """What the table's row says; none where its cell is empty."""
    if name not in table.columns or not table.given[name][row]:
        return None
    value: Value = table.columns[name][row].item()
    return FIELD[name].choices[int(value)] if FIELD[name].kind == "choice" else value
