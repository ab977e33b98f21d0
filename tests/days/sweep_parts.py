"""A source of prices that wander, as a user's own module would hold it: what the tests of sweeps run on.

Belongs here: the source. Does not belong here: a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading.backtest.panel import Panel
from trading.backtest.registry import data_source
from trading.config.settings import Settings

CODES = ("CORN", "US10")


@dataclass(frozen=True)
class WanderingSource:
    """Two instruments whose prices are sums of random numbers, 700 sessions."""

    def instruments(self) -> Sequence[str]:
        """As the Protocol."""
        return CODES

    def version(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> str:
        """As the Protocol."""
        return f"{','.join(instruments)} {base} {weekend_rows} {through}"

    def panel(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> Panel:
        """As the Protocol."""
        days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2020-09-05"))
        sessions = days[np.is_busday(days)]
        shape, width = (len(sessions), len(instruments)), len(instruments)
        price = 500.0 + np.random.default_rng(5).normal(0.05, 1.0, (shape[0], 2)).cumsum(axis=0)[:, :width]
        last, one = np.full(width, shape[0] - 1), np.ones(width)
        return Panel(
            sessions=sessions, instruments=tuple(instruments), currencies=("USD",) * width, base="USD",
            version=self.version(instruments, base, weekend_rows, through), first=np.zeros(width, np.int64), last=last,
            held_first=np.zeros(width, np.int64), held_last=last, price=price, held=price, carry=np.zeros(shape),
            rolls=np.zeros(shape), rate=np.ones(shape), first_day=np.datetime64("2018-01-01"),
            rate_midnight=np.ones((1096, width)), point_value=np.full(shape, 10.0), slippage=one * 0.05,
            per_contract=one, per_trade=one * 0, fraction=one * 0, rolls_a_year=one * 4, anchor=one * 0,
        )  # fmt: skip


@data_source(version="1", parameters=Settings)
def wandering(_: Settings) -> WanderingSource:
    """Prices that wander."""
    return WanderingSource()
