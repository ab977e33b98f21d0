"""A small desk for tests of what the risk engine keeps: three instruments, two strategies, a few limits; and a process
of its own that keeps decisions or holds headroom until it is killed.

Run as `python risk_desk.py COMMAND ARGUMENTS`. Belongs here: the desk, and what a child does. Does not belong here:
tests.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.decision_log import DecisionFiles
from resources.reservation_file import FileReservations
from resources.reservation_redis import RedisReservations
from trading.config.models import DeskSettings
from trading.errors import StoreError
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.kept import About
from trading.risk.market import DIMENSIONS, Market, group
from trading.risk.shared import Following, SharedEngine

SESSION = date(2024, 2, 23)
AT = datetime(2024, 2, 23, 15, 0, tzinfo=UTC)
CODES = ("CORN", "GOLD", "US10")
JUN = 20240600
_PAUSE = threading.Event()  # never set
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
    """A million of capital, nothing lost, and these positions."""
    held, names = positions or {}, ("carry", "trend")
    return Book(1e6, 1e6, held, held, 0.2, dict.fromkeys((WHOLE, *names), Standing()), strategies=names)


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


def shared(address: str) -> SharedEngine:
    """A worker whose book is shared at a Redis, or in a file."""
    log = RedisReservations(address, timeout_s=1.0) if "://" in address else FileReservations(Path(address))
    following = Following(1.0 if "://" in address else 0.0)
    return SharedEngine(desk(), market(), book(), log, time.time, "settings", time.monotonic, following)


def hold(address: str) -> None:
    """Is granted headroom for ever and gives it back, and says of each that it was granted, after it was."""
    worker, number = shared(address), 0
    while True:
        name = f"h{number}"
        if worker.reserve(asked(1, order_id=name), time.time()).passed:
            os.write(1, f"{name}\n".encode())
            worker.release(name)
            number += 1


ENOUGH, LONGEST_S = 40, 60.0


def trade(address: str, seconds: str, name: str, lost: str = "") -> None:
    """Four threads that reserve, fill and cancel for so long, and until enough was granted to say anything: if `lost`,
    also after the log could not be reached. Says that they began, what was filled, and what became of orders."""
    worker = shared(address)
    tally = {"granted": 0, "refused": 0, "unreachable": 0, "after": 0}
    filled: dict[str, int] = {}
    lock, until = threading.Lock(), time.time() + float(seconds)
    os.write(1, b"trading\n")

    def is_enough() -> bool:
        return tally["granted"] >= ENOUGH and (not lost or tally["after"] > 0)

    def one(thread: int) -> None:
        drawn, number = random.Random(f"{name}{thread}"), 0
        while time.time() < until or (not is_enough() and time.time() < until + LONGEST_S):
            number += 1
            step(worker, drawn, f"{name}-{thread}-{number}", tally, filled, lock)

    threads = [threading.Thread(target=one, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, f"{json.dumps({'filled': filled, 'counts': tally})}\n".encode())


def step(
    worker: SharedEngine, drawn: random.Random, name: str, tally: dict[str, int], filled: dict[str, int], lock: Any
) -> None:
    """One order, and what becomes of it."""
    code = drawn.choice(CODES[:2])
    order = asked(drawn.choice((-5, -3, -2, -1, 1, 2, 3, 5)), code, drawn.choice(("carry", "trend")), name)
    decision = worker.reserve(order, time.time(), time.time() + 5.0)
    unreachable = any(reason.code == "reservation_truth_unreachable" for reason in decision.reasons)
    with lock:
        tally["granted" if decision.passed else "unreachable" if unreachable else "refused"] += 1
        tally["after"] += bool(decision.passed and tally["unreachable"])
    if unreachable:
        _PAUSE.wait(0.05)
    if not decision.passed:
        return
    part = drawn.choice((0, 1, abs(int(order.quantity_contracts))))
    if part:
        done = order._replace(quantity_contracts=part if order.quantity_contracts > 0 else -part)
        persist(lambda: worker.fill(done, time.time(), f"fill-{name}"))
        with lock:
            filled[code] = filled.get(code, 0) + int(done.quantity_contracts)
    persist(lambda: worker.release(name))


def persist(act: Callable[[], object]) -> None:
    """Does it until it is done."""
    while True:
        try:
            act()
            return
        except StoreError:
            _PAUSE.wait(0.05)


if __name__ == "__main__":
    {"keep": keep, "hold": hold, "trade": trade}[sys.argv[1]](*sys.argv[2:])
