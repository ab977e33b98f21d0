"""Decisions put into JSON.

Belongs here: which rules are told, and bytes. Does not belong here: their schema (`bodies.py`), or sentences
(`trading/risk/wording.py`).

What rules are called for an order, and their levels, are the same for every order of that line: they are looked up
once, for some thousand lines, so that an answer that passes is made of its numbers alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from starlette.responses import Response

from trading.risk.decision import Decision, Judged, Measured
from trading.risk.wording import OUTCOME, OUTCOMES

JSON = "application/json"
MOST_LINES = 4_096  # whose rules are remembered


class _Row(NamedTuple):
    """A rule of a line: its place among the numbers of a decision, what is told of it, and its level."""

    column: int
    told: Mapping[str, Any]
    limit: float
    limited: bool


class Answers:
    """Makes responses."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[int, int, int, int], tuple[Any, tuple[_Row, ...]]] = OrderedDict()

    def one(self, decision: Decision, rules: str) -> Response:
        """About one order."""
        return _response(self._document(decision, rules))

    def several(self, decisions: Sequence[Decision], rules: str) -> Response:
        """About a list, in its order."""
        return _response({"decisions": [self._document(decision, rules) for decision in decisions]})

    def plain(self, document: Any) -> Response:
        """Anything that is plain values; numbers that are not finite become null."""
        return _response(document)

    def _document(self, decision: Decision, rules: str) -> dict[str, Any]:
        measured = decision.measured
        silent = decision.outcome == "pass" and measured is not None
        told = [] if measured is None or rules == "none" else list(self._rules(decision, measured, rules == "all"))
        return {
            "decision": decision.outcome, **decision.asked._asdict(), "granted_contracts": decision.granted_contracts,
            "reasons": [] if silent else [reason._asdict() for reason in decision.reasons], "rules": told,
            "versions": decision.versions._asdict(), "microseconds": decision.microseconds,
        }  # fmt: skip

    def _rules(self, decision: Decision, measured: Measured, whole: bool) -> Iterator[dict[str, Any]]:
        values, outcomes = measured.values[measured.row].tolist(), measured.outcomes[measured.row].tolist()
        for row in self._of_line(decision, measured):
            if whole or row.limited:
                value = values[row.column]
                outcome = OUTCOMES[outcomes[row.column] & OUTCOME]
                yield {**row.told, "value": value, "outcome": outcome, "headroom": row.limit - value}

    def _of_line(self, decision: Decision, measured: Measured) -> tuple[_Row, ...]:
        strategy, instrument, line = (int(place) for place in measured.leg[:3])
        key = (id(measured.wording), strategy, instrument, line)
        found = self._lines.get(key)
        if found is None or found[0] is not measured.wording:
            found = (measured.wording, _rows(decision.rules, measured.wording))
            self._lines[key] = found
            if len(self._lines) > MOST_LINES:
                self._lines.popitem(last=False)
        return found[1]


def _rows(judged: Sequence[Judged], wording: Any) -> tuple[_Row, ...]:
    """Rules of a line, in the order they are told."""
    columns = [number for number, _ in sorted(enumerate(wording.slots), key=lambda pair: pair[1].first)]
    return tuple(_row(column, each) for column, each in zip(columns, judged, strict=True))


def _row(column: int, judged: Judged) -> _Row:
    told = {name: getattr(judged, name) for name in ("rule", "axis", "element", "warn", "limit", "unit")}
    return _Row(column, told, judged.limit, math.isfinite(judged.limit) or math.isfinite(judged.warn))


def _response(document: Any) -> Response:
    return Response(to_json(document, inf_nan_mode="null"), media_type=JSON)
