"""The compiled snapshot: a whole configuration as immutable columns, read where they lie.

Belongs here: every read of a snapshot, and another one with symbols changed. Does not belong here: making one from
settings (`compiled.py`), how it lies in a file (`snapshot_layout.py`), or files (`resources/compiled_files.py`).
Opening and reading load neither numpy nor pydantic, and cost the same however many symbols there are.

Parts: `names`, `starts`, `table` (`symbol_index.py`); `column.<field>` for each of `FIELDS`, `own`, `asset_class`,
`exchange_group`, `exposure_base`: a value a row; `sparse`: names of classes and groups, and what strategies change, as
JSON; `section.<name>`: bytes of a section of the settings, for whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from trading.config.order_limits import OrderLimits
from trading.config.snapshot_facts import Fact, checked_facts
from trading.config.snapshot_layout import Contents, Part, check, hashed, opened, packed, verified
from trading.config.snapshot_parts import (
    BITS,
    CHOICES,
    SHAPE,
    changed_rows,
    check_shape,
    exposures,
    one_shard,
    over,
    same_rows,
)
from trading.config.snapshot_sparse import Sparse, sparse
from trading.config.symbol_fields import FIELDS, SymbolSettings, Value, near
from trading.config.symbol_index import RowMemo, Shard, SymbolIndex
from trading.errors import ConfigError, SnapshotRefused

_MODES, _ORDER_TYPES = CHOICES["trading_mode"], CHOICES["order_type"]
_NOTHING: Mapping[str, Value] = MappingProxyType({})
_new: Callable[[type[OrderLimits], Iterable[Any]], OrderLimits] = tuple.__new__  # half the time of OrderLimits(...)
_AGAIN = "Compile the configuration again: daybook config apply --reason."
_DAMAGED = f"a setting of symbol {{}} is damaged: it is none of its choices. {_AGAIN}"


class Snapshot:
    """A configuration, whole and immutable. What two reads of one snapshot say belongs together; rows are those of this
    snapshot only."""

    __slots__ = (
        "_columns", "_contents", "_exposures", "_facts", "_index", "_modes", "_offsets", "_order_types", "_orders",
        "_owners", "_positions", "_rows", "_sparse",
    )  # fmt: skip

    _columns: dict[str, memoryview[Any]]
    _contents: Contents
    _exposures: memoryview[float]
    _facts: dict[str, Fact]
    _index: SymbolIndex
    _modes: memoryview[int]
    _offsets: memoryview[float]
    _order_types: memoryview[int]
    _orders: memoryview[int]
    _owners: memoryview[int]
    _positions: memoryview[int]
    _rows: RowMemo
    _sparse: Sparse | None

    def __init__(self, contents: Contents, memo: RowMemo | None = None, known: Sparse | None = None) -> None:
        """`memo`: rows already found, of a snapshot of the same symbols; `known`: what is sparse, of one of the same
        capital."""
        parts = contents.parts
        columns = {field.name: parts[f"column.{field.name}"].view for field in FIELDS}
        rows = memo if memo is not None else RowMemo(_index(contents.parts, contents.about))
        made: dict[str, object] = {
            "_columns": columns,
            "_contents": contents,
            "_exposures": parts["exposure_base"].view,
            "_facts": contents.about["facts"],
            "_index": rows.index,
            "_modes": columns["trading_mode"],
            "_offsets": columns["limit_offset_fraction"],
            "_order_types": columns["order_type"],
            "_orders": columns["max_order_contracts"],
            "_owners": parts["own"].view,
            "_positions": columns["max_position_contracts"],
            "_rows": rows,
            "_sparse": known,
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @classmethod
    def open(cls, buffer: bytes | bytearray | memoryview) -> Snapshot:
        """The snapshot in a buffer, which is not copied: header and directory are checked, nothing else is read. Raises
        SnapshotRefused on what is damaged, cut short, or of another version."""
        return cls._of(opened(buffer))

    @classmethod
    def verified(cls, buffer: bytes | bytearray | memoryview) -> Snapshot:
        """As `open`, every part checked against the content hash."""
        return cls._of(verified(buffer))

    @classmethod
    def _of(cls, contents: Contents) -> Snapshot:
        try:
            if contents.about["fields"] != SHAPE:
                raise SnapshotRefused(f"its settings of symbols are not those of this version of Daybook. {_AGAIN}")
            check_shape(contents)
            return cls(contents)
        except SnapshotRefused:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ConfigError) as cause:
            raise SnapshotRefused(f"a part of it is missing or wrong ({str(cause)[:200]}). {_AGAIN}") from cause

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a snapshot cannot be changed: {name}. Make another one by with_symbol.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a snapshot cannot be changed: {name}. Make another one by with_symbol.")

    def __repr__(self) -> str:
        return f"Snapshot({self.configuration_hash[:12]}, {len(self):,} symbols)"

    # --- the whole ----------------------------------------------------------------------------------------------------
    @property
    def content_hash(self) -> str:
        """SHA-256 over everything in it; computed when first asked for after a change."""
        if not self._contents.content_hash:
            object.__setattr__(self, "_contents", hashed(self._contents))
        return self._contents.content_hash

    @property
    def facts(self) -> dict[str, Fact]:
        """What it was compiled with, as a copy: FACTS, and what else was given."""
        return dict(self._facts)

    @property
    def configuration_hash(self) -> str:
        """The content hash of the settings it was compiled from."""
        return str(self._facts["configuration_hash"])

    @property
    def environment(self) -> str:
        """development, paper or production."""
        return str(self._facts["environment"])

    @property
    def capital_base(self) -> float:
        """Capital, base currency."""
        return cast(float, self._facts["capital_base"])

    @property
    def max_gross_exposure_base(self) -> float:
        """Largest sum of |notional| of the book, base currency."""
        return cast(float, self._facts["max_gross_exposure_base"])

    @property
    def max_daily_loss_base(self) -> float:
        """Loss of a session that stops new orders, positive, base currency."""
        return cast(float, self._facts["max_daily_loss_base"])

    @property
    def edits(self) -> int:
        """How often it was changed by symbol since it was compiled from the settings that `configuration_hash` names;
        0: it is what they say."""
        return int(self._contents.about["edits"])

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the sections it holds."""
        return tuple(name[8:] for name in self._contents.parts if name.startswith("section."))

    def section(self, name: str) -> bytes:
        """The bytes of a section, checked. Raises ConfigError on one there is not, SnapshotRefused on damaged ones."""
        part = self._contents.parts.get(f"section.{name}")
        if part is None:
            known = ", ".join(self.sections) or "none"
            raise ConfigError(f"the configuration has no section {name}.{near(name, self.sections)} It has: {known}.")
        check(f"section.{name}", part)
        return bytes(part.view)

    def content(self) -> bytes:
        """The bytes of its file."""
        return packed(self._contents)

    # --- symbols ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and self._index.find(symbol) >= 0

    def __iter__(self) -> Iterator[str]:
        """Symbols, sorted."""
        return iter(self._index if self.shards == 1 else sorted(self._index))

    @property
    def shards(self) -> int:
        """How many parts symbols are divided into."""
        return len(self._index.shards)

    def row(self, symbol: str) -> int:
        """Where a symbol stands in every column. Raises UnknownSymbol."""
        return self._rows[symbol]

    def column(self, field: str) -> memoryview[Any]:
        """Values of a field by row, read-only: int32, float64, or uint8 as place in the field's choices. Raises
        ConfigError on an unknown field."""
        if field not in self._columns:
            raise _unknown(field)
        return self._columns[field]

    def asset_class(self, symbol: str) -> str:
        """The class a symbol inherits from; empty: none."""
        number: int = self._contents.parts["asset_class"].view[self._rows[symbol]]
        return self._sparse_parts().asset_classes[number]

    def exchange_group(self, symbol: str) -> str:
        """The exchange group a symbol inherits from; empty: none."""
        number: int = self._contents.parts["exchange_group"].view[self._rows[symbol]]
        return self._sparse_parts().exchange_groups[number]

    def shard(self, number: int) -> Snapshot:
        """The snapshot of one part of the symbols, for a worker that has these only: what it knows it answers as the
        whole does. Raises ConfigError on a part there is not."""
        if not 0 <= number < self.shards:
            raise ConfigError(f"the snapshot has no shard {number}: they are 0 to {self.shards - 1}.")
        return Snapshot._of(one_shard(self._contents, self._index.shards[number]))

    def remember(self, before: Snapshot) -> None:
        """Takes over the rows that were found in the version before, where both have the same symbols: who reads many
        of them does not look each up again after every change. No answer is another one by it."""
        if before._rows is not self._rows and same_rows(before._contents, self._contents):
            before._rows.index = self._index  # of the same symbols; the file before can go
            object.__setattr__(self, "_rows", before._rows)

    # --- settings of a symbol -----------------------------------------------------------------------------------------
    def value(self, symbol: str, field: str, strategy: str | None = None) -> Value:
        """What is in force for a symbol, for a strategy where one is named. Raises UnknownSymbol, and ConfigError on
        an unknown field."""
        if field not in self._columns:
            raise _unknown(field)
        row = self._rows[symbol]
        if strategy is not None and not self._owners[row] & BITS[field]:
            changed = self._changed_by(strategy)
            if field in changed:
                return changed[field]
        stored = self._columns[field][row]
        try:
            return CHOICES[field][stored] if field in CHOICES else cast(Value, stored)
        except IndexError as cause:
            raise SnapshotRefused(_DAMAGED.format(symbol)) from cause

    def symbol(self, symbol: str, strategy: str | None = None) -> SymbolSettings:
        """All that is in force for a symbol, for a strategy where one is named. Raises UnknownSymbol."""
        return SymbolSettings._make(self.value(symbol, field.name, strategy) for field in FIELDS)

    def position_limit(self, symbol: str, strategy: str | None = None) -> int:
        """Contracts of a symbol, either way. Raises UnknownSymbol."""
        if strategy is None:
            return self._positions[self._rows[symbol]]
        return cast(int, self.value(symbol, "max_position_contracts", strategy))

    def exposure_limit(self, symbol: str, strategy: str | None = None) -> float:
        """Largest |notional| of a symbol, base currency. Raises UnknownSymbol."""
        if strategy is None:
            return self._exposures[self._rows[symbol]]
        return cast(float, self.value(symbol, "max_exposure_fraction", strategy)) * self.capital_base

    def order_limits(self, symbol: str, strategy: str | None = None) -> OrderLimits:
        """All that an order of a symbol meets, of one version: `order_limits(symbol).passed_by(...)` is the decision.
        Raises UnknownSymbol."""
        row = self._rows[symbol]
        try:
            found = (
                self._positions[row],
                self._orders[row],
                self._exposures[row],
                _MODES[self._modes[row]],
                _ORDER_TYPES[self._order_types[row]],
                self._offsets[row],
            )
        except IndexError as cause:
            raise SnapshotRefused(_DAMAGED.format(symbol)) from cause
        if strategy is not None:
            changed = (self._sparse or self._sparse_parts()).orders.get(strategy)
            if changed is not None:
                own, values = self._owners[row], list(found)
                for place, bit, value in changed:
                    if not own & bit:
                        values[place] = value
                return _new(OrderLimits, values)
        return _new(OrderLimits, found)

    # --- another one --------------------------------------------------------------------------------------------------
    def with_symbol(
        self, symbol: str, changes: Mapping[str, object], facts: Mapping[str, Fact] | None = None
    ) -> Snapshot:
        """As `with_symbols`, of one symbol."""
        return self.with_symbols({symbol: changes}, facts)

    def with_symbols(
        self, changes: Mapping[str, Mapping[str, object]], facts: Mapping[str, Fact] | None = None
    ) -> Snapshot:
        """Another snapshot in which symbols have other values of their own, by symbol and field; `facts` go over its
        facts. Only columns that change are copied. Raises UnknownSymbol, and ConfigError naming every wrong value."""
        new, owners = changed_rows(changes, self._rows, self._owners)
        return self._replaced(new, owners, facts or {})

    def _replaced(
        self, new: Mapping[str, Mapping[int, Any]], owners: Mapping[int, int], facts: Mapping[str, Fact]
    ) -> Snapshot:
        before, about = self._contents.parts, self._contents.about
        told = dict(checked_facts({**self._facts, **facts})) if facts else about["facts"]
        parts = {**before, "own": over(before["own"], owners)}
        parts |= {f"column.{field}": over(before[f"column.{field}"], rows) for field, rows in new.items()}
        same = told["capital_base"] == self.capital_base
        if not same:
            parts["exposure_base"] = exposures(parts["column.max_exposure_fraction"], float(told["capital_base"]))
        elif "max_exposure_fraction" in new:
            rows = {row: value * self.capital_base for row, value in new["max_exposure_fraction"].items()}
            parts["exposure_base"] = over(before["exposure_base"], rows)
        told_about = {**about, "facts": told, "edits": about["edits"] + 1}
        return Snapshot(Contents(told_about, parts), self._rows, self._sparse if same else None)

    # --- what is sparse -----------------------------------------------------------------------------------------------
    def _changed_by(self, strategy: str) -> Mapping[str, Value]:
        return self._sparse_parts().strategies.get(strategy, _NOTHING)

    def _sparse_parts(self) -> Sparse:
        """Read when first asked for; two threads may both read it, and find the same."""
        known = self._sparse
        if known is None:
            part = self._contents.parts["sparse"]
            check("sparse", part)
            known = _read_sparse(part, self.capital_base)
            object.__setattr__(self, "_sparse", known)
        return known


def _index(parts: Mapping[str, Any], about: Mapping[str, Any]) -> SymbolIndex:
    shards = [Shard(*shard) for shard in about["shards"]]
    return SymbolIndex(parts["names"].view, parts["starts"].view, parts["table"].view, shards)


def _read_sparse(part: Part, capital_base: float) -> Sparse:
    try:
        return sparse(json.loads(bytes(part.view)), capital_base)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise SnapshotRefused(f"its part sparse cannot be read ({str(cause)[:200]}). {_AGAIN}") from cause


def _unknown(field: str) -> ConfigError:
    known = [each.name for each in FIELDS]
    return ConfigError(f"{field} is not a setting of a symbol.{near(field, known)} Settings are: {', '.join(known)}.")
