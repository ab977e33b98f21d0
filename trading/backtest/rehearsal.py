"""Made-up markets to try a strategy on, for tests of strategies, rules and parts of one's own.

Belongs here: panels without data. Does not belong here: the simulated market a desk can be run on
(`trading/market/simulation.py`), which has contracts, rolls and files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from trading.backtest.panel import Floats, Panel

FIRST = "2015-01-01"


def made_panel(prices: Mapping[str, Sequence[float]], first: str = FIRST, carry: float = 0.0) -> Panel:
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
        sessions=sessions, instruments=codes, currencies=("USD",) * len(codes), base="USD", version="rehearsal",
        first=starts, last=ends, held_first=starts, held_last=ends, price=price, held=np.abs(price) + 1.0,
        carry=np.where(present, carry, np.nan), rolls=np.zeros(rows), rate=np.ones(rows),
        first_day=year[0].astype("datetime64[D]"), rate_midnight=np.ones((int(days.astype(int)), len(codes))),
        point_value=np.ones(rows), slippage=none, per_contract=none, per_trade=none, fraction=none,
        rolls_a_year=4.0 * one, anchor=none,
    )  # fmt: skip


def random_walks(
    instruments: Sequence[str] = ("A", "B", "C"), sessions: int = 750, seed: int = 1, drift: float = 0.0
) -> Panel:
    """Prices that start at 100 and change by a normal step of deviation 1 around `drift` each session; the same for the
    same seed. A rule that earns on these without drift has seen the future."""
    steps = np.random.default_rng(seed).normal(drift, 1.0, (sessions, len(instruments)))
    walked: Floats = 100.0 + np.cumsum(steps, axis=0)
    return made_panel({code: walked[:, place].tolist() for place, code in enumerate(sorted(instruments))})


def cut(panel: Panel, rows: int) -> Panel:
    """The panel as it was known after its first `rows` sessions, where its source has nothing that comes later."""
    kept = {
        name: getattr(panel, name)[:rows] for name in ("sessions", "price", "held", "carry", "rolls", "rate",
                                                       "point_value")
    }  # fmt: skip
    last = np.array([_last(column) for column in kept["price"].T], dtype=np.int64)
    held_last = np.array([_last(column) for column in kept["held"].T], dtype=np.int64)
    return replace(panel, **kept, last=last, held_last=held_last)


def _last(column: Floats) -> int:
    present = np.flatnonzero(np.isfinite(column))
    return int(present[-1]) if len(present) else -1
