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
from trading.backtest.rehearsal import made_panel
from trading.backtest.specification import DataSource, WeekendRows
from trading.config.settings import Code, Settings

FIRST = "2000-01-03"
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
    codes = sorted(instruments)
    walks = {code: START_POINTS + np.cumsum(_moves(code, sessions, seed)) for code in codes}
    return made_panel(walks, FIRST, version=_version(codes, sessions, seed))


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
        reached = int(np.busday_count(np.datetime64(FIRST), np.datetime64(through, "D") + 1))
        return min(max(reached, 0), self.asked.sessions)


@data_source(version="1", parameters=MadeUp)
def made_up(parameters: MadeUp) -> DataSource:
    """Random walks from a seed, for trying and testing strategies."""
    return MadeUpPanels(parameters)
