"""What differs between two compiled snapshots, as an event lists it.

Belongs here: settings of sections, and the resolved values of symbols, column by column. Does not belong here: trees of
plain values (`diffs.py`), or who is told (`change_events.py`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.config.change_events import Differences, FieldChanges, SymbolChanges
from trading.config.diffs import Change, diff
from trading.config.snapshot import Snapshot
from trading.config.symbol_fields import FIELDS

MOST_SETTINGS = 1_000  # an event lists no more
MOST_VALUES = 10_000  # of symbols; whoever receives an event must not be held up by its size


def differences(old: Snapshot, new: Snapshot) -> Differences:
    """What differs between two snapshots. Where there is more than an event lists it lists the first settings, no
    symbol's values, and says that it is not complete. Raises SnapshotRefused on damaged ones."""
    settings, symbols = _settings(old, new), _symbols(old, new)
    if sum(len(each.places) for each in symbols.fields.values()) > MOST_VALUES:
        return Differences(tuple(settings[:MOST_SETTINGS]), SymbolChanges(), complete=False)
    return Differences(tuple(settings[:MOST_SETTINGS]), symbols, complete=len(settings) <= MOST_SETTINGS)


def _settings(old: Snapshot, new: Snapshot) -> list[Change]:
    before, after = ({name: each.section(name) for name in each.sections} for each in (old, new))
    other = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return diff(_read(before, other), _read(after, other))


def _read(sections: dict[str, bytes], names: list[str]) -> dict[str, Any]:
    return {name: json.loads(sections[name]) for name in names if name in sections}


def _symbols(old: Snapshot, new: Snapshot) -> SymbolChanges:
    before, after = list(old), list(new)
    both = before if before == after else sorted(set(before).intersection(after))
    rows = _rows(old, both), _rows(new, both)
    found = {field.name: _field(old, new, field.name, *rows) for field in FIELDS}
    changed = np.unique(np.concatenate([each.places for each in found.values()]))
    return SymbolChanges(
        tuple(both[place] for place in changed.tolist()),
        {name: _among(each, changed) for name, each in found.items() if len(each.places)},
        tuple(sorted(set(after).difference(both))),
        tuple(sorted(set(before).difference(both))),
    )


def _rows(snapshot: Snapshot, symbols: list[str]) -> npt.NDArray[np.int64]:
    if snapshot.shards == 1 and len(symbols) == len(snapshot):
        return np.arange(len(symbols))  # rows are in order of symbols
    return np.fromiter((snapshot.row(symbol) for symbol in symbols), dtype=np.int64, count=len(symbols))


def _field(
    old: Snapshot, new: Snapshot, name: str, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]
) -> FieldChanges:
    before, after = np.asarray(old.column(name))[rows], np.asarray(new.column(name))[others]
    places = np.flatnonzero(before != after).astype(np.int32)
    return FieldChanges(places, before[places], after[places])


def _among(found: FieldChanges, places: npt.NDArray[np.int32]) -> FieldChanges:
    """The same with places counted among the changed symbols only."""
    return FieldChanges(np.searchsorted(places, found.places).astype(np.int32), found.before, found.after)
