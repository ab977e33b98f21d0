"""A small desk for tests of what the risk engine keeps: three instruments, two strategies, a few limits; and a process
of its own that keeps decisions or holds headroom until it is killed.

Run as `python risk_desk.py COMMAND ARGUMENTS`. Belongs here: the desk, and what a child does. Does not belong here:
tests.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.decision_log import DecisionFiles
from trading.config.models import DeskSettings
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.kept import About
from trading.risk.market import DIMENSIONS, Market, group

SESSION = date(2024, 2, 23)
AT = datetime(2024, 2, 23, 15, 0, tzinfo=UTC)
CODES = ("CORN", "GOLD", "US10")
JUN = 20240600
LIMITS = [
    {"rule": "contract_position", "refuse": 10, "warn": 8},
    {"rule": "gross_exposure", "by": "sector", "sector": "grain", "refuse": 0.5},
]


def market(version: str = "facts") -> Market:
    """Facts by hand: a contract is worth 10,000, 20,000 and 100,000; US10 has no margin that is known."""
    count, none = len(CODES), np.zeros((0, len(CODES)))
    return Market(
        version, SESSION, CODES, tuple((code, JUN) for code in CODES), np.arange(count),
        np.array([400.0, 2000.0, 110.0]), np.zeros(count), np.array([1e4, 2e4, 1e5]), np.zeros(count, int),
        np.array([150.0, 200.0, 400.0]), np.full(count, 1e4), np.full(count, 5e3), np.full(count, 1e-4),
        np.array([900.0, 1500.0, np.nan]),
        {name: group(["grain", "metal", "bond"]) if name == "sector" else group(["one"] * count)
         for name in DIMENSIONS},
        (), none, none, (), none, np.zeros((20, count)), np.zeros((count, 1)), np.full(count, 1e4),
    )  # fmt: skip


def book(positions: dict[tuple[str, str, int], int] | None = None) -> Book:
    """A million of capital, and these positions."""
    held = positions or {}
    return Book(1e6, 1e6, held, held, 0.2, strategies=("carry", "trend"))


def desk(limits: list[dict[str, object]] | None = None) -> DeskSettings:
    """Settings with these limits."""
    return DeskSettings.model_validate({"risk": {"limits": LIMITS if limits is None else limits}})


def engine(
    limits: list[dict[str, object]] | None = None, positions: dict[tuple[str, str, int], int] | None = None
) -> RiskEngine:
    """An engine on all that."""
    return RiskEngine(desk(limits), market(), book(positions), "settings")


def asked(quantity: float, instrument: str = "GOLD", strategy: str = "trend", order_id: str = "") -> Asked:
    """An order of June."""
    return Asked(strategy, instrument, JUN, quantity, None, order_id)


def keep(folder: str, count: str, together: str) -> None:
    """Keeps decisions one after another, and says of each that it is kept, after it is."""
    judging, log = engine(), DecisionFiles(Path(folder), "child", segment_bytes=300_000)
    for first in range(0, int(count), int(together)):
        names = [f"o{first + number}" for number in range(int(together))]
        decisions = [judging.check(asked(1 + number % 12, order_id=name)) for number, name in enumerate(names)]
        log.append(decisions, About(AT + timedelta(milliseconds=first), SESSION))
        os.write(1, "".join(f"{name}\n" for name in names).encode())
    sys.stdin.read()


if __name__ == "__main__":
    {"keep": keep}[sys.argv[1]](*sys.argv[2:])
