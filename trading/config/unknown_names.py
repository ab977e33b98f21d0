"""Names in a desk's files that nobody knows: strategies, instruments of the universe, rows of the table of symbols.

Belongs here: what is refused, since a limit under a misspelt name would limit nothing, and what is only noted. Does not
belong here: classes and groups (`inheritance.py`), or the files (`pipelines/configuration_names.py`).

What was in force once stays readable: reference data may forget an instrument, so these are asked of files alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice

import numpy as np

from trading.config.data import Universe
from trading.config.inheritance import stranger
from trading.config.symbol_fields import near
from trading.config.symbol_table import SymbolTable
from trading.config.symbols import SymbolsSettings

LISTED = 50  # rows of the table that are put into words
PlaceOf = Callable[[tuple[str | int, ...]], str | None]


def strange_strategies(
    settings: SymbolsSettings, traded: Collection[str], library: Collection[str], place: PlaceOf
) -> Iterator[str]:
    """A sentence for each strategy with settings of symbols that neither trades nor is a file of the library."""
    for name in settings.strategies:
        if name not in traded and name not in library:
            meant = near(name, dict.fromkeys([*traded, *library]))
            yield (
                f"{_at(place, ('symbols', 'strategies', name))}symbols.strategies.{name} has settings, but no strategy "
                f"is called {name}.{meant} Correct it, or remove them."
            )


def idle_strategies(settings: SymbolsSettings, traded: Collection[str], library: Collection[str]) -> Iterator[str]:
    """A sentence for each strategy with settings of symbols that there is, but that does not trade."""
    for name in settings.strategies:
        if name not in traded and name in library:
            yield (
                f"symbols.strategies.{name} has settings, but {name} does not trade: trading.strategies does not "
                f"name it.{near(name, traded)}"
            )


def strange_symbols(settings: SymbolsSettings, known: Collection[str], place: PlaceOf) -> Iterator[str]:
    """A sentence for each symbol with settings of its own that is not `known`: neither reference data nor the table has
    it."""
    for symbol in settings.symbols:
        if symbol not in known:
            yield _at(place, ("symbols", "symbols", symbol)) + stranger(symbol, known)


def strange_universe(universe: Universe, known: Collection[str], place: PlaceOf) -> Iterator[str]:
    """A sentence for each instrument of `data.universe` that is not `known`: neither reference data nor the table has
    it."""
    for name in ("instruments", "excluded"):
        for number, code in enumerate(getattr(universe, name)):
            if code not in known:
                yield (
                    f"{_at(place, ('data', 'universe', name, number))}data.universe.{name} names {code}, which is "
                    f"neither in the reference data nor in the table of symbols.{near(code, known)} Correct it, or "
                    "load its vendor's data first."
                )


def strange_rows(table: SymbolTable, known: Collection[str]) -> Iterator[str]:
    """A sentence for each row (the first 50) of a symbol that reference data do not know (`known`), and that says
    neither its class nor its group: one that does is meant."""
    bare = np.flatnonzero((table.asset_class < 0) & (table.exchange_group < 0)).tolist()
    strange = (row for row in bare if table.symbols[row] not in known)
    for row in islice(strange, LISTED):
        symbol = table.symbols[row]
        yield (
            f"{table.where}, line {table.lines[row]}: symbol '{symbol}' is not in the reference data."
            f"{near(symbol, known)} Correct it, or give its asset_class or exchange_group if it is meant."
        )
    more = sum(1 for _ in strange)
    if more:
        yield f"{table.where}: {more:,} rows more are of symbols that are not in the reference data."


def _at(place: PlaceOf, path: tuple[str | int, ...]) -> str:
    found = place(path)
    return f"{found}: " if found else ""
