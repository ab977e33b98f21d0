"""What the book as it stands comes to under every rule, and what is left of each limit: no order asked about.

Belongs here: reading the engine's sums by rule and element. Does not belong here: keeping sums
(`trading/kernels/risk_checks.py`), or what an order would make of them (`engine.py`).

Working orders count as in a check: each value is the largest it can be whichever of them are filled. Rules on an order
alone (its size, price, ...) have no value; of those that only look at what would be traded (age of the mark, roll
state, spread, participation), the values are of what is held, at work or was traded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.kernels import risk_checks as k
from trading.kernels.risk_state import State
from trading.risk.decision import Judged, Outcome
from trading.risk.limit_table import Axes, LimitTable, Slot

Floats = npt.NDArray[np.float64]
FORMS = ("POSITION", "GROSS", "NET", "LOSS", "RISK", "TAIL", "STANDING")  # of the book, beside those of an order


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The arrays of an engine at one moment, with their names. `second`: of the same clock as its orders'."""

    state: State
    slots: tuple[Slot, ...]
    axes: Axes
    table: LimitTable
    second: int = 0

    def rows(self) -> tuple[Judged, ...]:
        """A row for every rule and element that has a value, by rule. A value that is NaN could not be measured: it is
        refused (or warned of, where the limit says so) like any that is too large."""
        numbered = sorted(enumerate(self.slots), key=lambda pair: pair[1].first)
        return tuple(judged for number, slot in numbered for judged in self._of(number, slot))

    def _of(self, number: int, slot: Slot) -> Iterator[Judged]:
        row = self.state.rows[number]
        measured = _VALUES[slot.rule.form](self, row, slot)
        if measured is None:
            return
        values, shown = measured
        with np.errstate(divide="ignore", invalid="ignore"):
            fractions = np.asarray(values, dtype=np.float64) / self._per()[row[k.R_PER]]
        first = max(0, int(row[k.R_ELEMENT]))
        for place in np.flatnonzero(shown):
            yield self._judged(slot, first + int(place), float(fractions[place]))

    def _per(self) -> Floats:
        """What values are fractions of, by R_PER, as in a check: of an account that is worth nothing, or less, anything
        is infinitely much."""
        totals = self.state.totals
        target = totals[k.CAPITAL_BASE] * totals[k.TARGET_FRACTION]
        found: Floats = np.maximum(0.0, np.array([1.0, totals[k.CAPITAL_BASE], totals[k.EQUITY_BASE], target]))
        return found

    def _judged(self, slot: Slot, element: int, value: float) -> Judged:
        place, table = slot.first + element, self.table
        warn, refuse = float(table.warn[place]), float(table.refuse[place])
        outcome = outcome_of(value, warn, refuse, bool(table.lenient[place]))
        name = self.axes.names[slot.axis][element]
        return Judged(slot.rule.name, slot.axis, name, value, warn, refuse, outcome, slot.rule.unit)


def outcome_of(value: float, warn: float, refuse: float, lenient: bool) -> Outcome:
    """What a value comes to under levels that are infinite where none is set."""
    if math.isinf(warn) and math.isinf(refuse):
        return "pass"
    if math.isnan(value):
        return "warn" if lenient else "refuse"
    return "refuse" if value > refuse else "warn" if value > warn else "pass"


# --- values by form: of each element, and which of them are shown -----------------------------------------------------
Measured = tuple[Floats, npt.NDArray[np.bool_]] | None


def _all(values: Floats) -> Measured:
    return values, np.ones(len(values), dtype=np.bool_)


def sizes(columns: Floats, change: int = 0) -> Floats:
    """The largest size of each position, or of its change since the open, whichever working orders are filled."""
    at = columns[k.HELD] - change * columns[k.OPENING]
    return np.asarray(np.maximum(np.abs(at + columns[k.BUYS]), np.abs(at - columns[k.SELLS])), dtype=np.float64)


