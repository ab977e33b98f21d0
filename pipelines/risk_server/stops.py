"""Halts over HTTP: seen, set and ended.

Belongs here: operations on halts, and bringing those in force to the engine. Does not belong here: what a halt is
(`trading/risk/halts.py`), or where they are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from pipelines.risk_server import bodies
from pipelines.risk_server.answers import Answers
from pipelines.risk_server.bodies import problems
from pipelines.risk_server.orders import Who
from pipelines.risk_server.problems import Problem, of_error
from pipelines.risk_server.served import Served
from trading.config.symbol_fields import near
from trading.errors import DaybookError, UsageError
from trading.risk.halts import PROJECTION, Halt, halts_of, in_force, modes, new_halt

_USUAL = problems(400, 401, 403, 408, 413, 422, 429, 503, 504)


class Stops:
    """Operations on halts."""

    def __init__(self, served: Served) -> None:
        self._served, self._answers = served, Answers()

    def router(self) -> APIRouter:
        """Their paths."""
        router = APIRouter(prefix="/v1", tags=["halts"], responses=_USUAL)
        router.add_api_route("/halts", self.halts, response_model=bodies.HaltsTold)
        router.add_api_route(
            "/halts", self.halt, methods=["POST"], response_model=bodies.HaltTold, status_code=201
        )  # fmt: skip
        router.add_api_route(
            "/halts/{halt_id}", self.resume, methods=["DELETE"], response_model=bodies.HaltTold,
            responses=problems(404),
        )  # fmt: skip
        return router

    async def halts(self, who: Who) -> Response:
        """Halts in force."""
        now = self._served.clocks.utc()
        return self._answers.plain({"halts": [_told(halt) for halt in in_force(self._served.halts, now)]})

    async def halt(self, body: bodies.NewHalt, who: Who) -> Response:
        """Stops a strategy, an instrument or everything, under a name and with a reason: in force here when this is
        answered, and in other workers a moment later."""
        if who.caller is not None and who.caller.strategies:
            who.caller.require_strategies([body.item if body.scope == "strategy" else f"({body.scope})"])
        answer = await _kept(lambda: self._set(body))
        answer.status_code = 201
        return answer

    async def resume(self, halt_id: str, body: bodies.Resumed, who: Who) -> Response:
        """Ends a halt, under a name and with a reason."""
        return await _kept(lambda: self._end(halt_id, body, who))

    def _set(self, body: bodies.NewHalt) -> Response:
        until = None if body.until is None else body.until.astimezone(UTC)
        since = self._served.clocks.utc()
        halt = new_halt(body.scope, body.item, body.mode, body.who, body.why, since, until)
        _refuse_unknown(self._served, halt)
        self._served.journal.record([halt.set_event(self._served.market.session)])
        brought_to_engine(self._served)
        return self._answers.plain(_told(halt))

    def _end(self, halt_id: str, body: bodies.Resumed, who: Who) -> Response:
        halts = halts_of(self._served.journal.rows(PROJECTION))
        found = next((halt for halt in halts if halt.halt_id == halt_id), None)
        now = self._served.clocks.utc()
        if found is None or not found.in_force(now):
            raise Problem(
                404, "no_such_halt", f"no halt {halt_id[:100]} is in force. GET /v1/halts lists those that are."
            )
        if who.caller is not None and who.caller.strategies:
            who.caller.require_strategies([found.item if found.scope == "strategy" else f"({found.scope})"])
        event = found.cleared_event(body.who, body.why, self._served.market.session, now)
        self._served.journal.record([event])
        brought_to_engine(self._served)
        return self._answers.plain(_told(found))


def brought_to_engine(served: Served) -> tuple[Halt, ...]:
    """Reads halts and has the engine keep to those in force. Raises StoreUnavailable where they cannot be read; then
    those known stay."""
    halts = halts_of(served.journal.rows(PROJECTION))
    served.halts = halts
    served.engine.stop(modes(halts, served.engine.strategies, served.engine.instruments, served.clocks.utc()))
    return halts


def _refuse_unknown(served: Served, halt: Halt) -> None:
    """Raises UsageError: a halt of a misspelt name would stop nothing."""
    known = {"strategy": served.engine.strategies, "instrument": served.engine.instruments}.get(halt.scope)
    if known is None or halt.item in known:
        return
    listed = f" Strategies are: {', '.join(sorted(known)) or 'none'}." if halt.scope == "strategy" else ""
    raise UsageError(
        f"there is no {halt.scope} {halt.item}: halting it would stop nothing.{near(halt.item, known)}{listed}"
    )


async def _kept(do: Callable[[], Response]) -> Response:
    """Done in a thread: journals write to disks and servers."""
    try:
        return await asyncio.to_thread(do)
    except UsageError as error:
        raise Problem(422, "not_a_halt", str(error)) from error
    except DaybookError as error:
        raise of_error(error) from error


def _told(halt: Halt) -> dict[str, Any]:
    return {
        "halt_id": halt.halt_id, "scope": halt.scope, "item": halt.item, "mode": halt.mode, "who": halt.who,
        "why": halt.why, "since": halt.since, "until": halt.until,
    }  # fmt: skip
