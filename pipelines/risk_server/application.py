"""The service as an ASGI application, made of values.

Belongs here: putting operations and the door together, and the schema that is published. Does not belong here: what an
operation does (`orders.py`, `looks.py`, `stops.py`), or processes (`serving.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.risk_server.door import RIGHTS, Door, methods_of
from pipelines.risk_server.looks import Looks
from pipelines.risk_server.orders import Orders
from pipelines.risk_server.problems import STATUSES, Problem, of_error, of_validation
from pipelines.risk_server.served import Served
from pipelines.risk_server.short_way import ShortWay
from pipelines.risk_server.stops import Stops
from trading.errors import DaybookError

TITLE = "Daybook risk service"
VERSION = "1"
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_ABOUT = (
    "Asks the desk's risk engine about orders before they are sent. Every path below /v1 needs a token with the right "
    "that is named; a refusal of an order is an answer (200), and a problem with a request has a code and a sentence."
)


class RiskService(FastAPI):
    """The framework's application behind the door and the short way, once `enter` says what leads in."""

    enter: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI."""
        await (self.enter or super().__call__)(scope, receive, send)


def application(served: Served, lifespan: Lifespan | None = None) -> FastAPI:
    """The service that answers from `served`."""
    orders = Orders(served)
    app = _with_operations(served, lifespan, orders)
    app.add_exception_handler(Problem, _problem_in(served))
    app.add_exception_handler(DaybookError, _error_in(served))
    app.add_exception_handler(RequestValidationError, _wrong_in(served))
    app.add_exception_handler(HTTPException, _other)
    inside = ShortWay(functools.partial(FastAPI.__call__, app), orders)
    app.enter = Door(inside, served.admission, served.metrics, served.clocks.timer, served.span)
    return app


def published() -> dict[str, Any]:
    """The OpenAPI schema, which is the same for every desk."""
    nobody = cast(Served, None)  # operations ask for it when they are called
    return schema(_with_operations(nobody, None, Orders(nobody)))


def schema(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI schema, with the right that each operation needs."""
    if app.openapi_schema is None:
        found = FastAPI.openapi(app)
        found.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for (method, path), right in RIGHTS.items():
            operation = found["paths"][path][method.lower()]
            operation["security"] = [{"token": []}]
            operation["description"] = f"{operation.get('description', '')}\n\nNeeds the right `{right}`.".strip()
    return app.openapi_schema or {}


def _with_operations(served: Served, lifespan: Lifespan | None, orders: Orders) -> RiskService:
    app = RiskService(
        title=TITLE, version=VERSION, description=_ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan
    )  # fmt: skip
    looks = Looks(served)
    for router in (orders.router(), looks.router(), Stops(served).router(), looks.open_router()):
        app.include_router(router)
    app.openapi = lambda: schema(app)  # type: ignore[method-assign]
    return app


Handler = Callable[[Request, Any], Any]


def _problem_in(served: Served) -> Handler:
    async def handle(request: Request, problem: Problem) -> Response:
        served.metrics.refused_request(problem.code)
        return problem.response()

    return handle


def _error_in(served: Served) -> Handler:
    async def handle(request: Request, error: DaybookError) -> Response:
        problem = of_error(error)
        served.metrics.refused_request(problem.code)
        return problem.response()

    return handle


def _wrong_in(served: Served) -> Handler:
    async def handle(request: Request, error: RequestValidationError) -> Response:
        problem = of_validation(error.errors())
        served.metrics.refused_request(problem.code)
        return problem.response()

    return handle


async def _other(request: Request, error: Any) -> Response:
    """What the framework refuses: an unknown path, another method, a body it cannot parse."""
    said: Mapping[int, tuple[str, str]] = {
        400: ("not_json", "the body cannot be read as JSON. Correct it and send it again."),
        404: ("no_such_path", f"there is no path {request.url.path[:200]}. GET /openapi.json lists those there are."),
        405: (
            "other_method",
            f"{request.method[:20]} is no method of this path. GET /openapi.json lists those it has.",
        ),
    }
    if error.status_code == 405:
        error.headers = {"Allow": ", ".join(methods_of(request.url.path))}
    code, message = said.get(error.status_code, ("refused", STATUSES.get(error.status_code, "The request is refused.")))
    return Problem(error.status_code, code, message, error.headers).response()
