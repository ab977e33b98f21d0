"""How far sums that an engine keeps through a session are from sums made anew.

Belongs here: taking an engine through a session's fills and orders, and how far apart is too far. Does not belong here:
the sums (`trading/kernels/risk_checks.py`), reading anything, or what is shown of it (`checks/risk_sums.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from trading.risk.decision import Asked
from trading.risk.engine import Drift, RiskEngine

LARGEST = 1e-9  # as `Drift` says it: rounding of a session, or of a minute of the service, is far less


def drift_through(engine: RiskEngine, fills: Iterable[Asked], orders: Iterable[Asked]) -> Drift:
    """The drift after a session: each fill moves the book, then each approved order is held and booked, as the close
    does it. Raises UsageError on what the engine does not know."""
    for fill in fills:
        engine.fill(fill)
    for order in orders:
        engine.adopt([order])
        engine.fill(order)
    return engine.recompute()


def too_far(found: Drift) -> bool:
    """Whether limits cannot be judged by such sums; a sum that is no number is too far from any."""
    return math.isnan(found.largest) or found.largest > LARGEST
