"""The rule on how many orders a session has. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def session_orders(exposure: Exposure, limits: Limits) -> list[Breach]:
    """No more than `trading.orders.max_per_session` orders of a session, those that reduce a position apart."""
    if exposure.orders <= limits.max_orders:
        return []
    text = (
        f"order {exposure.orders} of the session passes the limit of {limits.max_orders}. Find out why there are so "
        "many, or raise trading.orders.max_per_session."
    )
    return [Breach("session_orders", WHOLE_BOOK, float(exposure.orders), float(limits.max_orders), text)]
