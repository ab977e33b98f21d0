"""Decisions put into JSON.

Belongs here: which rules are told, and bytes. Does not belong here: their schema (`bodies.py`), or sentences
(`trading/risk/wording.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from trading.risk.decision import Decision

JSON = "application/json"


class Answers:
    """Makes responses."""

    def one(self, decision: Decision, rules: str) -> Response:
        """About one order."""
        return Response(to_json(_document(decision, rules)), media_type=JSON)

    def several(self, decisions: Sequence[Decision], rules: str) -> Response:
        """About a list, in its order."""
        found = [_document(decision, rules) for decision in decisions]
        return Response(to_json({"decisions": found}), media_type=JSON)

    def plain(self, document: Any) -> Response:
        """Anything that is plain values; numbers that are not finite become null."""
        return Response(to_json(document, inf_nan_mode="null"), media_type=JSON)


def _document(decision: Decision, rules: str) -> dict[str, Any]:
    if rules == "none":
        return _bare(decision)
    found = decision.document()
    if rules == "limited":
        found["rules"] = [row for row in found["rules"] if row["limit"] is not None or row["warn"] is not None]
    return found


def _bare(decision: Decision) -> dict[str, Any]:
    """Without rules: nothing is put into words that is not told."""
    reasons = () if decision.outcome == "pass" and decision.measured is not None else decision.reasons
    return {
        "decision": decision.outcome, **decision.asked._asdict(), "granted_contracts": decision.granted_contracts,
        "reasons": [reason._asdict() for reason in reasons], "rules": [], "versions": decision.versions._asdict(),
        "microseconds": decision.microseconds,
    }  # fmt: skip
