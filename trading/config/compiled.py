"""Compiling: a snapshot from the columns of symbols and the sections of the settings.

Belongs here: what goes into a snapshot, and in which order. Does not belong here: validation of what people write (the
models and `symbol_table.py`), where values come from (`inheritance.py`), or reading (`snapshot.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trading.config.snapshot import Snapshot as Snapshot
from trading.config.snapshot_facts import Fact, checked_facts
from trading.config.snapshot_layout import Contents, Part, packed, view
from trading.config.snapshot_parts import ROWS, SHAPE
from trading.config.symbol_fields import FIELDS
from trading.config.symbol_index import built
from trading.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from trading.config.symbol_columns import SymbolColumns


def compiled(
    columns: SymbolColumns, sections: Mapping[str, bytes], facts: Mapping[str, Fact], shards: int = 1
) -> bytes:
    """The bytes of a snapshot: equal arguments give equal bytes.

    `sections`: bytes of each section of the settings. `facts`: FACTS of `snapshot_facts.py`, and others; `capital_base`
    in base currency, fractions are of it. `shards`: how many parts symbols are divided into by their hash; every answer
    is the same for any number. Raises ConfigError on a fact that is missing or wrong, a column that is not what
    SymbolColumns says, and as `built`.
    """
    told = checked_facts(facts)
    index = built(columns.symbols, shards)
    about = {"edits": 0, "facts": told, "fields": SHAPE, "shards": [list(shard) for shard in index.shards]}
    parts = {
        "names": view(index.names),
        "starts": view(index.starts.tobytes(), "I"),
        "table": view(index.table.tobytes(), "I"),
        "sparse": view(_sparse(columns)),
    }
    for name, values in _by_row(columns, float(told["capital_base"])).items():
        parts[name] = _ordered(name, values, ROWS[name], index.order)
    parts |= {f"section.{name}": view(content) for name, content in sorted(sections.items())}
    return packed(Contents(about, {name: Part(values) for name, values in parts.items()}))


def _by_row(columns: SymbolColumns, capital_base: float) -> dict[str, npt.NDArray[Any]]:
    """Values a row, in the order of the symbols."""
    missing = [field.name for field in FIELDS if field.name not in columns.fields]
    if missing:
        raise ConfigError(f"a snapshot cannot be compiled: no values for {', '.join(missing)}.")
    found = {f"column.{field.name}": columns.fields[field.name] for field in FIELDS}
    found |= {"own": columns.own, "asset_class": columns.asset_class, "exchange_group": columns.exchange_group}
    return found | {"exposure_base": columns.fields["max_exposure_fraction"] * capital_base}


def _ordered(name: str, values: npt.NDArray[Any], form: str, order: npt.NDArray[np.int64]) -> memoryview:
    if values.dtype.char != form or len(values) != len(order):
        found = f"{len(values):,} values of {values.dtype}, not {len(order):,} of format {form}"
        raise ConfigError(f"a snapshot cannot be compiled: {name} has {found}.")
    return view(values[order].tobytes(), form)


def _sparse(columns: SymbolColumns) -> bytes:
    found = {
        "asset_class": columns.asset_classes,
        "exchange_group": columns.exchange_groups,
        "strategies": {name: dict(changes) for name, changes in columns.strategies.items()},
    }
    return json.dumps(found, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