def _positions(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    columns = (standing.state.lines, standing.state.own, standing.state.holdings)[row[k.R_LEVEL]]
    found = sizes(columns, int(row[k.R_CHANGE]))
    if row[k.R_WEIGHT] < 0:
        return _all(found)
    exits = standing.state.own[k.EXIT]
    return _all(np.where(found > 0.0, found * np.where(found > 0.0, exits, 0.0), 0.0))


def _sums(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    count = 1 if row[k.R_ELEMENT] >= 0 else slot.count
    first = int(row[k.R_SUMS])
    sums = standing.state.totals[first : first + count * k.SUMS].reshape(count, k.SUMS)
    net, up, down = sums[:, 0], sums[:, k.UP], sums[:, k.DOWN]
    found = {
        k.GROSS: net,
        k.NET: np.maximum(np.abs(net + up), np.abs(net - down)),
        k.LOSS: np.maximum(0.0, down - net),
    }[int(row[k.R_FORM])]
    return _all(np.where(sums[:, k.MISSING] > 0.5, np.nan, found))


def _risk(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    totals, measure = standing.state.totals, int(row[k.R_MEASURE])
    times = {k.STANDARD_DEVIATION: k.YEAR, k.NORMAL_QUANTILE: totals[k.NORMAL_TIMES],
             k.NORMAL_SHORTFALL: totals[k.SHORTFALL_TIMES]}.get(measure)  # fmt: skip
    if times is None:  # of an order
        return None
    along = totals[int(totals[k.AT_DIRECTIONS]) :][: standing.state.directions.shape[1]]
    sigma = math.sqrt(max(0.0, float(totals[k.OWN_VARIANCE] + along @ along))) + totals[k.NORMS]
    return _all(np.array([math.nan if totals[k.HOLES] > 0.5 else sigma * times]))


def _tail(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    totals = standing.state.totals
    found = totals[k.WORST if row[k.R_MEASURE] == k.QUANTILE else k.WORST_MEAN]
    return _all(np.array([math.nan if totals[k.SCENARIO_HOLES] > 0.5 else found]))


def _standing(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    column = standing.state.standing[:, row[k.R_MEASURE]]
    return _all(column[:1] if row[k.R_AXIS] == k.PORTFOLIO else column[1:])


def _of_orders(standing: Standing, row: npt.NDArray[np.int64], slot: Slot) -> Measured:
    state, measure = standing.state, int(row[k.R_MEASURE])
    held, lines = sizes(state.own) > 0.0, sizes(state.lines) > 0.0
    asked = state.own[k.TRADED] + state.own[k.WORKING]
    if measure in (k.PRICE_AGE, k.ROLL_STATE):
        return state.lines[k.AGE if measure == k.PRICE_AGE else k.ROLL], lines
    if measure == k.SPREAD_FRACTION:
        return state.own[k.SPREAD], held
    if measure in (k.PARTICIPATION, k.LOW_PARTICIPATION):
        volume = state.own[k.MEDIAN if measure == k.PARTICIPATION else k.LOW]
        with np.errstate(divide="ignore", invalid="ignore"):  # infinitely much of what is not traded
            return np.where(asked > 0.0, asked / volume, 0.0), held | (asked > 0.0)
    if measure == k.SESSION_ORDERS:
        return _all(state.counts[k.C_SESSION : k.C_SESSION + 1].astype(np.float64))
    if measure in (k.ORDER_RATE, k.TRADE_RATE):
        return _all(_rates(standing, int(measure == k.TRADE_RATE), row[k.R_AXIS] == k.PORTFOLIO))
    return None


def _rates(standing: Standing, kind: int, whole: bool) -> Floats:
    """Orders or fills of the last minute: of all, or of each strategy."""
    seconds, ticks = standing.state.seconds[:, kind], standing.state.ticks[:, kind]
    recent = (seconds > standing.second - k.WINDOW_S) & (seconds <= standing.second)
    found: Floats = np.where(recent, ticks, 0).sum(axis=1).astype(np.float64)
    return found[:1] if whole else found[1:]


_VALUES: Mapping[str, Callable[[Standing, npt.NDArray[np.int64], Slot], Measured]] = {
    "POSITION": _positions, "GROSS": _sums, "NET": _sums, "LOSS": _sums, "RISK": _risk, "TAIL": _tail,
    "STANDING": _standing, "ORDER": _of_orders,
}  # fmt: skip
