"""What an order of a symbol may do, read from a snapshot at once, and the comparison.

Belongs here: the limits of one symbol that an order meets, and comparing. Does not belong here: the rules of the whole
book (`trading/risk/`), which judge after this, or where the values lie (`snapshot.py`).
"""

from __future__ import annotations

from typing import NamedTuple


class OrderLimits(NamedTuple):
    """Of one symbol. Contracts either way; `max_exposure_base` is the largest |notional| of the instrument, base
    currency; `limit_offset_fraction` of the reference price."""

    max_position_contracts: int
    max_order_contracts: int
    max_exposure_base: float
    trading_mode: str
    order_type: str
    limit_offset_fraction: float

    def passed_by(self, order_contracts: int, position_contracts: int, notional_base: float) -> str | None:
        """The name of the first limit that an order would pass, or None: it may be sent.

        `order_contracts` signed; `position_contracts` signed, before the order, orders at work included;
        `notional_base` of one contract. At the limit is within it. An order that only brings the position nearer to
        flat is let through unless nothing is, as by the rules of `trading/risk/`.
        """
        if self.trading_mode == "none":
            return "trading_mode"
        if order_contracts * position_contracts < 0 and abs(order_contracts) <= abs(position_contracts):
            return None
        if self.trading_mode != "free":
            return "trading_mode"
        if abs(order_contracts) > self.max_order_contracts:
            return "max_order_contracts"
        after = abs(position_contracts + order_contracts)
        if after > self.max_position_contracts:
            return "max_position_contracts"
        # Written so that a notional that is no number passes no limit unseen.
        return None if after * abs(notional_base) <= self.max_exposure_base else "max_exposure_fraction"
