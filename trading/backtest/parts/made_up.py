"""Prices made up from a seed: a panel for trying and testing strategies where there is no data.

Belongs here: the panel and its source. Does not belong here: the simulated market that a desk can trade
(`trading/market/simulation.py`), which is slower and has contracts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from pydantic import Field

from trading.backtest.panel import Panel
from trading.backtest.registry import data_source
from trading.backtest.specification import DataSource, WeekendRows
from trading.config.settings import Code, Settings

FIRST = np.datetime64("2000-01-03")
START_POINTS, DAILY_POINTS = 100.0, 1.0


class MadeUp(Settings):
    """Parameters of `made_up`."""

    instruments: tuple[Code, ...] = Field(("AAA", "BBB"), min_length=1, max_length=2000, description="instruments")
    sessions: int = Field(1000, ge=2, le=20_000, description="sessions, from 2000-01-03 on")
    seed: int = Field(0, ge=0, description="another seed, other prices")


def made_up_panel(instruments: Sequence[str], sessions: int = 1000, seed: int = 0) -> Panel:
    """Random walks of a point a day from 100 points, one for each instrument, in dollars, with no rolls and no costs.

    An instrument's prices depend on its name, the seed and nothing else: the first sessions of a longer panel are those
    of a shorter one.
    """
    codes = tuple(sorted(instruments))
    days = np.busday_offset(FIRST, np.arange(sessions))
    price = START_POINTS + np.cumsum(np.column_stack([_moves(code, sessions, seed) for code in codes]), axis=0)
    shape, width = price.shape, len(codes)
    years = days[[0, -1]].astype("datetime64[Y]") + np.array([0, 1])
    first_day, after = years.astype("datetime64[D]")
    calendar_days = int((after - first_day).astype(np.int64))
    starts, ends, none = np.zeros(width, np.int64), np.full(width, sessions - 1), np.zeros(width)
    return Panel(
        sessions=days, instruments=codes, currencies=("USD",) * width, base="USD",
        version=_version(codes, sessions, seed), first=starts, last=ends, held_first=starts, held_last=ends,
        price=price, held=price.copy(), carry=np.zeros(shape), rolls=np.zeros(shape), rate=np.ones(shape),
        first_day=first_day, rate_midnight=np.ones((calendar_days, width)),
        point_value=np.ones(shape), slippage=none, per_contract=none, per_trade=none, fraction=none,
        rolls_a_year=none, anchor=none,
    )  # fmt: skip


def _moves(code: str, sessions: int, seed: int) -> np.ndarray:
    own = int.from_bytes(hashlib.sha256(f"{seed} {code}".encode()).digest()[:8], "big")
    return np.random.default_rng(own).normal(0.0, DAILY_POINTS, sessions)


def _version(codes: Sequence[str], sessions: int, seed: int) -> str:
    return hashlib.sha256(f"made up {','.join(codes)} {sessions} {seed}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MadeUpPanels:
    """Panels of made-up prices; everything is in dollars, and nothing has rows on weekends."""

    asked: MadeUp

    def instruments(self) -> Sequence[str]:
        """As the Protocol."""
        return sorted(self.asked.instruments)

    def version(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> str:
        """As the Protocol."""
        return _version(sorted(instruments), self._sessions(through), self.asked.seed)

    def panel(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> Panel:
        """As the Protocol."""
        return made_up_panel(instruments, self._sessions(through), self.asked.seed)

    def _sessions(self, through: date | None) -> int:
        if through is None:
            return self.asked.sessions
        reached = int(np.busday_count(FIRST, np.datetime64(through, "D") + 1))
        return min(max(reached, 0), self.asked.sessions)


@data_source(version="1", parameters=MadeUp)
def made_up(parameters: MadeUp) -> DataSource:
    """Random walks from a seed, for trying and testing strategies."""
    return MadeUpPanels(parameters)
