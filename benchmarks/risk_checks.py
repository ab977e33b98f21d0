"""Claim: one order is judged by every rule of the whole book in under 10 us at the median and 50 us at the 99th
percentile, with 1,000 positions and with 10,000 alike; 100,000 checks a second one by one, 1,000,000 in batches.

All rules on, each with a level that warns and one that refuses: rows, values and outcomes of all of them are there in
every answer. Reservation, fill and full recompute are timed beside, and for each the exponent b of N^b fitted over
books of 250 to 16,000 positions. Memory is read before and after --million checks. nautilus_trader's risk engine runs
in an environment of its own (`make .make/nautilus/installed`), interleaved, on one future: it checks each order alone
(precision, quantity, largest notional of an order, the account's free margin, its rate, whether trading is halted) and
changes the order's state; it knows no exposure, correlation, value at risk, liquidity or loss limits, no reservations
across orders and no lists. Ours does not look at the account's cash.

Exit code 1 where a bar is missed. Run: `python benchmarks/risk_checks.py [--rounds 5] [--million 10]`.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks import made_up_book
from benchmarks.desks.bars import Bars, machine, shown
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine

ROOT = Path(__file__).resolve().parents[1]
SIZES, GROWING = (1_000, 10_000), (250, 1_000, 4_000, 16_000)
CHECKS, BATCH, RESERVED = 20_000, 10_000, 5_000
P50_US, P99_US, SINGLE, BATCHED = 10.0, 50.0, 100_000.0, 1_000_000.0


class Peer:
    """nautilus_trader, in a process of its own."""

    def __init__(self, python: Path) -> None:
        command = [str(python), "-W", "ignore", str(ROOT / "benchmarks" / "peers" / "nautilus_child.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._heard()["version"]

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the peer ended: see what it wrote above.")
        found: dict[str, Any] = json.loads(line)
        return found

    def seconds(self, count: int) -> float:
        """Seconds for so many checks, all of which must pass."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        found = self._heard()
        assert found["passed"] == count, found
        return float(found["seconds"])

    def end(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=60)


def each(calls: list[Callable[[], object]]) -> np.ndarray:
    """Microseconds of every call."""
    taken, clock = np.empty(len(calls)), time.perf_counter_ns
    for number, call in enumerate(calls):
        began = clock()
        call()
        taken[number] = clock() - began
    return taken / 1000.0


def checked(engine: RiskEngine, orders: list[Asked]) -> np.ndarray:
    """Microseconds of single checks."""
    gc.collect()
    return each([lambda asked=asked: engine.check(asked) for asked in orders])


def worked(engine: RiskEngine, orders: list[Asked], number: int) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds of reserving headroom for orders, and of filling them; fills are taken back afterwards."""
    named = [asked._replace(order_id=f"{number}/{asked.order_id}") for asked in orders]
    reserved = each([lambda asked=asked: engine.reserve(asked) for asked in named])
    filled = each([lambda asked=asked: engine.fill(asked) for asked in named])
    for asked in named:
        engine.fill(asked._replace(order_id="", quantity_contracts=-asked.quantity_contracts))
    return reserved, filled


def recomputed(engine: RiskEngine) -> float:
    """Milliseconds of making all sums anew."""
    began = time.perf_counter()
    engine.recompute()
    return (time.perf_counter() - began) * 1000.0


def batched(engine: RiskEngine, orders: list[Asked]) -> float:
    """Checks a second of a batch, each order for itself."""
    engine.check_each(orders[:10])
    began = time.perf_counter()
    engine.check_each(orders)
    return len(orders) / (time.perf_counter() - began)


def growth(sizes: list[int], taken: list[float]) -> float:
    """The exponent b of N^b, by least squares of logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(taken), 1)[0])


