"""The rule on instruments in dispute with the broker. Does not belong here: what puts them there
(`trading/book/breaks.py`)."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule_for_all


@risk_rule_for_all
def instrument_lock(exposure: Exposure, limits: Limits) -> list[Breach]:
    """An instrument whose contracts are in dispute takes no orders, reducing ones included: by whose count would they
    reduce?"""
    return [Breach("instrument_lock", code, 1.0, 0.0, reason) for code, reason in sorted(exposure.locks.items())]
