"""What requests and answers look like: the schema that is published.

Belongs here: models, strict and bounded, and how they become the engine's own values. Does not belong here: what they
mean (`trading/risk/decision.py`, `trading/risk/halts.py`).
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from trading.risk.decision import Asked

MOST_ORDERS = 100_000  # of a list, whatever the settings say
MOST_NETTED_PREFIX = 128  # of a netted list of which the longest prefix is asked for
MOST_NAMED = 1_000  # fills or order ids of one request


def _whole(value: object) -> object:
    """1.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _instant(value: object) -> object:
    """An instant is written out, with its zone: no number is one."""
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("give an instant with its zone, like 2024-02-23T21:30:00Z")
    return datetime.fromisoformat(value)


_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})")
Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]  # fmt: skip
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./ -]*$")]
OrderId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:/-]+$")]
_INK = r"[^\s\u001c-\u001f\u0085]"  # the last ones are blank to some who read patterns, and not to others
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=rf"^{_INK}(.*{_INK})?$")]
Contract = Annotated[int, Field(ge=1, le=99_999_999, description="as 202403"), BeforeValidator(_whole)]
Quantity = Annotated[float, Field(allow_inf_nan=False, description="whole contracts, bought positive")]
Price = Annotated[float, Field(allow_inf_nan=False, description="the limit price; null at market")]
_MODE = "all or nothing, the longest prefix, or the largest scale"
_NETTED = f"judged as if filled together; with mode prefix, of {MOST_NETTED_PREFIX} orders at most (prefix_too_long)"
ListMode = Literal["all", "prefix", "scale"]
Shown = Literal["all", "limited", "none"]


class Body(BaseModel):
    """A request: nothing in it that is not known, nothing converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CheckOrder(Body):
    """One order that somebody would send."""

    strategy: Name
    instrument: Name
    contract: Contract
    quantity_contracts: Quantity
    limit_points: Price | None = None

    def asked(self) -> Asked:
        """As the engine takes it."""
        return Asked(self.strategy, self.instrument, self.contract, self.quantity_contracts, self.limit_points)


class ReserveOrder(CheckOrder):
    """One order for which headroom is to be held."""

    order_id: OrderId = Field(description="an id of its own: asking again with it holds nothing twice")

    def asked(self) -> Asked:
        """As the engine takes it."""
        return super().asked()._replace(order_id=self.order_id)


class CheckList(Body):
    """Orders judged together."""

    orders: Annotated[list[CheckOrder], Field(min_length=1, max_length=MOST_ORDERS)]
    mode: ListMode = Field("all", description=_MODE)
    netted: bool = Field(False, description=_NETTED)


class ReserveList(Body):
    """Orders judged together, for which headroom is to be held."""

    orders: Annotated[list[ReserveOrder], Field(min_length=1, max_length=MOST_ORDERS)]
    mode: ListMode = Field("all", description=_MODE)
    netted: bool = Field(False, description=_NETTED)


class FillOrder(Body):
    """Contracts that were filled, of an order at work or of none."""

    strategy: Name
    instrument: Name
    contract: Contract
    quantity_contracts: Quantity
    order_id: OrderId | None = None
    fill_id: OrderId | None = Field(None, description="an id of its own: told again with it, the fill counts once")

    def asked(self) -> Asked:
        """As the engine takes it."""
        named = self.order_id or ""
        return Asked(self.strategy, self.instrument, self.contract, self.quantity_contracts, None, named)


class Fills(Body):
    """Fills, in the order they happened."""

    fills: Annotated[list[FillOrder], Field(min_length=1, max_length=MOST_NAMED)]


class Releases(Body):
    """Orders that were cancelled or rejected."""

    order_ids: Annotated[list[OrderId], Field(min_length=1, max_length=MOST_NAMED)]


class NewHalt(Body):
    """A halt to set."""

    scope: Literal["everything", "strategy", "instrument"]
    item: Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9_./ -]*$")] = Field(
        "", description="the strategy or the instrument"
    )
    mode: Literal["reduce_only", "close_only", "nothing"]
    who: Words
    why: Words
    until: Instant | None = Field(None, description="with its zone; null until somebody resumes")


class Resumed(Body):
    """Who ends a halt, and why."""

    who: Words
    why: Words


# --- answers ----------------------------------------------------------------------------------------------------------
class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class ProblemTold(Told):
    """Why a request was not answered as asked."""

    code: str = Field(description="for programs")
    message: str = Field(description="for people: what was found and what to do")


class ReasonTold(Told):
    """Why an order is refused or warned of."""

    code: str
    message: str


class RuleTold(Told):
    """One rule's part of a decision. Numbers that are not finite are null: a limit that is not set."""

    rule: str
    axis: str
    element: str
    value: float | None
    warn: float | None
    limit: float | None
    outcome: Literal["pass", "warn", "refuse"]
    unit: str
    headroom: float | None


class VersionsTold(Told):
    """What a decision was made from."""

    book: int
    market: str
    configuration: str


class DecisionTold(Told):
    """The answer about one order."""

    decision: Literal["pass", "warn", "refuse"]
    strategy: str
    instrument: str
    contract: int
    quantity_contracts: float | None
    limit_points: float | None
    order_id: str
    granted_contracts: int
    reasons: list[ReasonTold]
    rules: list[RuleTold]
    versions: VersionsTold
    microseconds: float


class DecisionsTold(Told):
    """Answers about a list, in its order."""

    decisions: list[DecisionTold]


class FillTold(Told):
    """What an order still holds after its fill. With a problem nothing was booked."""

    order_id: str | None
    left_contracts: int | None
    problem: ProblemTold | None


class FillsTold(Told):
    """Fills as they were booked, in their order."""

    fills: list[FillTold]


class ReleaseTold(Told):
    """How many contracts an order held; 0 where it was not at work."""

    order_id: str
    released_contracts: int


class ReleasesTold(Told):
    """Orders that hold nothing any more."""

    releases: list[ReleaseTold]


class KeptTold(Told):
    """A decision of the past, as it was kept."""

    model_config = ConfigDict(extra="allow")

    decision: str
    at: str


class PastTold(Told):
    """Decisions of the past, the newest last."""

    decisions: list[KeptTold]


class LimitTold(Told):
    """A level that is in force."""

    rule: str
    axis: str
    element: str
    warn: float | None
    refuse: float | None
    judges_reducing: bool
    missing: Literal["refuse", "warn"]
    unit: str


class LimitsTold(Told):
    """Limits in force, of the session they were compiled for."""

    session: date
    configuration: str
    total: int = Field(description="how many there are; those listed are the first of them")
    limits: list[LimitTold]


class HeadroomTold(Told):
    """How many contracts could be bought and sold now, and each rule at one contract bought."""

    strategy: str
    instrument: str
    contract: int
    buy_contracts: int
    sell_contracts: int
    rules: list[RuleTold]


class HaltTold(Told):
    """A halt in force."""

    halt_id: str
    scope: str
    item: str
    mode: str
    who: str
    why: str
    since: datetime
    until: datetime | None


class HaltsTold(Told):
    """Halts in force."""

    halts: list[HaltTold]


class HealthTold(Told):
    """The process answers."""

    alive: bool


class ReadyTold(Told):
    """Whether orders can be judged: each part, and a sentence where it is not well."""

    ready: bool
    parts: dict[str, str]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Statuses of an operation beside its good one, for the schema."""
    from pipelines.risk_server.problems import STATUSES

    return {status: {"model": ProblemTold, "description": STATUSES[status]} for status in statuses}
