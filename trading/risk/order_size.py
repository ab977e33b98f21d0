"""The rule on contracts of one order. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def order_size(exposure: Exposure, limits: Limits) -> list[Breach]:
    """No order of more than `max_order_contracts` of its instrument."""
    order = exposure.order
    if order is None:
        return []
    size, most = abs(order.quantity_contracts), limits.of(order.instrument, order.strategy).max_order_contracts
    if size <= most:
        return []
    text = (
        f"{order.instrument}: an order of {size} contracts passes the limit of {most}. Look at what it is for, or "
        "raise max_order_contracts."
    )
    return [Breach("order_size", order.instrument, float(size), float(most), text)]
