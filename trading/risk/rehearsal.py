"""The engine tried once on a book of two instruments, so that its machine code is made and kept for later processes.

Belongs here: calling everything that compiles. Does not belong here: judging anything that matters.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.market import DIMENSIONS, Market, group


def rehearse() -> None:
    """Checks, holds, fills, releases and expires orders of a made-up book."""
    market = _market()
    held = {("one", "A", 1): 3}
    book = Book(1e6, 1e6, held, held, standing={WHOLE: Standing()}, strategies=("one",))
    desk = DeskSettings.model_validate({"risk": {"limits": [{"rule": "net_exposure", "warn": 0.0, "refuse": 0.5}]}})
    engine = RiskEngine(desk, market, book)
    pair = [Asked("one", "A", 1, 2, None, "a"), Asked("one", "B", 1, -2, 99.0, "b")]
    engine.check(pair[0])
    engine.check_each(pair)
    engine.check_list(pair, "scale", netted=True)
    engine.reserve_list(pair, "prefix", expires=1.0)
    engine.fill(pair[0])
    engine.release("b")
    engine.reserve(pair[1], expires=1.0)
    engine.expire(2.0)
    engine.standing()
    engine.load(market, book)


def _market() -> Market:
    """Two instruments of one contract each."""
    two, none = np.ones(2), np.zeros((0, 2))
    return Market(
        version="rehearsal", session=date(2000, 1, 3), instruments=("A", "B"), contracts=(("A", 1), ("B", 1)),
        contract_instrument=np.arange(2), mark_points=100.0 * two, mark_age_sessions=0.0 * two,
        notional_base=1e5 * two, roll_state=np.zeros(2, np.int64), volatility_base=1e3 * two, median_volume=1e3 * two,
        low_volume=1e2 * two, spread_fraction=1e-4 * two, margin_base=4e3 * two,
        groups={name: group(["all", "all"]) for name in DIMENSIONS}, factor_loadings=none, component_loadings=none,
        stresses=none, scenarios=np.array([[1.0, -2.0], [-1.0, 1.0]]), covariance_loadings=np.ones((2, 1)),
        covariance_rest=two,
    )  # fmt: skip
