"""What is in force and what happened, over HTTP: decisions, limits, headroom, and whether the service is well.

Belongs here: operations that change nothing. Does not belong here: judging orders for somebody (`orders.py`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import PlainTextResponse, Response

from pipelines.risk_server import bodies
from pipelines.risk_server.answers import Answers
from pipelines.risk_server.bodies import problems
from pipelines.risk_server.orders import Who, known_parameters
from pipelines.risk_server.problems import Problem
from pipelines.risk_server.served import Judges, Served
from trading.risk.decision import Asked, Decision, Judged, Outcome
from trading.risk.kept import Wanted
from trading.risk.limit_table import LimitTable, axes_of

MOST = 10_000  # rows of an answer
_FARTHEST = 1_000_000  # contracts: headroom is looked for up to there
_USUAL = problems(401, 403, 408, 413, 422, 429, 503, 504)
Few = Annotated[int, Query(ge=1, le=MOST)]
Named = Annotated[str | None, Query(min_length=1, max_length=100)]
CONTENT = "text/plain; version=0.0.4; charset=utf-8"


class Looks:
    """Operations that change nothing."""

    def __init__(self, served: Served) -> None:
        self._served, self._answers = served, Answers()

    def router(self) -> APIRouter:
        """Their paths, guarded by tokens."""
        router = APIRouter(prefix="/v1", tags=["looks"], responses=_USUAL)
        router.add_api_route("/decisions", self.decisions, response_model=bodies.PastTold)
        router.add_api_route("/limits", self.limits, response_model=bodies.LimitsTold)
        router.add_api_route(
            "/headroom", self.headroom, response_model=bodies.HeadroomTold, responses=problems(404)
        )  # fmt: skip
        return router

    def open_router(self) -> APIRouter:
        """Paths that need no token: they say nothing of the book."""
        router = APIRouter(tags=["service"], dependencies=[Depends(_known)], responses=problems(422))
        router.add_api_route("/health", self.health, response_model=bodies.HealthTold)
        router.add_api_route(
            "/ready", self.ready, response_model=bodies.ReadyTold,
            responses={503: {"model": bodies.ReadyTold, "description": "Orders should not be asked about here now."}},
        )  # fmt: skip
        router.add_api_route("/metrics", self.metrics, response_class=PlainTextResponse)
        return router

    async def decisions(
        self, who: Who, since: bodies.Instant | None = None, until: bodies.Instant | None = None,
        strategy: Named = None, instrument: Named = None, outcome: Annotated[Outcome | None, Query()] = None,
        order_id: Named = None, limit: Few = 100,
    ) -> Response:  # fmt: skip
        """Decisions that were kept, the newest first."""
        strategies = frozenset() if who.caller is None else who.caller.strategies
        if who.caller is not None and strategy is not None:
            who.caller.require_strategies([strategy])
        wanted = Wanted(
            _utc(since), _utc(until), strategy, instrument, None if outcome is None else (outcome,), order_id
        )

        def found() -> list[dict[str, Any]]:
            theirs = (
                kept for kept in self._served.decisions.read(wanted)
                if not strategies or kept.asked.strategy in strategies
            )  # fmt: skip
            return [kept.document() for kept in islice(theirs, limit)]

        return self._answers.plain({"decisions": await asyncio.to_thread(found)})

    async def limits(self, who: Who, rule: Named = None, limit: Few = 1_000) -> Response:
        """Levels in force, of one rule or of all, by element."""
        document = await asyncio.to_thread(lambda: _limits(self._served.table(), self._axes(), rule, limit))
        return self._answers.plain(document)

    async def headroom(
        self, who: Who, strategy: Annotated[str, Query(min_length=1, max_length=100)],
        instrument: Annotated[str, Query(min_length=1, max_length=100)],
        contract: Annotated[int, Query(ge=1, le=99_999_999)],
    ) -> Response:  # fmt: skip
        """How many contracts could be bought and sold now, and each rule at one contract bought. Nothing is kept."""
        if who.caller is not None:
            who.caller.require_strategies([strategy])
        engine, at = self._served.engine, self._served.clocks.seconds()
        one = engine.check(Asked(strategy, instrument, contract, 1), at)
        unknown = [reason for reason in one.reasons if reason.code.startswith("unknown_")]
        if unknown:
            raise Problem(404, unknown[0].code, unknown[0].message)
        most = {side: _most(partial(_checked, engine, one.asked, side, at)) for side in (1, -1)}
        for closing in _closing(engine, one.asked):  # a halt may let through what closes it whole, and no less
            side = 1 if closing > 0 else -1
            if abs(closing) > most[side] and _checked(engine, one.asked, side, at, abs(closing)).outcome != "refuse":
                most[side] = abs(closing)
        return self._answers.plain({
            "strategy": strategy, "instrument": instrument, "contract": contract, "buy_contracts": most[1],
            "sell_contracts": most[-1], "rules": [_row(judged) for judged in one.rules if _is_limited(judged)],
        })  # fmt: skip

    async def health(self) -> bodies.HealthTold:
        """Whether the process answers."""
        return bodies.HealthTold(alive=True)

    async def ready(self) -> Response:
        """Whether orders can be judged: facts loaded and fresh, the truth of reservations reachable, the configuration
        in force."""
        faults = self._served.faults
        parts = {part: faults.get(part, "well") for part in self._served.parts}
        answer = self._answers.plain({"ready": not faults, "parts": parts})
        answer.status_code = 503 if faults else 200
        return answer

    async def metrics(self) -> Response:
        """Figures of all workers, for Prometheus."""
        self._served.metrics.versions(self._served.engine.versions)
        return Response(await asyncio.to_thread(self._served.metrics.text), media_type=CONTENT)

    def _axes(self) -> dict[str, tuple[str, ...]]:
        return dict(axes_of(self._served.market, self._served.engine.strategies).names)


async def _known(request: Request) -> None:
    known_parameters(request)


def _limits(table: LimitTable, names: dict[str, tuple[str, ...]], rule: str | None, limit: int) -> dict[str, Any]:
    found = list(_set_levels(table, names, rule))
    return {
        "session": table.session, "configuration": table.configuration, "total": len(found), "limits": found[:limit]
    }  # fmt: skip


def _set_levels(table: LimitTable, names: dict[str, tuple[str, ...]], rule: str | None) -> Iterator[dict[str, Any]]:
    for slot in table.slots:
        if rule not in (None, slot.rule.name):
            continue
        for number in range(slot.count):
            place = slot.first + number
            warn, refuse = float(table.warn[place]), float(table.refuse[place])
            if math.isinf(warn) and math.isinf(refuse):
                continue
            yield {
                "rule": slot.rule.name, "axis": slot.axis, "element": names[slot.axis][number], "warn": warn,
                "refuse": refuse, "judges_reducing": bool(table.judges[place]),
                "missing": "warn" if table.lenient[place] else "refuse", "unit": slot.rule.unit,
            }  # fmt: skip


def _most(check: Callable[[int], Decision]) -> int:
    """The largest number of contracts that is not refused, up to the farthest, found by halving."""
    low, high = 0, 1
    while high <= _FARTHEST and check(high).outcome != "refuse":
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if check(middle).outcome != "refuse" else (low, middle)
    return min(low, _FARTHEST)


def _closing(engine: Judges, asked: Asked) -> set[int]:
    """Orders that would close what the strategy holds of the contract or of the instrument, or what all hold of the
    contract: as it is, and once orders at work that do the same are filled."""
    parts = {"own": [0, 0, 0], "holding": [0, 0, 0], "line": [0, 0, 0]}  # held, bought, sold
    found = [(*key, count, 0) for key, count in engine.book.positions.items()]
    found += [(*each[:3], int(each.quantity_contracts), 1) for each in engine.working().values()]
    for strategy, instrument, contract, count, at_work in found:
        if instrument != asked.instrument:
            continue
        own, line, place = strategy == asked.strategy, contract == asked.contract, at_work * (1 if count > 0 else 2)
        for name, counts in (("own", own and line), ("holding", own), ("line", line)):
            parts[name][place] += count if counts else 0
    sizes = {-held - left for held, bought, sold in parts.values() for left in (0, sold if held > 0 else bought)}
    return sizes - {0}


def _checked(engine: Judges, asked: Asked, side: int, at: float, count: int) -> Decision:
    return engine.check(asked._replace(quantity_contracts=side * count), at)


def _row(judged: Judged) -> dict[str, Any]:
    return judged._asdict() | {"headroom": judged.headroom}


def _is_limited(judged: Judged) -> bool:
    return not (math.isinf(judged.limit) and math.isinf(judged.warn))


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
