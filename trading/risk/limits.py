"""The pre-trade check: which of a session's orders pass the limits, and which are refused, with the breach.

Belongs here: applying the rules to orders and to the book as it stands. Does not belong here: a rule (one file each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import trading.risk
from trading.book.orders import Order
from trading.discovery import find
from trading.risk.book_limits import Limits
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import RiskRule

NO_LOCKS: Mapping[str, str] = MappingProxyType({})


@cache
def rules() -> tuple[RiskRule, ...]:
    """Every risk rule there is, by name of its file. Looked for once: the files of a process do not change."""
    return tuple(find(trading.risk, RiskRule))


def breaches(exposure: Exposure, limits: Limits) -> list[Breach]:
    """Every limit the book passes as it stands."""
    return [found for rule in rules() for found in rule.judge(exposure, limits)]


def check_orders(
    orders: Sequence[Order],
    positions: Mapping[tuple[str, int], int],
    notional_base: Mapping[tuple[str, int], float],
    limits: Limits,
    capital_base: float,
    session_loss_base: float,
    locks: Mapping[str, str] = NO_LOCKS,
) -> tuple[list[Order], list[tuple[Order, Breach]]]:
    """Orders that pass, and orders refused with the first breach each would make or leave, both in order of id.

    `positions` by (instrument, contract) with orders already at work included; `notional_base` of one contract, base
    currency; `session_loss_base` positive for a loss; `locks` are instruments that take no orders, with the reason.
    Reducing orders of all others pass and are counted first, so that the room they make is there for the others. A
    breach counts against an order if it is of the order's instrument or of the whole book.
    """
    exposure = Exposure(positions, notional_base, capital_base, session_loss_base, locks)
    approved: list[Order] = []
    refused: list[tuple[Order, Breach]] = []
    for order in _reducing_first(orders, exposure):
        after = exposure.after(order)
        breach = _breach(order, after, limits, exposure.is_reduced_by(order))
        if breach is None:
            approved.append(order)
            exposure = after
        else:
            refused.append((order, breach))
    return sorted(approved, key=_id), sorted(refused, key=lambda pair: _id(pair[0]))


def _reducing_first(orders: Sequence[Order], exposure: Exposure) -> list[Order]:
    return sorted(orders, key=lambda order: (not exposure.is_reduced_by(order), _id(order)))


def _breach(order: Order, after: Exposure, limits: Limits, reduces: bool) -> Breach | None:
    concerned = (order.instrument, WHOLE_BOOK)
    judging = [rule for rule in rules() if not (reduces and rule.spares_reducing)]
    found = (breach for rule in judging for breach in rule.judge(after, limits))
    return next((breach for breach in found if breach.item in concerned), None)


def _id(order: Order) -> str:
    return order.order_id
