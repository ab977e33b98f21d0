"""The pre-trade check of a session: which of its orders pass the limits, and which are refused, with the breach.

Belongs here: applying the engine to a session's orders one after another. Does not belong here: the engine
(`engine.py`), what the book and the market are (`trading/book/`, `risk_model.py`), or a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trading.book.orders import Order
from trading.config.models import DeskSettings
from trading.risk.announced import NOTHING_HELD, Held
from trading.risk.book import Book, Holding
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.decision import Asked, Decision, Reason
from trading.risk.halts import Halt, modes
from trading.risk.kept import Kept
from trading.risk.market import Market
from trading.risk.reservations import UNREACHABLE

if TYPE_CHECKING:
    from trading.risk.engine import RiskEngine

Timer = Callable[[], float]
_NAMED = 3  # orders of others that a refusal names
MINUTE_S = 60.0  # what rates look back on
LONG_AGO_S = 3600.0


class Sending(NamedTuple):
    """When a session's orders go out: all of them at `at`, in seconds of any clock, after those that were `sent` before
    them, each with its second."""

    at: float
    sent: Sequence[tuple[float, Order]] = ()


class Verdict(NamedTuple):
    """What risk says of a session's orders: those that pass, and those that are refused with the first breach of each,
    both in order of id; and every decision, in the order they were made."""

    approved: list[Order]
    refused: list[tuple[Order, Breach]]
    decisions: list[Decision]


def judged(
    orders: Sequence[Order], book: Book, market: Market, desk: DeskSettings, halts: Sequence[Halt] = (),
    timer: Timer | None = None, sending: Sending | None = None, held: Held = NOTHING_HELD, unknown: str = "",
) -> Verdict:  # fmt: skip
    """What becomes of a session's orders. `halts`: those in force. `timer`: seconds, for how long each decision took;
    without one, none. `sending`: when they go out, if they do as soon as they are judged; else nobody knows how close
    to each other they will be sent, and each counts as the only one of its minute. `held`: what others hold, of lines
    that the market has; its fills are in the book. `unknown`: why nobody knows what they hold; then only orders that
    reduce are judged, and the others refused.

    `book` counts orders already at work as filled. Orders that only reduce are judged first, and what passes
    counts as filled for those behind it, so that the room they make is there for the others; as a trade of the
    last minute it does not count. Raises ConfigError where limits mean nothing.
    """
    if not orders:
        return Verdict([], [], [])
    from trading.risk.engine import RiskEngine, no_time  # machine code, which settings need not wait for

    engine = RiskEngine(desk, market, book, timer=timer or no_time)
    if halts:
        engine.stop(modes(halts, engine.strategies, engine.instruments, max(halt.since for halt in halts)))
    if sending is not None:
        _count_sent(engine, sending, market)
    _hold(engine, held, -LONG_AGO_S if sending is None else sending.at - LONG_AGO_S)
    adding = {order.order_id for order in adding_orders(orders, book.positions)}
    times = (MINUTE_S * number if sending is None else sending.at for number in range(len(orders)))
    decided = [
        (order, _closed(engine, order, unknown) if unknown and order.order_id in adding
         else _decided(engine, order, now, held.unsure))
        for order, now in zip(_reducing_first(orders, adding), times, strict=True)
    ]  # fmt: skip
    approved = [order for order, decision in decided if decision.passed]
    refused = [(order, _beside(breach_of(decision), order, held)) for order, decision in decided if not decision.passed]
    return Verdict(
        sorted(approved, key=_id), sorted(refused, key=lambda pair: _id(pair[0])), [decision for _, decision in decided]
    )


def unkept(decisions: Iterable[Decision], kept: Iterable[Kept]) -> list[Decision]:
    """Decisions that are not kept already: a close that is taken again decides the same again. The same is an order of
    that id for as many contracts that came to the same by the same configuration; of each order its newest counts."""
    known: dict[str, tuple[object, ...]] = {}
    for each in kept:  # the newest first
        known.setdefault(each.asked.order_id, _said(each))
    return [each for each in decisions if known.get(each.asked.order_id) != _said(each)]


def _said(found: Decision | Kept) -> tuple[object, ...]:
    return found.asked.quantity_contracts, found.outcome, found.versions.configuration


def asked_of(order: Order) -> Asked:
    """An order as the engine is asked about it: at market."""
    return Asked(order.strategy, order.instrument, order.contract, order.quantity_contracts, None, order.order_id)


def breach_of(decision: Decision) -> Breach:
    """The first reason of a refusal as a breach. Its item is the book where the whole of it is what passes a limit."""
    reason = decision.reasons[0]
    rule = reason.code.removeprefix("missing:")
    found = next((each for each in decision.rules if each.rule == rule and each.outcome == "refuse"), None)
    if found is None:
        return Breach(reason.code, decision.asked.instrument, 1.0, 0.0, reason.message)
    item = WHOLE_BOOK if found.axis == "portfolio" else decision.asked.instrument
    return Breach(reason.code, item, found.value, found.limit, reason.message)


def _decided(engine: RiskEngine, order: Order, now: float, unsure: bool = False) -> Decision:
    """The decision, after which the engine's book has the order if it passed, and counts it. It is no trade yet: it is
    booked as one of long ago."""
    asked = asked_of(order)
    if unsure and _may_pass_a_limit(engine.check(asked, now)):
        return _closed(engine, order, _UNSURE)
    decision = engine.reserve(asked, now)
    if decision.passed:
        engine.fill(asked, now - LONG_AGO_S)
    return decision


def _beside(breach: Breach, order: Order, held: Held) -> Breach:
    """A breach with what strategies hold of the order's instrument, which nobody sees in the book."""
    names = [each.order_id for unit in held.units for each in unit.orders if each.instrument == order.instrument]
    if not names:
        return breach
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    said = f"{breach.message} That counts what the risk service holds: {', '.join(names[:_NAMED])}{more}."
    return replace(breach, message=said)


