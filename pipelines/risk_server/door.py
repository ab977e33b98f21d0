"""What a request passes before anything of it is looked at: its token, how often that asks, and how large it is.

Belongs here: refusing before a body is read, reading it within bounds, and measuring how long answers take. Does not
belong here: what a body says (`bodies.py`), or who may ask for what is in it (`callers.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.risk_server.callers import Caller, Callers
from pipelines.risk_server.figures import Figures
from pipelines.risk_server.problems import Problem
from trading.config.risk import RiskServiceSettings
from trading.config.risk import Scope as Right

RIGHTS: Mapping[tuple[str, str], Right] = {  # what a token needs, by method and path
    ("POST", "/v1/check"): "check",
    ("POST", "/v1/check-list"): "check",
    ("POST", "/v1/reserve"): "reserve",
    ("POST", "/v1/reserve-list"): "reserve",
    ("POST", "/v1/fills"): "reserve",
    ("POST", "/v1/releases"): "reserve",
    ("GET", "/v1/decisions"): "read",
    ("GET", "/v1/limits"): "read",
    ("GET", "/v1/headroom"): "read",
    ("GET", "/v1/halts"): "read",
    ("POST", "/v1/halts"): "halt",
    ("DELETE", "/v1/halts/{halt_id}"): "halt",
}
GUARDED = "/v1/"
KEY = "daybook"  # of a request's scope: its Asking
DEADLINE = b"x-deadline-ms"
_HALT = "/v1/halts/"
_PATHS = {path for _, path in RIGHTS} | {"/health", "/ready", "/metrics", "/openapi.json"}


class Asking(NamedTuple):
    """Who asks, when the request arrived and until when it is of use, in seconds of the service's timer."""

    caller: Caller | None
    arrived: float
    until: float


class Admission(NamedTuple):
    """What is asked of requests now: replaced as a whole when settings change."""

    callers: Callers
    settings: RiskServiceSettings


class Door:
    """Stands before an application. `admission` gives what is asked of requests now; `timer`: seconds of a clock that
    does not go back."""

    def __init__(
        self, app: ASGIApp, admission: Callable[[], Admission], metrics: Figures, timer: Callable[[], float],
        span: Callable[[str], Any],
    ) -> None:  # fmt: skip
        self._app, self._admission, self._metrics, self._timer, self._span = app, admission, metrics, timer, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        arrived, status = self._timer(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._span("request"):
                await self._app(scope, await self._admitted(scope, receive, arrived), noting)
        except Problem as problem:
            self._metrics.refused_request(problem.code)
            await problem.response()(scope, receive, noting)
        finally:
            self._metrics.answered(_route(scope["path"]), status, self._timer() - arrived)

    async def _admitted(self, scope: Scope, receive: Receive, arrived: float) -> Receive:
        """The request's body, whole, once it may be asked at all."""
        now = self._admission()
        headers = dict(scope["headers"])
        caller = None
        if scope["path"].startswith(GUARDED):
            peer = scope.get("client")
            caller = now.callers.admitted(headers.get(b"authorization", b""), arrived, peer[0] if peer else "")
            right = RIGHTS.get((scope["method"], _route(scope["path"])))
            if right is not None:
                caller.require(right)
        until = arrived + _deadline_s(headers, now.settings.deadline_ms)
        scope[KEY] = Asking(caller, arrived, until)
        return _once(await self._body(receive, headers, now.settings.max_body_bytes, until))

    async def _body(self, receive: Receive, headers: Mapping[bytes, bytes], most: int, until: float) -> bytes:
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said[:20]) > most:
            raise _too_large(most)
        message = await receive()
        if not message.get("more_body"):
            return _bounded(message.get("body", b""), most)
        try:
            async with asyncio.timeout(max(until - self._timer(), 0.0)):
                return await _rest(message, receive, most)
        except TimeoutError:
            raise Problem(
                408, "body_late", "the body did not come before the deadline. Send it at once, or give more time.",
                {"Connection": "close"},
            ) from None  # fmt: skip


async def _rest(message: Message, receive: Receive, most: int) -> bytes:
    parts, size = [], 0
    while True:
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise _too_large(most)
    return body


def _once(body: bytes) -> Receive:
    """Gives a body that is here already; after that, nothing comes any more."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _deadline_s(headers: Mapping[bytes, bytes], most_ms: float) -> float:
    """How long the answer is of use, seconds: what the request says, bounded by the settings."""
    said = headers.get(DEADLINE)
    if said is None:
        return most_ms / 1_000.0
    try:
        given = float(said[:40])
    except ValueError:
        given = math.nan
    if not 0.0 < given < math.inf:
        raise Problem(
            422, "deadline_wrong",
            "the header X-Deadline-Ms is no number of milliseconds above 0. Correct it, or leave it out.",
        )  # fmt: skip
    return min(given, most_ms) / 1_000.0


def _too_large(most: int) -> Problem:
    return Problem(
        413, "body_too_large",
        f"the body is larger than {most:,} bytes. Ask for fewer orders at once, or raise risk.service.max_body_bytes.",
        {"Connection": "close"},
    )  # fmt: skip


def methods_of(path: str) -> list[str]:
    """Methods that a path has."""
    found = sorted(method for method, known in RIGHTS if known == _route(path))
    return found or ["GET"]


def _route(path: str) -> str:
    """The path as it is published; `other` of what is none, so that figures stay few."""
    if path in _PATHS:
        return path
    return f"{_HALT}{{halt_id}}" if path.startswith(_HALT) and path != _HALT else "other"
