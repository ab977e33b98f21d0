"""Orders asked about over HTTP: checked, held headroom for, filled and released.

Belongs here: operations on orders, from a body to an answer. Does not belong here: looking at what is in force
(`looks.py`), halts (`stops.py`), or queues (`batches.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from pipelines.risk_server import bodies
from pipelines.risk_server.answers import Answers
from pipelines.risk_server.batches import Outcome
from pipelines.risk_server.bodies import problems
from pipelines.risk_server.door import KEY, Asking
from pipelines.risk_server.problems import BUSY, UNREACHABLE, Problem, of_truth
from pipelines.risk_server.served import Served
from trading.errors import StoreError, UsageError
from trading.risk.decision import Asked, Decision, Mode, Reason
from trading.risk.kept import About

AT_ONCE = 64  # orders of a list that is judged between two requests; longer ones have a thread
_USUAL = problems(400, 401, 403, 408, 413, 422, 429, 503, 504)
Shown = Annotated[
    bodies.Shown, Query(alias="rules", description="rules told: all, those with a limit (default), or none")
]


async def asking(
    request: Request,
    x_deadline_ms: Annotated[
        float,
        Header(gt=0, allow_inf_nan=False, description="when the answer is of no use any more; at most the setting"),
    ] = 60_000.0,
) -> Asking:
    """Who asks, as the door found it. Raises Problem on a parameter that there is not: it would change nothing."""
    known_parameters(request)
    found: Asking = request.scope[KEY]
    return found


def known_parameters(request: Request) -> None:
    """Raises Problem where the query names a parameter that this path does not have."""
    if not request.scope["query_string"]:
        return
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise Problem(422, "parameter_unknown", f"there is no parameter {name[:50]!r} here. There are: {listed}.")


Who = Annotated[Asking, Depends(asking)]


class Orders:
    """Operations on orders."""

    def __init__(self, served: Served) -> None:
        self._served, self._answers = served, Answers()

    def router(self) -> APIRouter:
        """Their paths."""
        router = APIRouter(prefix="/v1", tags=["orders"], responses=_USUAL)
        for path, operation, model in (
            ("/check", self.check, bodies.DecisionTold),
            ("/check-list", self.check_list, bodies.DecisionsTold),
            ("/reserve", self.reserve, bodies.DecisionTold),
            ("/reserve-list", self.reserve_list, bodies.DecisionsTold),
            ("/fills", self.fills, bodies.FillsTold),
            ("/releases", self.releases, bodies.ReleasesTold),
        ):
            router.add_api_route(path, operation, methods=["POST"], response_model=model)
        return router

    async def check(self, order: bodies.CheckOrder, who: Who, rules: Shown = "limited") -> Response:
        """What would become of one order. Nothing is held for it."""
        _allowed(who, [order.strategy])
        asked, engine = order.asked(), self._served.engine

        def do() -> Outcome:
            at = self._served.clocks.seconds()
            decision = engine.check(asked, at)
            return Outcome(decision, (decision,), self._about(who, at, "check"))

        return self._answers.one(await self._served.checks.ask(do, who.until), rules)

    async def check_list(self, body: bodies.CheckList, who: Who, rules: Shown = "limited") -> Response:
        """What would become of orders judged together. Nothing is held for them."""
        orders = self._listed(who, body)
        mode: Mode = body.mode
        queue = self._served.lists if len(orders) > AT_ONCE else self._served.checks

        def do() -> Outcome:
            at = self._served.clocks.seconds()
            found = self._served.engine.check_list(orders, mode, body.netted, at)
            return Outcome(found, found, self._about(who, at, "check", body.netted))

        return self._answers.several(await queue.ask(do, who.until), rules)

    async def reserve(self, order: bodies.ReserveOrder, who: Who, rules: Shown = "limited") -> Response:
        """As check, and headroom is held until the order is filled, released, or its time is over. Asked again with
        the same order_id, as after an answer that did not come, nothing is held twice."""
        _allowed(who, [order.strategy])
        found = await self._held(who, [order.asked()], "all", False)
        return self._answers.one(found[0], rules)

    async def reserve_list(self, body: bodies.ReserveList, who: Who, rules: Shown = "limited") -> Response:
        """As check-list, and headroom is held for what is granted, in one step."""
        orders = self._listed(who, body)
        return self._answers.several(await self._held(who, orders, body.mode, body.netted), rules)

    async def fills(self, body: bodies.Fills, who: Who) -> Response:
        """Fills move the book; orders at work hold so much less. Each is booked by itself."""
        _allowed(who, [fill.strategy for fill in body.fills])
        told = [(fill.asked(), fill.fill_id or "") for fill in body.fills]

        def do() -> Outcome:
            found = [self._filled(*each) for each in told]
            if all(each["problem"] and each["problem"]["code"] in (UNREACHABLE, BUSY) for each in found):
                first = found[0]["problem"]
                raise Problem(503, first["code"], first["message"], {"Retry-After": "1"})
            return Outcome(found)

        return self._answers.plain({"fills": await self._served.holds.ask(do, who.until)})

    async def releases(self, body: bodies.Releases, who: Who) -> Response:
        """Orders that were cancelled or rejected hold nothing any more. Saying it twice changes nothing."""

        def do() -> Outcome:
            self._require_theirs(who, body.order_ids)
            try:
                released = [(name, self._served.engine.release(name)) for name in body.order_ids]
            except StoreError as error:
                raise of_truth(error) from error
            return Outcome([{"order_id": name, "released_contracts": held} for name, held in released])

        return self._answers.plain({"releases": await self._served.holds.ask(do, who.until)})

    # --- inside -------------------------------------------------------------------------------------------------------
    async def _held(self, who: Asking, orders: Sequence[Asked], mode: Mode, netted: bool) -> Sequence[Decision]:
        engine, service = self._served.engine, self._served.desk.risk.service
        granted: list[str] = []

        def do() -> Outcome:
            at = self._served.clocks.seconds()
            expires = at + service.reservation_seconds
            if len(orders) == 1:
                found = [engine.reserve(orders[0], at, expires)]
            else:
                found = engine.reserve_list(orders, mode, netted, at, expires)
            granted.extend(decision.asked.order_id for decision in found if decision.granted_contracts)
            found = self._repeated(found, orders) if mode == "all" else found
            return Outcome(found, found, self._about(who, at, "reserve", netted, expires))

        def undo() -> None:
            for name in granted:
                engine.release(name)

        return _reached(await self._served.holds.ask(do, who.until, undo))

    def _repeated(self, found: Sequence[Decision], orders: Sequence[Asked]) -> Sequence[Decision]:
        """Where all are at work already, just as they are asked for, they are granted: who asks did not hear of it."""
        if any(decision.outcome != "refuse" for decision in found) or not _all_at_work(found):
            return found
        held = self._served.engine.working()
        if any(held.get(asked.order_id) != asked for asked in orders):
            return found
        return [
            Decision(asked, "pass", int(asked.quantity_contracts), one.versions, one.microseconds, _held_already)
            for asked, one in zip(orders, found, strict=True)
        ]

    def _listed(self, who: Asking, body: bodies.CheckList | bodies.ReserveList) -> list[Asked]:
        orders: Sequence[bodies.CheckOrder] = body.orders
        most = self._served.desk.risk.service.max_orders
        if len(orders) > most:
            raise Problem(
                422, "too_many_orders",
                f"the list has {len(orders):,} orders, and {most:,} at most. Ask for it in parts, or raise "
                "risk.service.max_orders.",
            )  # fmt: skip
        if body.netted and body.mode == "prefix" and len(orders) > bodies.MOST_NETTED_PREFIX:
            raise Problem(
                422, "prefix_too_long",
                f"the list has {len(orders):,} orders, and the longest prefix of a netted one is looked for among "
                f"{bodies.MOST_NETTED_PREFIX} at most: each length is judged anew. Ask for it in parts, without "
                "netting, or for all of it.",
            )  # fmt: skip
        _allowed(who, {order.strategy for order in orders})
        return [order.asked() for order in orders]

    def _filled(self, asked: Asked, fill_id: str) -> dict[str, Any]:
        named = asked.order_id or None
        try:
            left = self._served.engine.fill(asked, self._served.clocks.seconds(), fill_id)
        except StoreError as error:
            problem = of_truth(error)
            said = {"code": problem.code, "message": problem.message}
            return {"order_id": named, "left_contracts": None, "problem": said}
        except UsageError as error:
            return {
                "order_id": named, "left_contracts": None, "problem": {"code": "not_booked", "message": str(error)}
            }  # fmt: skip
        return {"order_id": named, "left_contracts": left, "problem": None}

    def _require_theirs(self, who: Asking, names: Sequence[str]) -> None:
        if who.caller is None or not who.caller.strategies:
            return
        held = self._served.engine.working()
        _allowed(who, {held[name].strategy for name in names if name in held})

    def _about(
        self, who: Asking, at: float, action: Any, netted: bool = False, expires: float | None = None
    ) -> About:  # fmt: skip
        named = "" if who.caller is None else who.caller.name
        until = None if expires is None else datetime.fromtimestamp(expires, UTC)
        return About(datetime.fromtimestamp(at, UTC), self._served.market.session, action, until, named, netted)


def _allowed(who: Asking, strategies: Any) -> None:
    if who.caller is not None:
        who.caller.require_strategies(strategies)


def _reached(found: Sequence[Decision]) -> Sequence[Decision]:
    """Raises Problem where the truth of reservations could not be reached: a refusal, and no answer about the order."""
    for decision in found:
        if decision.outcome == "refuse" and decision.measured is None:
            for reason in decision.reasons:
                if reason.code in (UNREACHABLE, BUSY):
                    raise Problem(503, reason.code, reason.message, {"Retry-After": "1"})
    return found


def _all_at_work(found: Sequence[Decision]) -> bool:
    return all(decision.measured is None and _codes(decision) == {"duplicate_order"} for decision in found)


def _codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


def _held_already() -> tuple[tuple[Reason, ...], tuple[()]]:
    said = "headroom is held for this order already, as it is asked for; nothing was held in addition."
    return (Reason("held_already", said),), ()
