"""The book as the risk engine takes it: positions, what it stands at, and money.

Belongs here: the value. Does not belong here: how positions come about (`trading/book/`), or sums of them
(`engine.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

WHOLE = ""  # the key of the whole book beside names of strategies
Holding = tuple[str, str, int]  # strategy, instrument, contract


class Standing(NamedTuple):
    """What was lost, positive for a loss: in the session, in its week (from Monday), in base currency; and from the
    peak, as a fraction of it."""

    day_base: float = 0.0
    week_base: float = 0.0
    drawdown_fraction: float = 0.0


UNKNOWN = Standing(math.nan, math.nan, math.nan)  # of whom a book says nothing


@dataclass(frozen=True, slots=True)
class Book:
    """Contracts by (strategy, instrument, contract), now and at the session's open. Money in base currency:
    `capital_base` is what limits are fractions of, `equity_base` what the account is worth;
    `volatility_target_fraction` of capital a year. `standing` by strategy, and of the whole book under `WHOLE`; what
    of one that is not in it was lost is not known.
    `traded_contracts`: bought and sold in the session, by instrument. `locks`: instruments in dispute, with the
    reason. `orders`: of the session so far, those that only reduced apart."""

    capital_base: float
    equity_base: float
    positions: Mapping[Holding, int] = field(default_factory=dict)
    opening: Mapping[Holding, int] = field(default_factory=dict)
    volatility_target_fraction: float = 0.2
    standing: Mapping[str, Standing] = field(default_factory=dict)
    traded_contracts: Mapping[str, int] = field(default_factory=dict)
    locks: Mapping[str, str] = field(default_factory=dict)
    orders: int = 0
    strategies: tuple[str, ...] = ()
