"""What changed when another configuration came into force, as values, and who wants to know of which part.

Belongs here: events, and the part of an event that is of interest. Does not belong here: finding differences of two
configurations (`diffs.py` for settings, `snapshot_diffs.py` for snapshots), or telling anybody
(`resources/config_watcher.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.symbol_fields import FIELD, Value

if TYPE_CHECKING:
    from trading.config.diffs import Change
    from trading.config.in_force import Version

STRATEGIES_OF_SYMBOLS = "symbols.strategies."
TRADED = "trading.strategies"


class SymbolChange(NamedTuple):
    """A field of a symbol before and after, as it is in force for the symbol without a strategy."""

    symbol: str
    field: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True, eq=False)
class FieldChanges:
    """Symbols with another value in one field: `places` (n, sorted) in `SymbolChanges.changed`, and the values before
    and after (n each), as they stand in a snapshot's column."""

    places: npt.NDArray[np.int32]
    before: npt.NDArray[Any]
    after: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class SymbolChanges:
    """Symbols whose values changed, as columns: a table may change every symbol at once, and nothing is made of what
    nobody asks for. `changed`, `added` and `removed` are sorted."""

    changed: tuple[str, ...] = ()
    fields: Mapping[str, FieldChanges] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)

    def __iter__(self) -> Iterator[SymbolChange]:
        for name, found in self.fields.items():
            for at, place in enumerate(found.places.tolist()):
                yield self._change(name, at, self.changed[place])

    def of(self, symbol: str) -> list[SymbolChange]:
        """What changed for a symbol that was there before and is there after; empty if nothing did."""
        place = _place(self.changed, symbol)
        if place is None:
            return []
        found = ((name, int(np.searchsorted(each.places, place)), each.places) for name, each in self.fields.items())
        return [
            self._change(name, at, symbol) for name, at, all_of in found if at < len(all_of) and all_of[at] == place
        ]

    def concerns(self, symbol: str) -> bool:
        """Whether anything of a symbol changed, or it came or went."""
        return any(_place(names, symbol) is not None for names in (self.changed, self.added, self.removed))

    def only(self, symbols: Iterable[str]) -> SymbolChanges:
        """The part about some symbols."""
        wanted = sorted(set(symbols))
        kept = tuple(name for name in wanted if _place(self.changed, name) is not None)
        places = np.array([_place(self.changed, name) for name in kept], dtype=np.int32)
        added, removed = (tuple(n for n in wanted if _place(of, n) is not None) for of in (self.added, self.removed))
        fields = {name: part for name, each in self.fields.items() if len((part := _only(each, places)).places)}
        return SymbolChanges(kept, fields, added, removed)

    def _change(self, name: str, at: int, symbol: str) -> SymbolChange:
        found = self.fields[name]
        return SymbolChange(symbol, name, _value(name, found.before[at]), _value(name, found.after[at]))


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """What differs between two configurations. `complete` is False where there is more than is listed: then anything
    may have changed."""

    settings: tuple[Change, ...] = ()
    symbols: SymbolChanges = field(default_factory=SymbolChanges)
    complete: bool = True


UNKNOWN = Differences(complete=False)


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Another configuration came into force: the version, the one before it, and what differs: `changes` are settings
    by path, `symbols` what is resolved for symbols. With `complete` False more changed than is listed."""

    version: Version
    old: Version
    changes: tuple[Change, ...] = ()
    symbols: SymbolChanges = field(default_factory=SymbolChanges)
    complete: bool = True

    @property
    def sections(self) -> frozenset[str]:
        """Sections with a changed setting, like `risk`; `symbols` where any symbol's values changed."""
        own = {change.path.partition(".")[0].partition("[")[0] for change in self.changes}
        return frozenset(own | ({"symbols"} if self.symbols else set()))

    @property
    def strategies(self) -> frozenset[str]:
        """Strategies whose file, overrides of symbols, or place among those that trade changed."""
        return frozenset(name for change in self.changes for name in _strategies_of(change))


@dataclass(frozen=True, slots=True)
class Interest:
    """What somebody wants to hear of: a change of any of these sections, strategies or symbols. With none named,
    everything."""

    sections: frozenset[str] = frozenset()
    strategies: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, *, sections: Iterable[str] = (), strategies: Iterable[str] = (), symbols: Iterable[str] = ()
    ) -> Interest:
        """An interest in what is named."""
        return cls(frozenset(sections), frozenset(strategies), frozenset(symbols))

    def within(self, event: Changed) -> Changed | None:
        """The part of an event that is of interest; None if none is. An event that does not list everything that
        changed is of interest to everybody."""
        if not (self.sections or self.strategies or self.symbols):
            return event
        changes = tuple(change for change in event.changes if self._wants(change))
        symbols = event.symbols if "symbols" in self.sections else event.symbols.only(self.symbols)
        if not (changes or symbols or not event.complete):
            return None
        return replace(event, changes=changes, symbols=symbols)

    def _wants(self, change: Change) -> bool:
        section = change.path.partition(".")[0].partition("[")[0]
        return section in self.sections or bool(self.strategies.intersection(_strategies_of(change)))


EVERYTHING = Interest()


@dataclass(frozen=True, slots=True)
class Examined:
    """What became of the files when they were looked at.

    `applied`: they are in force now, as version `number`. `same`: they say what is in force. `drift`: they say
    something else, and this environment does not take it from files; `said` has a line a difference. `refused`: they
    are wrong; `said` has a sentence a fault. `failed`: they could not be looked at, for a reason that is not theirs.
    `configuration` is the hash of what they say, `folders` are where they lie, and `notes` say what in them is allowed
    and perhaps not meant.
    """

    outcome: Literal["applied", "same", "drift", "refused", "failed"]
    configuration: str = ""
    number: int = 0
    said: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    load_seconds: float = 0.0
    validation_seconds: float = 0.0
    notes: tuple[str, ...] = ()


def _strategies_of(change: Change) -> Iterator[str]:
    """Strategies that a changed setting is about: `strategies.trend.buffer`, `symbols.strategies.trend.x`, or those
    that the list of traded ones gained or lost."""
    path = change.path
    if path.startswith(STRATEGIES_OF_SYMBOLS):
        yield path.removeprefix(STRATEGIES_OF_SYMBOLS).partition(".")[0]
    elif path.startswith(TRADED):
        yield from _names(change.before) ^ _names(change.after)
    elif path.startswith("strategies."):
        yield path.split(".")[1]


def _names(value: object) -> set[str]:
    return (
        {value}
        if isinstance(value, str)
        else {str(each) for each in value}
        if isinstance(value, list | tuple)
        else set()
    )


def _place(names: tuple[str, ...], name: str) -> int | None:
    at = bisect_left(names, name)
    return at if at < len(names) and names[at] == name else None


def _only(found: FieldChanges, places: npt.NDArray[np.int32]) -> FieldChanges:
    """The part of a field's changes at some places of the changed symbols, which are counted anew."""
    kept = np.isin(found.places, places)
    return FieldChanges(
        np.searchsorted(places, found.places[kept]).astype(np.int32), found.before[kept], found.after[kept]
    )


def _value(name: str, stored: Any) -> Value:
    """A value as people write it, from a snapshot's column."""
    value: Value = stored.item()
    return FIELD[name].choices[int(value)] if FIELD[name].kind == "choice" else value