def _may_pass_a_limit(decision: Decision) -> bool:
    """Whether an order passes only because the book is past a limit without it."""
    from trading.risk.shared import is_past

    return decision.passed and is_past(decision)


def _closed(engine: RiskEngine, order: Order, why: str) -> Decision:
    """A refusal because nobody knows what others hold."""
    reason = Reason(UNREACHABLE, why)
    return Decision(asked_of(order), "refuse", 0, engine.versions, 0.0, lambda: ((reason,), ()))


_UNSURE = (
    "The log of reservations was lost and put together from decisions, so more may seem to be held than is. With that "
    "the book is past a limit, and what adds to it does not go out. Close the session again when reservations of that "
    "time are over (risk.service.reservation_seconds)."
)


def _hold(engine: RiskEngine, held: Held, at: float) -> None:
    """Has what others hold count, but for no order of this session or minute."""
    orders = engine.session_orders
    for unit in held.units:
        engine.adopt(unit.orders, unit.netted, at)
    engine.session_orders = orders


def _count_sent(engine: RiskEngine, sending: Sending, market: Market) -> None:
    """Has orders that were sent before count in their minute, and for nothing else: the book knows of them."""
    orders, known = engine.session_orders, set(market.contracts)
    for at, order in sending.sent:
        if order.strategy in engine.strategies and (order.instrument, order.contract) in known:
            engine.adopt([asked_of(order)], now=at)
            engine.release(order.order_id)
    engine.session_orders = orders


def _reducing_first(orders: Sequence[Order], adding: Container[str]) -> list[Order]:
    """Orders that only reduce, then those that add, each in order of id."""
    return sorted(orders, key=lambda order: (order.order_id in adding, _id(order)))


def adding_orders(orders: Iterable[Order], positions: Mapping[Holding, int]) -> list[Order]:
    """Orders that do not only reduce: each by itself against what is held of its contract month and of its instrument,
    by all strategies, and of its instrument by its own."""
    held: dict[tuple[object, ...], int] = {}
    for (strategy, instrument, contract), contracts in positions.items():
        for key in _parts(strategy, instrument, contract):
            held[key] = held.get(key, 0) + contracts

    def reduces(order: Order) -> bool:
        sizes = [held.get(key, 0) for key in _parts(order.strategy, order.instrument, order.contract)]
        quantity = order.quantity_contracts
        return all(size * quantity < 0 and abs(quantity) <= abs(size) for size in sizes)

    return [order for order in orders if not reduces(order)]


def _parts(strategy: str, instrument: str, contract: int) -> tuple[tuple[object, ...], ...]:
    return (instrument, contract), (instrument,), (strategy, instrument)


def _id(order: Order) -> str:
    return order.order_id