def sized(count: int, rounds: int, peer: Peer | None, bars: Bars) -> None:
    """One size of book: medians over rounds, in which the peer takes its turn."""
    engine, orders = made_up_book.engine(count), made_up_book.orders(CHECKS, count)
    assert set(engine.check_each(orders)) == {"pass"}, "what is timed is orders that pass"
    checked(engine, orders[:2000])
    worked(engine, orders[:200], 0)
    rows: dict[str, list[float]] = {}
    for number in range(1, rounds + 1):
        single = checked(engine, orders)
        reserved, filled = worked(engine, orders[:RESERVED], number)
        figures = {
            "check p50": np.percentile(single, 50), "check p99": np.percentile(single, 99),
            "checks/s": 1e6 / single.mean(), "checks/s in a batch": batched(engine, orders[:BATCH]),
            "reserve p50": np.percentile(reserved, 50), "reserve p99": np.percentile(reserved, 99),
            "fill p50": np.percentile(filled, 50), "fill p99": np.percentile(filled, 99),
            "recompute": recomputed(engine),
        }  # fmt: skip
        if peer is not None:
            figures["nautilus"] = peer.seconds(CHECKS) / CHECKS * 1e6
        for name, value in figures.items():
            rows.setdefault(name, []).append(float(value))
    told(count, len(engine.check(orders[0]).rules), {name: statistics.median(v) for name, v in rows.items()}, bars)


def told(count: int, rules: int, found: dict[str, float], bars: Bars) -> None:
    """The figures of one size, and the bars."""
    print(f"\n{count:,} positions, {rules} values of every order")
    bars.below("one check, p50", found["check p50"], P50_US, "us")
    bars.below("one check, p99", found["check p99"], P99_US, "us")
    bars.above("checks a second, one by one", found["checks/s"], SINGLE, "/s")
    bars.above("checks a second, in batches", found["checks/s in a batch"], BATCHED, "/s")
    for name in ("reserve", "fill"):
        print(f"  {name}: p50 {shown(found[f'{name} p50'])} us, p99 {shown(found[f'{name} p99'])} us")
    print(f"  full recompute: {shown(found['recompute'])} ms")
    if "nautilus" in found:
        ratio = found["nautilus"] / found["check p50"]
        print(f"  nautilus_trader, one order alone: {shown(found['nautilus'])} us a check ({ratio:.2f} of ours)")


def grown(bars: Bars) -> None:
    """Exponents over sizes of books."""
    taken: dict[str, list[float]] = {}
    for count in GROWING:
        engine, orders = made_up_book.engine(count), made_up_book.orders(CHECKS, count)
        checked(engine, orders[:2000])
        single = checked(engine, orders)
        reserved, filled = worked(engine, orders[:RESERVED], 0)
        again = [recomputed(engine) for _ in range(5)]
        figures = (("check", np.median(single)), ("reserve", np.median(reserved)), ("fill", np.median(filled)),
                   ("recompute", statistics.median(again)))  # fmt: skip
        for name, value in figures:
            taken.setdefault(name, []).append(float(value))
    print(f"\ngrowth with N over {', '.join(f'{size:,}' for size in GROWING)} positions")
    for name, values in taken.items():
        bars.below(f"{name}: exponent of N", growth(list(GROWING), values), 1.2 if name == "recompute" else 0.3, "")


def resident_mb() -> float:
    """Resident memory now, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def flat(million: int, bars: Bars) -> None:
    """Memory before and after so many checks, single ones and reservations that are released."""
    engine, orders = made_up_book.engine(1_000), made_up_book.orders(CHECKS, 1_000)
    checked(engine, orders)
    gc.collect()
    before, done = resident_mb(), 0
    while done < million * 1_000_000:
        for asked in orders:
            engine.check(asked)
        engine.check_each(orders)
        for asked in orders[:1000]:
            engine.reserve(asked)
            engine.release(asked.order_id)
        done += 2 * len(orders) + 1000
        print(f"\r  {done / 1e6:.1f} million checks, {resident_mb() - before:+.1f} MB", end="", flush=True)
    gc.collect()
    print()
    bars.below(f"growth of memory over {done:,} checks", resident_mb() - before, 10.0, "MB")


def main() -> int:
    """Prints all of it; 1 where a bar is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--million", type=int, default=10, help="checks over which memory must stay, in millions")
    asked.add_argument("--peer", type=Path, default=ROOT / ".make" / "nautilus" / "bin" / "python")
    given = asked.parse_args()
    print(machine())
    bars = Bars()
    peer = Peer(given.peer) if given.peer.exists() else None
    print(f"peer: nautilus_trader {peer.version}" if peer else f"no peer at {given.peer}: `make bench` installs it")
    for count in SIZES:
        sized(count, given.rounds, peer, bars)
    grown(bars)
    flat(given.million, bars)
    if peer is not None:
        peer.end()
    return 1 if bars.short else 0


if __name__ == "__main__":
    raise SystemExit(main())
