"""The daily engine: a strategy over a panel, from prices to positions.

Belongs here: the order of things, once. Does not belong here: forecasts and sizing (`trading/strategies`), fills, costs
and money (`accounts.py`), statistics (`trading/analytics`), or remembering results (`resources/`).

A position is decided with the close of a session from that session and earlier ones. What the close decides is the same
functions' last row, with what is really held in place of what the backtest held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.kernels.holdings import buffered_positions
from trading.strategies.optimal import Optimal, Sizing, optimal
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a strategy would hold and what it decides to hold, contracts, shape `(n_sessions, n_instruments)`; NaN
    outside an instrument's own rows."""

    optimal: Optimal
    positions: Floats


def instruments_of(strategy: StrategySettings, available: tuple[str, ...]) -> tuple[str, ...]:
    """The instruments a strategy trades of those available, in order. Raises CalculationError where there is none, or
    where one that it names is not there."""
    wanted = strategy.instruments or tuple(strategy.portfolio.weights) or available
    missing = sorted(set(wanted) - set(available))
    if missing or not wanted:
        raise CalculationError(
            f"strategy {strategy.name} trades {', '.join(missing) or 'nothing'}, and there are no such prices. Load "
            f"them, or correct `instruments` in the strategy's file. There are: {', '.join(available[:12])}."
        )
    return tuple(sorted(wanted))


def decisions(bench: Workbench, strategy: StrategySettings, sizing: Sizing, scale: Floats | None = None) -> Decisions:
    """Optimal and decided positions on every session. `scale`, shape `(n_sessions,)`, multiplies the optimal ones: what
    capital is, against the fixed capital of `sizing`."""
    wanted = optimal(bench, strategy, sizing)
    return Decisions(wanted, decided(bench, strategy, wanted, scale))


def decided(bench: Workbench, strategy: StrategySettings, wanted: Optimal, scale: Floats | None = None) -> Floats:
    """Positions after buffering, session after session."""
    panel, buffer = bench.panel, strategy.buffer
    position, width = wanted.notional, wanted.half_width
    if scale is not None:
        position, width = position * scale[:, None], width * scale[:, None]
    waits = strategy.execution.fills == "when_traded"
    tradable = np.isfinite(panel.price) if waits else np.ones(panel.price.shape, dtype=np.bool_)
    return buffered_positions(
        position, width, tradable, wanted.forecasts.first, wanted.forecasts.last, buffer.whole_contracts,
        buffer.trade_to == "edge", strategy.execution.start == "rounded",
    )  # fmt: skip
