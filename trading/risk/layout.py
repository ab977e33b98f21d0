"""What the numbers of decisions mean, kept apart from them: names of rows and elements, and levels that were in force.

Belongs here: the value, made of an engine's words, and rules of a decision out of its numbers and this. Does not belong
here: sentences (`wording.py`), or keeping either (`resources/decision_log.py`).

Thousands of decisions share a layout; each of them keeps a number a row. It needs no kernel, so that decisions are read
without loading any.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.risk.decision import Judged, Outcome
from trading.risk.forms import GROUPS

if TYPE_CHECKING:
    from trading.risk.wording import Wording

Floats = npt.NDArray[np.float64]
# What the kernel's outcomes are called, by code; REDUCING is added where the order only reduces its line.
OUTCOME_WORDS: tuple[Outcome, ...] = ("pass", "warn", "refuse", "warn", "refuse", "pass")
REDUCING = 8
_WORDS = (*OUTCOME_WORDS, "pass", "pass", *OUTCOME_WORDS)  # by outcome with that; two codes mean nothing
_KNOWN = 4096
_NAMED = ("strategy", "instrument", "contract", *GROUPS, "factor", "component", "scenario")  # holdings are made of two


class Row(NamedTuple):
    """One rule of one axis: `place` of its first element's level, of `fixed` the element where it is always the same
    one, else negative; `column` is its place among a decision's numbers."""

    rule: str
    axis: str
    unit: str
    place: int
    fixed: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """`rows` in the order they are told. `names` of elements by axis; `groups` (5, instruments): places of names by
    dimension. `warn` and `refuse` by place, where they are set. `judging` (sorted places): where it begins and ends, in
    turns, that orders which only reduce are judged; None in what was kept before that was."""

    rows: tuple[Row, ...]
    names: Mapping[str, tuple[str, ...]]
    groups: npt.NDArray[np.int64]
    warn: Mapping[int, float]
    refuse: Mapping[int, float]
    judging: tuple[int, ...] | None = None
    _known: OrderedDict[tuple[int, ...], list[tuple[Any, ...]]] = field(default_factory=OrderedDict)

    def rules(self, leg: Sequence[float], values: Floats, outcomes: bytes) -> tuple[Judged, ...]:
        """Every rule of a decision, by name. `leg`: places of strategy, instrument and contract first."""
        numbers, words = values.tolist(), _WORDS
        return tuple([
            Judged(rule, axis, element, numbers[column], warn, refuse, words[outcomes[column]], unit)
            for rule, axis, element, warn, refuse, unit, column, _ in self._elements(leg)
        ])  # fmt: skip

    def no_worse(self, leg: Sequence[float], values: Floats, outcomes: bytes) -> tuple[bool | None, ...]:
        """Of every rule, in the order of `rules`: whether it is known that the order did not make the value larger, or
        that it did; None where that was not looked at."""
        numbers = values.tolist()
        return tuple([
            _no_worse(numbers[column], min(warn, refuse), outcomes[column], judges)
            for _, _, _, warn, refuse, _, column, judges in self._elements(leg)
        ])  # fmt: skip

    def _elements(self, leg: Sequence[float]) -> list[tuple[Any, ...]]:
        """Names and levels of every row, for a leg; remembered for a few thousand of them."""
        key = tuple(int(place) for place in leg[:3])
        found = self._known.get(key)
        if found is None:
            places = self._places(key)
            found = self._known[key] = [self._element(row, places) for row in self.rows]
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return found

    def _element(self, row: Row, places: Mapping[str, int]) -> tuple[Any, ...]:
        element = row.fixed if row.fixed >= 0 else places.get(row.axis, 0)
        place, infinite = row.place + element, float("inf")
        levels = (self.warn.get(place, infinite), self.refuse.get(place, infinite))
        judges = None if self.judging is None else bool(bisect_right(self.judging, place) % 2)
        return (row.rule, row.axis, self._name(row.axis, element), *levels, row.unit, row.column, judges)

    def _places(self, key: tuple[int, ...]) -> dict[str, int]:
        strategy, code, line = key
        holding = strategy * len(self.names["instrument"]) + code
        own = {"strategy": strategy, "instrument": code, "contract": line, "holding": holding}
        return own | {name: int(self.groups[number, code]) for number, name in enumerate(GROUPS)}

    def _name(self, axis: str, element: int) -> str:
        if axis == "portfolio":
            return "book"
        if axis == "holding":
            strategy, code = divmod(element, len(self.names["instrument"]))
            return f"{self.names['strategy'][strategy]}/{self.names['instrument'][code]}"
        return self.names[axis][element]

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "rows": [list(row) for row in self.rows],
            "names": {axis: list(names) for axis, names in self.names.items()},
            "groups": self.groups.tolist(),
            "warn": [list(self.warn), list(self.warn.values())],
            "refuse": [list(self.refuse), list(self.refuse.values())],
            "judging": None if self.judging is None else list(self.judging),
        }


def _no_worse(value: float, level: float, outcome: int, judges: bool | None) -> bool | None:
    """What an outcome says of a value against the lowest level: one beyond it passes by being no larger than before. So
    may an order that only reduces, but where such are not judged nobody looked."""
    if not value > level:
        return None
    passed = OUTCOME_WORDS[outcome % REDUCING] == "pass"
    return None if passed and outcome >= REDUCING and not judges else passed


def layout_read(document: Mapping[str, Any]) -> Layout:
    """A layout out of its document."""
    levels = {name: dict(zip(*document[name], strict=True)) for name in ("warn", "refuse")}
    names = {axis: tuple(found) for axis, found in document["names"].items()}
    rows = tuple(Row(*row) for row in document["rows"])
    groups = np.array(document["groups"], np.int64).reshape(len(GROUPS), -1)
    judging = document.get("judging")
    return Layout(
        rows, names, groups, levels["warn"], levels["refuse"], None if judging is None else tuple(map(int, judging))
    )


def layout_of(wording: Wording) -> Layout:
    """The layout of an engine's numbers."""
    from trading.kernels import risk_checks as k

    rows = []
    for column, slot in sorted(enumerate(wording.slots), key=lambda pair: pair[1].first):
        made = wording.rows[column]
        fixed = int(made[k.R_LIMIT]) - slot.first if made[k.R_ELEMENT] >= 0 else -1
        rows.append(Row(slot.rule.name, slot.axis, slot.rule.unit, slot.first, fixed, column))
    names: dict[str, tuple[str, ...]] = {axis: tuple(wording.axes.names[axis]) for axis in _NAMED}
    levels = {}
    for name in ("warn", "refuse"):
        found = getattr(wording.table, name)
        places = np.flatnonzero(found < np.inf)
        levels[name] = dict(zip(places.tolist(), found[places].tolist(), strict=True))
    turns = np.flatnonzero(np.diff(np.concatenate([[0], wording.table.judges, [0]]).astype(np.int8)))
    return Layout(
        tuple(rows), names, np.asarray(wording.groups), levels["warn"], levels["refuse"], tuple(turns.tolist())
    )
