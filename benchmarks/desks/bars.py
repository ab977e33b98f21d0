"""Figures beside their bars: printed as one line each, and counted where they fall short.

Belongs here: the line and the count. Does not belong here: measuring.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass
class Bars:
    """What was held against a bar so far: `short` of them fell short."""

    short: int = 0

    def below(self, what: str, value: float, bar: float, unit: str) -> None:
        """A figure that must be below its bar."""
        self._say(what, value, f"below {bar:,g} {unit}", unit, value < bar)

    def above(self, what: str, value: float, bar: float, unit: str) -> None:
        """A figure that must reach its bar."""
        self._say(what, value, f"at least {bar:,g} {unit}", unit, value >= bar)

    def true(self, what: str, said: str, good: bool) -> None:
        """Something that must be so."""
        self.short += not good
        print(f"  {what:58} {said:>16}   {'pass' if good else 'SHORT'}", flush=True)

    def _say(self, what: str, value: float, bar: str, unit: str, good: bool) -> None:
        self.short += not good
        print(f"  {what:58} {shown(value):>9} {unit:6}   {bar}: {'pass' if good else 'SHORT'}", flush=True)


def shown(value: float) -> str:
    """A figure with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call in every round, all calls in each round; a round before them warms up. What a call returns
    is freed, and garbage collected, outside of the time."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            gc.collect()
            began = time.perf_counter()
            held = call()
            seconds = time.perf_counter() - began
            del held
            if number:
                taken[name].append(seconds)
    return taken


def beside(title: str, taken: Mapping[str, list[float]], scale: float, unit: str) -> None:
    """A table of medians, the first one's ratio to each, and the best of each."""
    first = statistics.median(next(iter(taken.values())))
    print(f"  {title}")
    for name, values in taken.items():
        median = statistics.median(values)
        print(
            f"    {name:56} {shown(median * scale):>9} {unit:3} x {shown(median / first):>7}   best "
            f"{shown(min(values) * scale)}"
        )


def percentile(ordered: list[int] | list[float], per_thousand: float) -> float:
    """Of sorted values: the one that so many of a thousand are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * per_thousand / 1000))]


def machine() -> str:
    """The machine's processors, and how many wanted them in the last minute."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
