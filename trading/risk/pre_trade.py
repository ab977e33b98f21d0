"""The pre-trade check of a session: which of its orders pass the limits, and which are refused, with the breach.

Belongs here: applying the engine to a session's orders one after another. Does not belong here: the engine
(`engine.py`), what the book and the market are (`trading/book/`, `risk_model.py`), or a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trading.book.orders import Order
from trading.config.models import DeskSettings
from trading.risk.book import Book
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.decision import Asked, Decision
from trading.risk.halts import Halt, modes
from trading.risk.kept import Kept
from trading.risk.market import Market

if TYPE_CHECKING:
    from trading.risk.engine import RiskEngine

Timer = Callable[[], float]


class Verdict(NamedTuple):
    """What risk says of a session's orders: those that pass, and those that are refused with the first breach of each,
    both in order of id; and every decision, in the order they were made."""

    approved: list[Order]
    refused: list[tuple[Order, Breach]]
    decisions: list[Decision]


def judged(
    orders: Sequence[Order], book: Book, market: Market, desk: DeskSettings, halts: Sequence[Halt] = (),
    timer: Timer | None = None,
) -> Verdict:  # fmt: skip
    """What becomes of a session's orders. `halts`: those in force. `timer`: seconds, for how long each decision took;
    without one, none.

    `book` counts orders already at work as filled. Orders that only reduce a contract month are judged first, and what
    passes counts as filled for those behind it, so that the room they make is there for the others. Raises ConfigError
    where limits mean nothing.
    """
    if not orders:
        return Verdict([], [], [])
    from trading.risk.engine import RiskEngine, no_time  # machine code, which settings need not wait for

    engine = RiskEngine(desk, market, book, timer=timer or no_time)
    if halts:
        engine.stop(modes(halts, engine.strategies, engine.instruments, max(halt.since for halt in halts)))
    decided = [(order, _decided(engine, order)) for order in _reducing_first(orders, book)]
    approved = [order for order, decision in decided if decision.passed]
    refused = [(order, breach_of(decision)) for order, decision in decided if not decision.passed]
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


def _decided(engine: RiskEngine, order: Order) -> Decision:
    """The decision, after which the engine's book has the order if it passed, and counts it."""
    asked = asked_of(order)
    decision = engine.reserve(asked)
    if decision.passed:
        engine.fill(asked)
    return decision


def _reducing_first(orders: Sequence[Order], book: Book) -> list[Order]:
    held: dict[tuple[str, int], int] = {}
    for (_, instrument, contract), contracts in book.positions.items():
        held[instrument, contract] = held.get((instrument, contract), 0) + contracts

    def adds(order: Order) -> bool:
        contracts = held.get((order.instrument, order.contract), 0)
        return contracts * order.quantity_contracts >= 0 or abs(order.quantity_contracts) > abs(contracts)

    return sorted(orders, key=lambda order: (adds(order), _id(order)))


def _id(order: Order) -> str:
    return order.order_id
