"""What is asked of the risk engine and what it answers, as values.

Belongs here: an order as it is asked about, the answer, and each rule's part of it. Does not belong here: deciding
(`engine.py`), or keeping answers (`resources/decision_log.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Outcome = Literal["pass", "warn", "refuse"]
Mode = Literal["all", "prefix", "scale"]
WORST: Mapping[str, int] = {"pass": 0, "warn": 1, "refuse": 2}


class Asked(NamedTuple):
    """One order that somebody would send. `quantity_contracts` is whole and signed, bought positive; `limit_points` is
    its limit price, None at market. `order_id` names it where it is to be reserved."""

    strategy: str
    instrument: str
    contract: int
    quantity_contracts: float
    limit_points: float | None = None
    order_id: str = ""


class Judged(NamedTuple):
    """One rule's part of a decision. `element` is what it was measured of: `book`, an instrument, a sector, ... `value`
    and `limit` are in the rule's `unit`; `limit` is the level that refuses and `warn` the one that warns, infinite
    where none is set. A value that is NaN could not be measured."""

    rule: str
    axis: str
    element: str
    value: float
    warn: float
    limit: float
    outcome: Outcome
    unit: str

    @property
    def headroom(self) -> float:
        """What is left of the limit; negative where it is passed."""
        return self.limit - self.value


class Reason(NamedTuple):
    """Why an order was refused, or what it was warned of: a code for programs and a sentence for people."""

    code: str
    message: str


BESIDE = Reason("list", "another order of the list is refused. Mend that, or ask for a part of the list.")


class Versions(NamedTuple):
    """What a decision was made from: the book's count of changes, and the hashes of market facts and configuration."""

    book: int
    market: str
    configuration: str


Explained = tuple[tuple[Reason, ...], tuple[Judged, ...]]


class Measured(NamedTuple):
    """The numbers a decision was made of: rows `row` of `values` and `outcomes`, one each for every rule and axis of
    `wording` (trading.risk.wording.Wording), and the leg they are of, as the kernel takes it. It is their words."""

    wording: Any
    leg: tuple[float, ...]
    values: npt.NDArray[np.float64]
    outcomes: npt.NDArray[np.uint8]
    row: int

    def __call__(self) -> Explained:
        """Reasons and rules."""
        found: Explained = self.wording.explained(self.leg, self.values, self.outcomes, self.row)
        return found

    def reasons(self) -> tuple[tuple[Reason, ...], bool]:
        """Reasons alone, which is less to put into words, and whether one of them refuses."""
        found: tuple[tuple[Reason, ...], bool] = self.wording.reasons(self.leg, self.values, self.outcomes, self.row)
        return found


class Decision:
    """The answer about one order. `granted_contracts` is what may be sent: all, a part (of a list that was cut) or
    nothing. Its reasons and rules are put into words when they are asked for, from the numbers it was made of."""

    __slots__ = (
        "_explain", "_explained", "_reasons", "asked", "granted_contracts", "microseconds", "outcome", "versions"
    )  # fmt: skip

    def __init__(
        self, asked: Asked, outcome: Outcome, granted_contracts: int, versions: Versions, microseconds: float,
        explain: Callable[[], Explained] | Measured,
    ) -> None:  # fmt: skip
        self.asked, self.outcome, self.granted_contracts = asked, outcome, granted_contracts
        self.versions, self.microseconds = versions, microseconds
        self._explain, self._explained, self._reasons = explain, None, None

    _explained: Explained | None
    _reasons: tuple[Reason, ...] | None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why it was refused, or what it was warned of; none where it passed."""
        if self._reasons is None:
            measured = self.measured if self._explained is None else None
            self._reasons = self._words()[0] if measured is None else self._of_rows(*measured.reasons())
        return self._reasons

    @property
    def rules(self) -> tuple[Judged, ...]:
        """Every rule that was measured, by name."""
        return self._words()[1]

    @property
    def measured(self) -> Measured | None:
        """What it was made of, for who keeps decisions; None of an order that was refused unseen."""
        return self._explain if isinstance(self._explain, Measured) else None

    @property
    def passed(self) -> bool:
        """Whether something may be sent."""
        return self.outcome != "refuse"

    def with_outcome(self, outcome: Outcome, granted_contracts: int, asked: Asked | None = None) -> Decision:
        """The same numbers, for who judges by a part of them: another outcome, of the order as it is called then."""
        whole = asked or self.asked
        return Decision(whole, outcome, granted_contracts, self.versions, self.microseconds, self._explain)

    def document(self) -> dict[str, Any]:
        """The answer as plain values, for JSON: numbers that are not finite are None."""
        return {
            "decision": self.outcome,
            **{name: value if _is_told(value) else None for name, value in self.asked._asdict().items()},
            "granted_contracts": self.granted_contracts,
            "reasons": [reason._asdict() for reason in self.reasons],
            "rules": [_row(judged) for judged in self.rules],
            "versions": self.versions._asdict(),
            "microseconds": self.microseconds,
        }

    def _words(self) -> Explained:
        if self._explained is None:
            reasons, rules = self._explain()
            refused = not rules or any(judged.outcome == "refuse" for judged in rules)
            self._explained = self._of_rows(reasons, refused), rules
        return self._explained

    def _of_rows(self, reasons: tuple[Reason, ...], refused: bool) -> tuple[Reason, ...]:
        """Reasons, with that of an order that is refused for another one's."""
        return reasons if refused or self.outcome != "refuse" else (BESIDE, *reasons)


def _row(judged: Judged) -> dict[str, Any]:
    row = judged._asdict() | {"headroom": judged.headroom}
    return {name: value if _is_told(value) else None for name, value in row.items()}


def _is_told(value: object) -> bool:
    return not isinstance(value, float) or value - value == 0.0
