"""Requests that are not answered as asked: a status, a code for programs and a sentence for people.

Belongs here: the value, and which error of Daybook is which status. Does not belong here: refusals of orders, which are
answers (`trading/risk/decision.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from trading.errors import ConfigError, DaybookError, StoreBusy, StoreError, StoreUnavailable, UsageError

STATUSES: Mapping[int, str] = {
    400: "The request is no JSON.",
    401: "No token, or one that nobody has.",
    403: "The token may not do this.",
    404: "There is no such thing.",
    405: "This path takes other methods.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    422: "The request does not say what is needed.",
    429: "Too many requests of this token.",
    503: "Something that is needed cannot be reached.",
    504: "The deadline passed first.",
}
UNREACHABLE, BUSY = "reservation_truth_unreachable", "reservation_truth_busy"


class Problem(Exception):
    """Ends a request."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})
        super().__init__(message)

    def response(self) -> Response:
        """What is sent."""
        body = to_json({"code": self.code, "message": self.message})
        return Response(body, self.status, self.headers, "application/json")


def deadline_passed(seconds: float) -> Problem:
    """Nothing was decided."""
    return Problem(
        504, "deadline_passed",
        f"the deadline passed {seconds:.3f} s before the request's turn came, so nothing was decided and nothing is "
        "held. Ask again with more time, or ask less at once.",
    )  # fmt: skip


def of_truth(error: StoreError) -> Problem:
    """What the truth of reservations could not do for who asked."""
    code = BUSY if isinstance(error, StoreBusy) else UNREACHABLE
    return Problem(503, code, str(error), {"Retry-After": "1"})


def of_error(error: DaybookError) -> Problem:
    """What an error of Daybook is to who asked."""
    if isinstance(error, StoreUnavailable | StoreBusy):
        return Problem(503, "store_unavailable", str(error), {"Retry-After": "1"})
    if isinstance(error, UsageError):
        return Problem(422, "not_possible", str(error))
    if isinstance(error, ConfigError):
        return Problem(503, "configuration", str(error))
    return Problem(503, "not_possible_now", str(error), {"Retry-After": "1"})


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """What is wrong with a body or a parameter, the first few of it."""
    said = [f"{_place(error['loc'])} {_wrong(error)}" for error in errors[:5]]
    more = f" and {len(errors) - 5} more" if len(errors) > 5 else ""
    kinds = {str(error["type"]) for error in errors}
    status, code = (400, "not_json") if kinds == {"json_invalid"} else (422, "request_wrong")
    return Problem(status, code, f"the request cannot be used: {'; '.join(said)}{more}. Correct it and send it again.")


def _wrong(error: Mapping[str, Any]) -> str:
    if error["type"] == "model_attributes_type":
        return "send a JSON object, with the header Content-Type: application/json"
    return _lowered(str(error["msg"]))


def _place(location: Sequence[Any]) -> str:
    parts = [str(part)[:80] for part in location if part not in ("body", "query", "header", "path")]
    return f"{'.'.join(parts)}:" if parts else "the body:"


def _lowered(text: str) -> str:
    return text[:200] if text[1:2].isupper() else text[:1].lower() + text[1:200]
