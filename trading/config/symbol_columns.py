"""What is in force for every symbol, as columns: what a snapshot is compiled from.

Belongs here: the columns, their types, and reading one symbol of them. Does not belong here: where the values come from
(`inheritance.py`) or how they lie in a file (`compiled.py`). Needs numpy only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.config.symbol_fields import FIELDS, SymbolField, SymbolSettings, Value
from trading.errors import UnknownSymbol

DTYPES: Mapping[str, np.dtype[Any]] = {
    "whole": np.dtype(np.int32),
    "number": np.dtype(np.float64),
    "choice": np.dtype(np.uint8),
}


@dataclass(frozen=True, slots=True, eq=False)
class SymbolColumns:
    """Resolved settings of n symbols, in order of `symbols` (sorted by code point, each once).

    `asset_class` and `exchange_group` (n, uint16) are places in `asset_classes` and `exchange_groups`, sorted names;
    "" is the name of none. `fields` has a column (n) for each of `FIELDS`: whole int32, number float64 (never NaN),
    choice uint8 as place in its `choices`. Bit i of `own` (n, uint32) is set where field i was given for the symbol
    itself: a strategy's value does not override it. `strategies` has what each strategy changes, by field, sparse.
    """

    symbols: tuple[str, ...]
    asset_classes: tuple[str, ...]
    asset_class: npt.NDArray[np.uint16]
    exchange_groups: tuple[str, ...]
    exchange_group: npt.NDArray[np.uint16]
    fields: Mapping[str, npt.NDArray[Any]]
    own: npt.NDArray[np.uint32]
    strategies: Mapping[str, Mapping[str, Value]]

    def __len__(self) -> int:
        return len(self.symbols)

    def row(self, symbol: str) -> int:
        """Where a symbol stands. Raises UnknownSymbol on an unknown one."""
        at = bisect_left(self.symbols, symbol)
        if at == len(self.symbols) or self.symbols[at] != symbol:
            raise UnknownSymbol(symbol, None, len(self.symbols))
        return at

    def settings(self, symbol: str, strategy: str | None = None) -> SymbolSettings:
        """What is in force for a symbol, for a strategy where one is named. Raises UnknownSymbol on an unknown one."""
        row = self.row(symbol)
        changes = self.strategies.get(strategy, {}) if strategy is not None else {}
        own = int(self.own[row])
        return SymbolSettings._make(
            changes[field.name] if field.name in changes and not own >> place & 1 else self._value(field, row)
            for place, field in enumerate(FIELDS)
        )

    def _value(self, field: SymbolField, row: int) -> Value:
        value: Value = self.fields[field.name][row].item()
        return field.choices[int(value)] if field.kind == "choice" else value
