"""Panels of given prices, for tests of strategies, rules and parts of one's own.

Belongs here: panels whose every number can be worked by hand. Does not belong here: panels out of a seed
(`simulated.py`), or data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trading.backtest.panel import Floats, Panel

FIRST = "2015-01-01"


def made_panel(
    prices: Mapping[str, Sequence[float] | Floats], first: str = FIRST, carry: float = 0.0, version: str = "rehearsal"
) -> Panel:
    """A panel of given daily prices in points, by instrument, from a weekday on; NaN is a session without a price.

    Every point is worth one dollar, trading is free, nothing rolls, and the annualised roll is `carry` throughout.
    """
    codes = tuple(sorted(prices))
    price = np.column_stack([np.asarray(prices[code], dtype=np.float64) for code in codes])
    sessions = np.busday_offset(np.datetime64(first, "D"), np.arange(len(price)), roll="forward")
    year = sessions[[0, -1]].astype("datetime64[Y]")
    days = (year[1] + 1).astype("datetime64[D]") - year[0].astype("datetime64[D]")
    present = np.isfinite(price)
    starts = np.argmax(present, axis=0)
    ends = len(price) - 1 - np.argmax(present[::-1], axis=0)
    rows, one, none = price.shape, np.ones(len(codes)), np.zeros(len(codes))
    return Panel(
        sessions=sessions, instruments=codes, currencies=("USD",) * len(codes), base="USD", version=version,
        first=starts, last=ends, held_first=starts, held_last=ends, price=price, held=price.copy(),
        carry=np.where(present, carry, np.nan), rolls=np.zeros(rows), rate=np.ones(rows),
        first_day=year[0].astype("datetime64[D]"), rate_midnight=np.ones((int(days.astype(int)), len(codes))),
        point_value=np.ones(rows), slippage=none, per_contract=none, per_trade=none, fraction=none,
        rolls_a_year=4.0 * one, anchor=none,
    )  # fmt: skip
