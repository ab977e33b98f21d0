"""A client of the risk service, typed: for strategies that ask before they send.

Belongs here: requests, answers as values, errors as Daybook's, and asking again what is safe to ask again. Does not
belong here: judging anything (`trading/risk/`), or the service (`pipelines/risk_server/`).

    with RiskClient("http://127.0.0.1:8731", token) as risk:
        answer = risk.reserve(Order("trend", "US10", 202612, 5, order_id="trend-17"))
        if answer.passed: ...

`RiskClient` waits, `AsyncRiskClient` is awaited; both ask and read the same way. Asked again after an answer that did
not come are: questions; reservations, whose order_id makes them safe; releases; and fills that have a fill_id.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple

import httpx

from trading.errors import StoreUnavailable, UsageError
from trading.risk.decision import Mode, Outcome, Reason, Versions

ATTEMPTS = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
TIMEOUT_S = 5.0
AGAIN = frozenset((429, 503))  # statuses after which nothing was done
Shown = Literal["all", "limited", "none"]


class RiskRefused(UsageError):
    """The service did not answer as asked: `status` and `code` say why, the message what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)


class RiskUnavailable(StoreUnavailable):
    """The service, or what it needs, cannot be reached, or the deadline passed: nothing may be sent. `code` is the
    service's, empty where it did not answer at all."""

    def __init__(self, message: str, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class Order(NamedTuple):
    """An order that somebody would send. Bought is positive; `limit_points` None is at market; `order_id` is needed to
    reserve."""

    strategy: str
    instrument: str
    contract: int
    quantity_contracts: float
    limit_points: float | None = None
    order_id: str | None = None


class Filled(NamedTuple):
    """Contracts that were filled, of an order at work or of none. Told again with the same `fill_id` it counts once."""

    strategy: str
    instrument: str
    contract: int
    quantity_contracts: float
    order_id: str | None = None
    fill_id: str | None = None


class Rule(NamedTuple):
    """One rule's part of an answer; None is not finite: a level that is not set, a value that cannot be measured."""

    rule: str
    axis: str
    element: str
    value: float | None
    warn: float | None
    limit: float | None
    outcome: Outcome
    unit: str
    headroom: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says of one order."""

    decision: Outcome
    order: Order
    granted_contracts: int
    reasons: tuple[Reason, ...]
    rules: tuple[Rule, ...]
    versions: Versions
    microseconds: float

    @property
    def passed(self) -> bool:
        """Whether something may be sent."""
        return self.decision != "refuse"


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], Any]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] | None = None
    safe: bool = True


class Calls:
    """Every request there is, as a value."""

    def check(self, order: Order, rules: Shown = "limited") -> Call:
        """What would become of one order."""
        return Call("POST", "/v1/check", _answer, _checked(order), {"rules": rules})

    def check_list(
        self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False, rules: Shown = "limited"
    ) -> Call:
        """What would become of orders judged together."""
        body = {"orders": [_checked(order) for order in orders], "mode": mode, "netted": netted}
        return Call("POST", "/v1/check-list", _answers, body, {"rules": rules})

    def reserve(self, order: Order, rules: Shown = "limited") -> Call:
        """Headroom for one order."""
        return Call("POST", "/v1/reserve", _answer, order._asdict(), {"rules": rules})

    def reserve_list(
        self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False, rules: Shown = "limited"
    ) -> Call:
        """Headroom for orders judged together. Only with mode `all` is it safe to ask again."""
        body = {"orders": [order._asdict() for order in orders], "mode": mode, "netted": netted}
        return Call("POST", "/v1/reserve-list", _answers, body, {"rules": rules}, safe=mode == "all")

    def fill(self, fills: Sequence[Filled]) -> Call:
        """Fills, in their order."""
        body = {"fills": [fill._asdict() for fill in fills]}
        return Call("POST", "/v1/fills", lambda said: said["fills"], body, safe=all(fill.fill_id for fill in fills))

    def release(self, order_ids: Sequence[str]) -> Call:
        """Orders that hold nothing any more."""
        return Call("POST", "/v1/releases", _released, {"order_ids": list(order_ids)})

    def limits(self, rule: str | None = None) -> Call:
        """Levels in force."""
        return Call("GET", "/v1/limits", lambda said: said, None, {} if rule is None else {"rule": rule})

    def headroom(self, strategy: str, instrument: str, contract: int) -> Call:
        """How many contracts could be bought and sold now."""
        query = {"strategy": strategy, "instrument": instrument, "contract": contract}
        return Call("GET", "/v1/headroom", lambda said: said, None, query)

    def decisions(self, **asked: Any) -> Call:
        """Decisions of the past, by `since`, `until`, `strategy`, `instrument`, `outcome`, `order_id` and `limit`."""
        return Call("GET", "/v1/decisions", lambda said: said["decisions"], None, asked)

    def halts(self) -> Call:
        """Halts in force."""
        return Call("GET", "/v1/halts", lambda said: said["halts"])

    def halt(self, scope: str, item: str, mode: str, who: str, why: str, until: str | None = None) -> Call:
        """Stops something."""
        body = {"scope": scope, "item": item, "mode": mode, "who": who, "why": why, "until": until}
        return Call("POST", "/v1/halts", lambda said: said, body, safe=False)

    def resume(self, halt_id: str, who: str, why: str) -> Call:
        """Ends a halt."""
        return Call("DELETE", f"/v1/halts/{halt_id}", lambda said: said, {"who": who, "why": why}, safe=False)

    def ready(self) -> Call:
        """Whether orders can be judged, and what is not well."""
        return Call("GET", "/ready", lambda said: said)


CALLS = Calls()


class RiskClient:
    """Waits for answers. `deadline_ms`: after which an answer is of no use, told to the service. Raises RiskRefused
    where a request is wrong or not allowed, RiskUnavailable where no answer can be had; refusals of orders are answers.
    """

    def __init__(
        self, address: str, token: str, timeout_s: float = TIMEOUT_S, deadline_ms: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._http = httpx.Client(
            base_url=address, headers=_headers(token, deadline_ms), timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> RiskClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()

    def ask(self, call: Call) -> Any:
        """What a request of `CALLS` is answered."""
        waiting = threading.Event()
        for attempt in range(ATTEMPTS):
            found = self._once(call)
            if isinstance(found, httpx.Response) and not _again(call, found, attempt):
                return _read(call, found)
            if isinstance(found, httpx.TransportError) and not _may_repeat(call, found, attempt):
                raise _unreachable(found, str(self._http.base_url))
            waiting.wait(_pause_s(attempt))
        raise AssertionError("the last attempt is answered or raised")

    def _once(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(call.method, call.path, json=call.body, params=dict(call.query or {}))
        except httpx.TransportError as cause:
            return cause
        except ValueError:
            raise _no_number() from None

    def check(self, order: Order, rules: Shown = "limited") -> Answer:
        """What would become of one order; nothing is held."""
        return self._answer(CALLS.check(order, rules))

    def reserve(self, order: Order, rules: Shown = "limited") -> Answer:
        """As `check`, and headroom is held until it is filled, released or its time is over."""
        return self._answer(CALLS.reserve(order, rules))

    def check_list(self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False) -> list[Answer]:
        """What would become of orders judged together."""
        found: list[Answer] = self.ask(CALLS.check_list(orders, mode, netted))
        return found

    def reserve_list(self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False) -> list[Answer]:
        """As `check_list`, and headroom is held for what is granted."""
        found: list[Answer] = self.ask(CALLS.reserve_list(orders, mode, netted))
        return found

    def fill(self, *fills: Filled) -> list[dict[str, Any]]:
        """Fills move the book: what each order still holds, or why it was not booked."""
        found: list[dict[str, Any]] = self.ask(CALLS.fill(fills))
        return found

    def release(self, *order_ids: str) -> dict[str, int]:
        """Orders hold nothing any more: how many contracts each held."""
        found: dict[str, int] = self.ask(CALLS.release(order_ids))
        return found

    def _answer(self, call: Call) -> Answer:
        found: Answer = self.ask(call)
        return found


class AsyncRiskClient:
    """As RiskClient, awaited."""

    def __init__(
        self, address: str, token: str, timeout_s: float = TIMEOUT_S, deadline_ms: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(token, deadline_ms), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> AsyncRiskClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.aclose()

    async def ask(self, call: Call) -> Any:
        """What a request of `CALLS` is answered."""
        for attempt in range(ATTEMPTS):
            found = await self._once(call)
            if isinstance(found, httpx.Response) and not _again(call, found, attempt):
                return _read(call, found)
            if isinstance(found, httpx.TransportError) and not _may_repeat(call, found, attempt):
                raise _unreachable(found, str(self._http.base_url))
            await asyncio.sleep(_pause_s(attempt))
        raise AssertionError("the last attempt is answered or raised")

    async def _once(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(call.method, call.path, json=call.body, params=dict(call.query or {}))
        except httpx.TransportError as cause:
            return cause
        except ValueError:
            raise _no_number() from None

    async def check(self, order: Order, rules: Shown = "limited") -> Answer:
        """As RiskClient."""
        found: Answer = await self.ask(CALLS.check(order, rules))
        return found

    async def reserve(self, order: Order, rules: Shown = "limited") -> Answer:
        """As RiskClient."""
        found: Answer = await self.ask(CALLS.reserve(order, rules))
        return found

    async def check_list(self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False) -> list[Answer]:
        """As RiskClient."""
        found: list[Answer] = await self.ask(CALLS.check_list(orders, mode, netted))
        return found

    async def reserve_list(self, orders: Sequence[Order], mode: Mode = "all", netted: bool = False) -> list[Answer]:
        """As RiskClient."""
        found: list[Answer] = await self.ask(CALLS.reserve_list(orders, mode, netted))
        return found

    async def fill(self, *fills: Filled) -> list[dict[str, Any]]:
        """As RiskClient."""
        found: list[dict[str, Any]] = await self.ask(CALLS.fill(fills))
        return found

    async def release(self, *order_ids: str) -> dict[str, int]:
        """As RiskClient."""
        found: dict[str, int] = await self.ask(CALLS.release(order_ids))
        return found


# --- both ways --------------------------------------------------------------------------------------------------------
def _headers(token: str, deadline_ms: float | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"}
    return headers if deadline_ms is None else {**headers, "X-Deadline-Ms": f"{deadline_ms:g}"}


def _again(call: Call, response: httpx.Response, attempt: int) -> bool:
    """Whether to ask again after an answer that says that nothing was done."""
    return call.safe and response.status_code in AGAIN and call.path != "/ready" and attempt + 1 < ATTEMPTS


def _may_repeat(call: Call, cause: httpx.TransportError, attempt: int) -> bool:
    """Whether to ask again where no answer came: what may have been done already only if it is safe."""
    unsent = isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return (call.safe or unsent) and attempt + 1 < ATTEMPTS


def _pause_s(attempt: int) -> float:
    """Longer each time, and not the same for everybody."""
    return min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


def _read(call: Call, response: httpx.Response) -> Any:
    try:
        said = response.json()
    except ValueError:
        raise RiskUnavailable(
            f"what answers at {response.url} with status {response.status_code} is not the risk service: it sent no "
            "JSON. Correct the address."
        ) from None
    if response.is_success or call.path == "/ready":
        return call.read(said)
    code, message = str(said.get("code", "")), str(said.get("message", response.text[:500]))
    if response.status_code >= 500 or response.status_code == 429:
        raise RiskUnavailable(message, code)
    raise RiskRefused(response.status_code, code, message)


def _no_number() -> RiskRefused:
    """What JSON cannot say is not sent."""
    return RiskRefused(422, "request_wrong", "a number of the request is none, or infinite. Give one, or leave it out.")


def _unreachable(cause: httpx.TransportError, where: str) -> RiskUnavailable:
    cure = "Start it with `daybook risk serve`, or correct the address."
    if isinstance(cause, httpx.UnsupportedProtocol):
        cure = "Begin its address with http:// or https://."
    error = RiskUnavailable(
        f"the risk service does not answer at {where} ({type(cause).__name__}), so nothing may be sent. {cure}"
    )
    error.__cause__ = cause
    return error


def _checked(order: Order) -> dict[str, Any]:
    found = order._asdict()
    del found["order_id"]
    return found


def _answers(said: Mapping[str, Any]) -> list[Answer]:
    return [_answer(each) for each in said["decisions"]]


def _answer(said: Mapping[str, Any]) -> Answer:
    order = Order(*(said[name] for name in Order._fields))
    reasons = tuple(Reason(**reason) for reason in said["reasons"])
    rules = tuple(Rule(**rule) for rule in said["rules"])
    versions = Versions(**said["versions"])
    granted, microseconds = said["granted_contracts"], said["microseconds"]
    return Answer(said["decision"], order, granted, reasons, rules, versions, microseconds)


def _released(said: Mapping[str, Any]) -> dict[str, int]:
    return {each["order_id"]: each["released_contracts"] for each in said["releases"]}
