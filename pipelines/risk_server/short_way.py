"""The short way for what is asked a thousand times a second: from bytes to an operation and back.

Belongs here: requests whose body is right at once. Does not belong here: what operations do (`orders.py`), or saying
what is wrong with a request: one that is not plainly right goes the framework's way, which reads it again and says so.

The framework finds a path, solves dependencies and keeps exit stacks for each request, which costs several times what
deciding does. Operations, models and answers are the same either way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.risk_server import bodies
from pipelines.risk_server.door import DEADLINE, KEY
from pipelines.risk_server.orders import Orders
from pipelines.risk_server.problems import of_error
from trading.errors import DaybookError

JSON = b"application/json"
_SHOWN: Mapping[bytes, str] = {
    b"": "limited",
    **{f"rules={word}".encode(): word for word in ("all", "limited", "none")},
}


class _Operation(NamedTuple):
    """What answers at a path, who reads its body, and which queries it takes."""

    answer: Callable[..., Awaitable[Response]]
    read: Callable[[bytes], Any]
    shown: Mapping[bytes, str]


class ShortWay:
    """Stands between the door and the framework's application. Raises Problem, for the door to answer."""

    def __init__(self, app: ASGIApp, orders: Orders) -> None:
        self._app = app
        self._operations = {
            path: _Operation(answer, model.model_validate_json, shown)
            for path, answer, model, shown in (
                ("/v1/check", orders.check, bodies.CheckOrder, _SHOWN),
                ("/v1/check-list", orders.check_list, bodies.CheckList, _SHOWN),
                ("/v1/reserve", orders.reserve, bodies.ReserveOrder, _SHOWN),
                ("/v1/reserve-list", orders.reserve_list, bodies.ReserveList, _SHOWN),
                ("/v1/fills", orders.fills, bodies.Fills, {b"": ""}),
                ("/v1/releases", orders.releases, bodies.Releases, {b"": ""}),
            )
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, whose body the door has read."""
        operation = self._operations.get(scope.get("path", ""))
        if operation is None or scope["type"] != "http" or not _is_plain(scope, operation):
            await self._app(scope, receive, send)
            return
        message = await receive()
        try:
            body = operation.read(message["body"])
        except ValidationError:
            await self._app(scope, _again(message, receive), send)
            return
        try:
            answer = await _answered(operation, body, scope)
        except DaybookError as error:
            raise of_error(error) from error
        await answer(scope, receive, send)


def _answered(operation: _Operation, body: Any, scope: Scope) -> Awaitable[Response]:
    word = operation.shown[scope["query_string"]]
    return operation.answer(body, scope[KEY], word) if word else operation.answer(body, scope[KEY])


def _is_plain(scope: Scope, operation: _Operation) -> bool:
    """Whether nothing about the request needs to be looked at but its body."""
    kind = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == DEADLINE and not value.isdigit():
            return False
    return kind == JSON and scope["method"] == "POST" and scope["query_string"] in operation.shown


def _again(message: Message, receive: Receive) -> Receive:
    """Gives a message that was taken once more."""
    left = [message]

    async def given() -> Message:
        return left.pop() if left else await receive()

    return given
