"""Numbers of a check put into words: which rules, of what, by how much, and what to do.

Belongs here: sentences and codes. Does not belong here: numbers (`trading/kernels/risk_checks.py`), or the names of
orders that are refused unseen (`engine.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.kernels import risk_checks as k
from trading.risk.decision import Explained, Judged, Outcome, Reason
from trading.risk.forms import RiskRule
from trading.risk.limit_table import Axes, LimitTable, Slot

OUTCOMES: Mapping[int, Outcome] = {
    k.PASS: "pass", k.WARN: "warn", k.REFUSE: "refuse", k.UNKNOWN_WARN: "warn", k.UNKNOWN_REFUSE: "refuse",
    k.UNLIMITED: "pass",
}  # fmt: skip
OUTCOME = k.REDUCING - 1  # the bits that say an outcome

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Place = tuple[str, str, str]  # rule, axis, element


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """What rows, elements and levels are called. `groups` are places of names by dimension and instrument."""

    slots: tuple[Slot, ...]
    rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    axes: Axes
    table: LimitTable
    locks: Mapping[str, str]
    capital_base: float

    def explained(self, leg: Sequence[float], values: Floats, outcomes: Bytes, row: int) -> Explained:
        """Reasons and rules of one order out of its row of values and outcomes. `leg`: as the kernel takes it."""
        judged, reasons, of_leg = [], [], np.array(leg)
        for number, slot in sorted(enumerate(self.slots), key=lambda pair: pair[1].first):
            found = self._judged(number, slot, of_leg, float(values[row, number]), int(outcomes[row, number]))
            judged.append(found)
            if found.outcome != "pass":
                reasons.append(self._reason(slot, found))
        reasons.sort(key=lambda reason: reason[0])
        return tuple(reason for _, reason in reasons), tuple(judged)

    def reasons(
        self, leg: Sequence[float], values: Floats, outcomes: Bytes, row: int
    ) -> tuple[tuple[Reason, ...], bool]:  # fmt: skip
        """Reasons alone, as `explained` gives them, and whether one of them refuses: only rows that did not pass are
        put into words."""
        found, of_leg = [], np.array(leg)
        told = [number for number, code in enumerate(outcomes[row].tolist()) if OUTCOMES[code & OUTCOME] != "pass"]
        for number in sorted(told, key=lambda number: self.slots[number].first):
            slot = self.slots[number]
            judged = self._judged(number, slot, of_leg, float(values[row, number]), int(outcomes[row, number]))
            found.append(self._reason(slot, judged))
        found.sort(key=lambda reason: reason[0])
        return tuple(reason for _, reason in found), any(place == 0 for place, _ in found)

    def renewed(
        self, leg: Sequence[float], values: Floats, outcomes: Bytes, row: int, known: Mapping[Place, tuple[float, int]]
    ) -> tuple[Floats, Bytes]:  # fmt: skip
        """The row of values and outcomes of one order, as rows of their own, with a value and an outcome's code taken
        from what is `known` otherwise."""
        of_leg, found, codes = np.array(leg), values[row : row + 1].copy(), outcomes[row : row + 1].copy()
        for number, slot in enumerate(self.slots):
            judged = self._judged(number, slot, of_leg, math.nan, k.PASS)
            if judged[:3] in known:
                found[0, number], codes[0, number] = known[judged[:3]]
        return found, codes

    def _judged(self, number: int, slot: Slot, leg: Floats, value: float, outcome: int) -> Judged:
        row = self.rows[number]
        within = int(row[k.R_LIMIT]) - slot.first
        if row[k.R_ELEMENT] < 0:
            within += int(k.element(int(row[k.R_AXIS]), leg, self.groups))
        place = slot.first + within
        name = self.axes.names[slot.axis][within]
        warn, refuse = float(self.table.warn[place]), float(self.table.refuse[place])
        return Judged(slot.rule.name, slot.axis, name, value, warn, refuse, OUTCOMES[outcome & OUTCOME], slot.rule.unit)

    def _reason(self, slot: Slot, found: Judged) -> tuple[int, Reason]:
        """A reason and its place among others: refusals first."""
        rule, place = slot.rule, 0 if found.outcome == "refuse" else 1
        if math.isnan(found.value):
            return place, Reason(f"missing:{rule.name}", sentence(rule, found, self.capital_base))
        if rule.name == "instrument_lock" and found.element in self.locks:
            return place, Reason(rule.name, self.locks[found.element])
        return place, Reason(rule.name, sentence(rule, found, self.capital_base))


def sentence(rule: RiskRule, found: Judged, capital_base: float) -> str:
    """What a value that is not let through, or warned of, comes to, and what to do. Fractions of capital are told in
    money too."""
    what = "the book" if found.axis == "portfolio" else found.element
    if math.isnan(found.value):
        why = f"facts for it ({rule.description}) are missing, or too old. Load them"
        if rule.form == "STANDING":
            why = "it is known of closed sessions only. Close the session"
        or_else = "" if found.outcome == "warn" else ", or set missing = 'warn' for the limit"
        return f"{rule.name} of {what} cannot be measured: {why}{or_else}."
    if found.limit == 0.0 and rule.limit == 0.0 and rule.form == "ORDER":  # a gate, not a number
        return f"{rule.name} of {what}: it does not let this order through. {rule.cure}"
    level = found.limit if found.value > found.limit else found.warn
    limit = "the limit" if found.value > found.limit else "the warning level"
    unit = f" {rule.unit}" if rule.unit else ""
    money = f" ({found.value * capital_base:,.0f} of {level * capital_base:,.0f})" if rule.per == "capital" else ""
    return f"{rule.name} of {what}: {found.value:,.6g}{unit} passes {limit} of {level:,.6g}{money}. {rule.cure}"
