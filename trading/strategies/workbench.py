"""What several backtests over one panel share, so that it is calculated once.

Belongs here: remembering arrays by what they were made of, in bounded number. Does not belong here: calculating them.

Whoever runs a batch makes one, gives it to each run and lets it go with the batch. What it hands out must not be
changed. Threads may share one: at worst a value is calculated twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from trading.backtest.panel import Panel

T = TypeVar("T")
REMEMBERED = 64  # arrays of a panel of 40 instruments and 50 years are 4 MB each


class Workbench:
    """Values made of one panel, the least recently used forgotten beyond `remembered`."""

    def __init__(self, panel: Panel, remembered: int = REMEMBERED) -> None:
        self.panel = panel
        self._remembered = remembered
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self._parts: OrderedDict[tuple[str, ...], Workbench] = OrderedDict()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made where it is not remembered."""
        found = self._values.pop(key, None)
        if found is None:
            found = make()
        self._values[key] = found
        while len(self._values) > self._remembered:
            self._values.popitem(last=False)
        return cast(T, found)

    def only(self, instruments: tuple[str, ...]) -> Workbench:
        """The workbench of some of the panel's instruments, kept for the next who asks."""
        if instruments == self.panel.instruments:
            return self
        found = self._parts.pop(instruments, None) or Workbench(self.panel.only(instruments), self._remembered)
        self._parts[instruments] = found
        while len(self._parts) > 4:
            self._parts.popitem(last=False)
        return found
