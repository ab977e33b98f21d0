"""Parts of a user's own, as a module named with --plugin would hold them: they count, wait, fail or eat memory as told.

Belongs here: what the tests of the factory run. Does not belong here: a test.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from trading.backtest.panel import Panel
from trading.backtest.parts.made_up import MadeUp, MadeUpPanels
from trading.backtest.registry import data_source, engine, strategy
from trading.backtest.result import Result
from trading.config.settings import Settings
from trading.errors import StoreBusy, UsageError
from trading.strategies.rule import Market, forecast_rule

SESSIONS = np.arange(np.datetime64("2020-01-06"), np.datetime64("2020-03-28"))
SESSIONS = SESSIONS[np.is_busday(SESSIONS)]
CODES = ("CORN", "US10")


class Told(Settings):
    """What a part of this module is told."""

    side: str = ""  # a file that gets a line each time
    wait_s: float = 0.0
    megabytes: int = 0
    killed: bool = False
    infinite: bool = False
    breaks: bool = False
    busy: int = 0  # how often the source is busy before it answers
    gate: str = ""  # a file that the source waits for before it makes a panel of the instruments `gated`
    gated: str = ""


def noted(side: str, word: str) -> int:
    """Adds a line to the side file; how many of this word there are then."""
    if not side:
        return 0
    with open(side, "a") as file:
        file.write(f"{word}\n")
    return Path(side).read_text().split().count(word)


def small_panel(codes: Sequence[str], through: date | None, version: str) -> Panel:
    """Prices that are row + 100 x column; the last instrument of CODES has none before March."""
    sessions = SESSIONS if through is None else SESSIONS[np.datetime64(through) >= SESSIONS]
    shape, width = (len(sessions), len(codes)), len(codes)
    price = np.arange(shape[0])[:, None] + 100.0 * np.arange(width)[None, :]
    whole, one = np.full(width, shape[0] - 1), np.ones(width)
    return Panel(
        sessions=sessions, instruments=tuple(codes), currencies=("USD",) * width, base="USD", version=version,
        first=np.zeros(width, np.int64), last=whole, held_first=np.zeros(width, np.int64), held_last=whole,
        price=price, held=price, carry=np.zeros(shape), rolls=np.zeros(shape), rate=np.ones(shape),
        first_day=np.datetime64("2020-01-01"), rate_midnight=np.ones((366, width)), point_value=np.ones(shape),
        slippage=one, per_contract=one, per_trade=one, fraction=one, rolls_a_year=one, anchor=one,
    )  # fmt: skip


@dataclass(frozen=True)
class SmallSource:
    """A source of small panels."""

    told: Told

    def instruments(self) -> Sequence[str]:
        """As the Protocol."""
        return CODES

    def version(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> str:
        """As the Protocol."""
        if noted(self.told.side, "asked") <= self.told.busy and self.told.busy:
            raise StoreBusy("the prices are being written by process 1. Wait for it.")
        threading.Event().wait(self.told.wait_s)
        return f"{','.join(instruments)} {base} {weekend_rows} {through}"

    def panel(self, instruments: Sequence[str], base: str, weekend_rows: str, through: date | None = None) -> Panel:
        """As the Protocol."""
        noted(self.told.side, "panel")
        while self.told.gated == ",".join(instruments) and not Path(self.told.gate).exists():
            threading.Event().wait(0.01)
        if unknown := set(instruments) - set(CODES):
            raise UsageError(f"no prices of {', '.join(unknown)}")
        version = f"{','.join(instruments)} {base} {weekend_rows} {through}"
        return small_panel(instruments, through, version)


@dataclass(frozen=True)
class CountingEngine:
    """Holds one contract; its curve is the session's place, with a NaN, a tiny number and a negative zero in it."""

    told: Told

    def evaluate(self, panel, strategy, capital_base, decided_by=None, costs=None, first=None, seed=0):
        """As the Protocol."""
        noted(self.told.side, "computed")
        if self.told.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.told.breaks:
            raise ZeroDivisionError("no volatility")
        eaten = np.ones(self.told.megabytes * 131_072)
        threading.Event().wait(self.told.wait_s)
        start = 0 if first is None else panel.row(first)
        sessions = panel.sessions[start:]
        positions = np.ones((len(sessions), len(panel.instruments))) + len(eaten) * 0
        if decided_by is not None:
            positions = decided_by.positions(panel, strategy, capital_base)[start:]
        if self.told.infinite:
            positions[3, 1] = np.inf
        net = np.arange(len(sessions)) / 3.0 + seed
        net[1:4] = np.nan, 5e-324, -0.0
        statistics = {"net_percent": {"sharpe": 1 / 3, "skew": float("nan"), "worst": float("-inf")}}
        return Result(sessions, panel.instruments, positions, {"net_percent": net, "net_base": net * 1e4}, statistics)


@data_source(version="1", parameters=Told)
def small(told: Told) -> SmallSource:
    """A small source."""
    return SmallSource(told)


@engine(version="1", parameters=Told, capabilities=("strategy",))
def counting(told: Told) -> CountingEngine:
    """Counts how often it computes."""
    return CountingEngine(told)


@strategy(version="7")
def two_each(_: Settings) -> object:
    """Two contracts of everything."""

    class TwoEach:
        def positions(self, panel, strategy, capital_base):
            return np.full(panel.price.shape, 2.0)

    return TwoEach()


@strategy(version="1")
def no_strategy(_: Settings) -> object:
    """Has no method at all."""
    return object()


class Days(Settings):
    """Parameters of the rule below."""

    days: int = 5


@forecast_rule(Days)
def rising(market: Market, given: Days) -> np.ndarray:
    """Ten where the price rose over some days, minus ten where it fell."""
    moved = np.full(market.price.shape, np.nan)
    moved[given.days :] = np.sign(market.price[given.days :] - market.price[: -given.days]) * 10.0
    return moved


class Reversed:
    """A source of made-up prices that is an object, not a registered part."""

    def __init__(self) -> None:
        self._own = MadeUpPanels(MadeUp(sessions=400))
        self.instruments, self.version, self.panel = self._own.instruments, self._own.version, self._own.panel
