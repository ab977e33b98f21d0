"""What a strategy trades of a panel, and what it sees of it: the one way from both to a workbench.

Belongs here: the instruments, the prices used, and where rows end, for backtests and for the close. Does not belong
here: forecasts and sizing (`mixture.py`, `optimal.py`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.strategies.workbench import Workbench


def bench_of(panel: Panel, strategy: StrategySettings, *, carried: bool = False) -> Workbench:
    """A workbench over the instruments of a panel that a strategy trades, and the prices it uses.

    `carried` is the end of a day: the instruments known by then, those listed and not in the panel left out, with rows
    that go on to the panel's last session (`carried_on`). Raises CalculationError where, not carried, the strategy has
    no instrument or one without prices, and UsageError where no price is left of `prices_since`.
    """
    used = panel if strategy.prices_since is None else panel.since(strategy.prices_since)
    if not carried:
        return Workbench(used).only(instruments_of(strategy, panel.instruments))
    known = sorted(set(listed(strategy) or panel.instruments) & set(panel.instruments))
    return Workbench(carried_on(used.only(known)))


def listed(strategy: StrategySettings) -> tuple[str, ...]:
    """The instruments a strategy names; empty: it trades all there are."""
    return strategy.instruments or tuple(strategy.portfolio.weights)


def instruments_of(strategy: StrategySettings, available: tuple[str, ...]) -> tuple[str, ...]:
    """The instruments a strategy trades of those available, in order. Raises CalculationError where there is none, or
    where one that it names is not there."""
    wanted = listed(strategy) or available
    missing = sorted(set(wanted) - set(available))
    if missing or not wanted:
        raise CalculationError(
            f"strategy {strategy.name} trades {', '.join(missing) or 'nothing'}, and there are no such prices. Load "
            f"them, or correct `instruments` in the strategy's file. There are: {', '.join(available[:12])}."
        )
    return tuple(sorted(wanted))


def carried_on(panel: Panel) -> Panel:
    """The panel with every instrument's rows going on to its last session: one that did not trade lately, on a holiday
    of its own, keeps what was known of it. One without rows has not begun, as in a longer panel in which it begins
    later: it is one of those the strategy trades all the same."""
    end = np.full(len(panel.instruments), len(panel.sessions) - 1, dtype=np.int64)
    first = np.where(panel.first <= panel.last, panel.first, end + 1)
    held_first = np.where(panel.held_first <= panel.held_last, panel.held_first, end + 1)
    return replace(panel, first=first, last=end, held_first=held_first, held_last=end)
