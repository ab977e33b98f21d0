"""A session's targets, held all at once, against the limits of the whole book.

Belongs here: the book of the targets, what it comes to, and which orders it stops. Does not belong here: limits on what
is held or on single orders (`pre_trade.py`), or what targets are (`trading/strategies/targets.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from trading.book.orders import Order
from trading.config.models import DeskSettings
from trading.risk.book import Book, Holding
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.decision import Judged
from trading.risk.limit_table import rules
from trading.risk.market import DIMENSIONS, Market
from trading.risk.pre_trade import adding_orders
from trading.strategies.targets import TargetRow

OF_THE_BOOK = ("POSITION", "GROSS", "NET", "LOSS", "RISK", "TAIL")  # forms of rules that targets are judged by


def targets_of(rows: Iterable[TargetRow]) -> dict[Holding, int]:
    """What would be held if every target were reached; nothing else is held then."""
    return {
        (row.strategy, row.instrument, row.contract): row.target_contracts for row in rows if row.target_contracts
    }  # fmt: skip


def judged_targets(targets: Mapping[Holding, int], book: Book, market: Market, desk: DeskSettings) -> list[Judged]:
    """Values of a book that holds the targets, by rule and element: those of positions and their risk. `book` is the
    one that orders are judged in (`trading.risk.standing.book_after`). Raises KeyError on a contract that the market
    does not have."""
    from trading.risk.engine import RiskEngine  # which loads compiled loops

    names = tuple(sorted({*book.strategies, *(strategy for strategy, _, _ in targets)}))
    of_book = {rule.name for rule in rules() if rule.form in OF_THE_BOOK}
    rows = RiskEngine(desk, market, replace(book, positions=dict(targets), strategies=names)).standing()
    return [row for row in rows if row.rule in of_book]


def gated(
    orders: Sequence[Order], targets: Mapping[Holding, int], book: Book, market: Market, desk: DeskSettings
) -> tuple[list[Order], list[tuple[Order, Breach]]]:
    """Orders that no refused target keeps back, and those that one does, with the breach: all that are part of what
    passes the limit, but those that only reduce what is held."""
    passed = [row for row in judged_targets(targets, book, market, desk) if row.outcome == "refuse"]
    adding = {order.order_id for order in adding_orders(orders, book.positions)}
    free, stopped = list[Order](), list[tuple[Order, Breach]]()
    for order in orders:
        of_it = (row for row in passed if order.order_id in adding and is_of(row, order, market))
        found = next(of_it, None)
        if found is None:
            free.append(order)
        else:
            stopped.append((order, _breach(found, order, desk)))
    return free, stopped


def is_of(row: Judged, order: Order, market: Market) -> bool:
    """Whether an order is part of what a value is measured of: of the whole book all are."""
    elements = {
        "strategy": order.strategy,
        "instrument": order.instrument,
        "contract": f"{order.instrument}/{order.contract}",
        "holding": f"{order.strategy}/{order.instrument}",
    }
    if row.axis in DIMENSIONS:
        group = market.groups[row.axis]
        return bool(group.names[group.codes[market.instruments.index(order.instrument)]] == row.element)
    return row.axis not in elements or elements[row.axis] == row.element


def _breach(row: Judged, order: Order, desk: DeskSettings) -> Breach:
    from trading.risk.wording import sentence

    rule = next(rule for rule in rules() if rule.name == row.rule)
    said = (
        f"The session's targets, all held, pass a limit: {sentence(rule, row, desk.capital.capital_base)} No order "
        "towards them leaves while risk.decisions.fail_on_targets is set."
    )
    item = WHOLE_BOOK if row.axis == "portfolio" else order.instrument
    return Breach(row.rule, item, row.value, row.limit, said)
