"""A process of its own that asks for a panel which others may be making: test_panel_files.py starts several at once.

Run as `python panel_maker.py ROOT VERSION MADE`: adds a line to the file MADE each time the panel is made here, and
prints the sum of its prices. Belongs here: the child and the panel it makes. Does not belong here: tests.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.panels import PanelFiles
from trading.backtest.market_days import DailySeries, Rates, Terms, conversion, joined
from trading.backtest.panel import Panel


def small(version: str, days: int = 700, first: float = 1.0) -> Panel:
    """Two instruments in dollars."""
    price = first + np.arange(float(days))
    series = {code: DailySeries(600, price, 600, price, price, np.zeros(days)) for code in ("A", "B")}
    terms = {code: Terms("USD", 10.0, rolls_a_year=4.0) for code in series}
    found = joined(series, terms, Rates("USD", {"USD": conversion("USD", "USD", ())}, {}), version)
    return replace(found, anchor=np.array([1.5, np.nan]))


def main(root: Path, version: str, made: Path) -> None:
    """Asks for the panel; making it takes a moment, so that others come meanwhile."""

    def maker() -> Panel:
        with made.open("a") as file:
            file.write("made\n")
        Event().wait(0.3)
        return small(version)

    print(float(PanelFiles(root).load(version, maker).price.sum()))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
