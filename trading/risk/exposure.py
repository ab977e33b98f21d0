"""Exposure: the few numbers of the book that risk rules look at.

Belongs here: the value, and what an order does to it. Does not belong here: judging it (one file a rule), or orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trading.book.orders import Order
from trading.errors import CalculationError

Contract = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the book stands to lose by: contracts by (instrument, contract), all strategies together, orders at work
    included; the notional of one contract and money in base currency. `session_loss_base` is positive for a loss.
    `locks` are instruments that take no orders, each with the reason. `order` is the order that made the exposure what
    it is, where one did, `reduces` whether it only reduced a position, and `orders` how many so far did not."""

    contracts: Mapping[Contract, int]
    notional_base: Mapping[Contract, float]
    capital_base: float
    session_loss_base: float = 0.0
    locks: Mapping[str, str] = field(default_factory=dict)
    order: Order | None = None
    reduces: bool = False
    orders: int = 0

    def net_contracts(self, instrument: str) -> int:
        """Contracts of an instrument over all its contract months."""
        return sum(quantity for (code, _), quantity in self.contracts.items() if code == instrument)

    def instruments(self) -> list[str]:
        """Instruments held or at work, sorted."""
        return sorted({code for code, _ in self.contracts})

    def gross_base(self, instrument: str | None = None) -> float:
        """Sum of absolute notionals, of one instrument or of all. Raises CalculationError where a contract has none."""
        held = ((key, abs(quantity)) for key, quantity in self.contracts.items() if quantity)
        return sum(size * self._notional(key) for key, size in held if instrument in (None, key[0]))

    def after(self, order: Order) -> Exposure:
        """The exposure if the order were filled."""
        key = (order.instrument, order.contract)
        held = self.contracts.get(key, 0) + order.quantity_contracts
        reduces = self.is_reduced_by(order)
        orders = self.orders + (not reduces)
        return replace(self, contracts={**self.contracts, key: held}, order=order, reduces=reduces, orders=orders)

    def is_reduced_by(self, order: Order) -> bool:
        """Whether the order only brings its contract month nearer to flat, without passing through."""
        held = self.contracts.get((order.instrument, order.contract), 0)
        return held * order.quantity_contracts < 0 and abs(order.quantity_contracts) <= abs(held)

    def _notional(self, key: Contract) -> float:
        if key not in self.notional_base:
            raise CalculationError(
                f"contract {key[1]} of {key[0]} has no price, so its exposure is unknown. Load prices for it."
            )
        return abs(self.notional_base[key])
