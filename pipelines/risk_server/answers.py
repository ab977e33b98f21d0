"""Decisions put into JSON.

Belongs here: which rules are told, and bytes. Does not belong here: their schema (`bodies.py`), or sentences
(`trading/risk/wording.py`).

What rules are called for an order, and their levels, are the same for every order of that line: they are JSON once,
for some thousand lines, so that an answer that passes is made of its numbers alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic_core import to_json
from starlette.responses import Response

from trading.risk.decision import Decision, Judged, Measured
from trading.risk.wording import OUTCOME, OUTCOMES

JSON = "application/json"
MOST_LINES = 4_096  # whose rules are remembered
_OUTCOMES = {code: word.encode() for code, word in OUTCOMES.items()}


class _Rows(NamedTuple):
    """Rules of a line: their places among the numbers of a decision, the JSON of each before its value, and limits."""

    columns: npt.NDArray[np.int64]
    told: Sequence[bytes]
    limits: npt.NDArray[np.float64]


class _Line(NamedTuple):
    """Rules of a line that may be told, of one wording."""

    wording: Any
    whole: _Rows
    limited: _Rows


class Answers:
    """Makes responses."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[int, int, int, int], _Line] = OrderedDict()

    def one(self, decision: Decision, rules: str) -> Response:
        """About one order."""
        return _response(self._document(decision, rules))

    def several(self, decisions: Sequence[Decision], rules: str) -> Response:
        """About a list, in its order."""
        told = b",".join(self._document(decision, rules) for decision in decisions)
        return _response(b'{"decisions":[%b]}' % told)

    def plain(self, document: Any) -> Response:
        """Anything that is plain values; numbers that are not finite become null."""
        return _response(_json(document))

    def _document(self, decision: Decision, rules: str) -> bytes:
        measured = decision.measured
        silent = decision.outcome == "pass" and measured is not None
        before = _json({
            "decision": decision.outcome, **decision.asked._asdict(), "granted_contracts": decision.granted_contracts,
            "reasons": [] if silent else [reason._asdict() for reason in decision.reasons],
        })  # fmt: skip
        told = b"" if measured is None or rules == "none" else self._rules(decision, measured, rules == "all")
        after = _json({"versions": decision.versions._asdict(), "microseconds": decision.microseconds})
        return b'%b,"rules":[%b],%b' % (before[:-1], told, after[1:])

    def _rules(self, decision: Decision, measured: Measured, whole: bool) -> bytes:
        line = self._of_line(decision, measured)
        rows = line.whole if whole else line.limited
        values = measured.values[measured.row][rows.columns]
        numbers = _json([*values.tolist(), *(rows.limits - values).tolist()])[1:-1].split(b",")
        outcomes = measured.outcomes[measured.row][rows.columns].tolist()
        count = len(rows.told)
        return b",".join(
            b'%b,"value":%b,"outcome":"%b","headroom":%b}' % (told, value, _OUTCOMES[outcome & OUTCOME], headroom)
            for told, value, outcome, headroom in zip(
                rows.told, numbers[:count], outcomes, numbers[count : 2 * count], strict=True
            )
        )

    def _of_line(self, decision: Decision, measured: Measured) -> _Line:
        strategy, instrument, line = (int(place) for place in measured.leg[:3])
        key = (id(measured.wording), strategy, instrument, line)
        found = self._lines.get(key)
        if found is None or found.wording is not measured.wording:
            found = _line(decision.rules, measured.wording)
            self._lines[key] = found
            if len(self._lines) > MOST_LINES:
                self._lines.popitem(last=False)
        return found


def _line(judged: Sequence[Judged], wording: Any) -> _Line:
    """Rules of a line, in the order they are told."""
    columns = [number for number, _ in sorted(enumerate(wording.slots), key=lambda pair: pair[1].first)]
    whole = list(zip(columns, judged, strict=True))
    limited = [pair for pair in whole if math.isfinite(pair[1].limit) or math.isfinite(pair[1].warn)]
    return _Line(wording, _rows(whole), _rows(limited))


def _rows(found: Sequence[tuple[int, Judged]]) -> _Rows:
    columns = np.array([column for column, _ in found], np.int64)
    return _Rows(
        columns, [_told(judged) for _, judged in found], np.array([judged.limit for _, judged in found], float)
    )


def _told(judged: Judged) -> bytes:
    """A rule as JSON, but for its value and what comes of that."""
    return _json({name: getattr(judged, name) for name in ("rule", "axis", "element", "warn", "limit", "unit")})[:-1]


def _json(document: Any) -> bytes:
    return to_json(document, inf_nan_mode="null")


def _response(content: bytes) -> Response:
    return Response(content, media_type=JSON)
