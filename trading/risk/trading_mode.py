"""The rule on instruments that are not traded freely. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule_for_all


@risk_rule_for_all
def trading_mode(exposure: Exposure, limits: Limits) -> list[Breach]:
    """An instrument whose `trading_mode` is reduce_only takes orders that reduce a position, and none takes none."""
    order = exposure.order
    if order is None:
        return []
    mode = limits.of(order.instrument, order.strategy).trading_mode
    if mode == "free" or (mode == "reduce_only" and exposure.reduces):
        return []
    taken = "none" if mode == "none" else "those that reduce a position"
    text = f"{order.instrument}: trading_mode is {mode}, so of its orders it takes {taken}. Wait, or set it to free."
    return [Breach("trading_mode", order.instrument, 1.0, 0.0, text)]
