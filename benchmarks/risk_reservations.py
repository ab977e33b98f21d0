"""Claim: workers that share one truth of reservations pay one atomic round trip for each, and nothing for a question.

A book of 1,000 positions, all rules on. Orders are held and given back, one after another, by an engine alone (in
memory), by one worker with the log in a file and in Redis (a redis-server of its own, over the loopback), and by one
worker while another process does the same as fast as it can: then what it decided may be behind the log, and it takes
in what it missed and decides again. Questions that hold nothing are asked beside. Medians of interleaved rounds.

Run: `python benchmarks/risk_reservations.py [--rounds 5] [--orders 2000]`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks import made_up_book
from benchmarks.desks.bars import machine, shown
from benchmarks.risk_service import Redis
from resources.reservation_file import FileReservations
from resources.reservation_redis import RedisReservations
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.shared import BUSY, Following, SharedEngine

POSITIONS = 1_000
Engine = RiskEngine | SharedEngine


def log_at(address: str) -> FileReservations | RedisReservations:
    """The log in a file, or in the Redis at `redis://...`."""
    return RedisReservations(address, "made") if address.startswith("redis://") else FileReservations(Path(address))


def worker(address: str) -> SharedEngine:
    """One worker on the log at an address."""
    facts = made_up_book.market(POSITIONS)
    return SharedEngine(
        made_up_book.desk(), facts, made_up_book.book(facts), log_at(address), time.time, "made up", time.perf_counter,
        Following(0.0, 20_000),
    )  # fmt: skip


def held(engine: Engine, orders: list[Asked], name: str) -> np.ndarray:
    """Microseconds of holding headroom; each order is given back at once. NaN where others were faster each time."""
    taken = np.empty(len(orders))
    for number, asked in enumerate(orders):
        named = asked._replace(order_id=f"{name}/{number}")
        began = time.perf_counter()
        decision = engine.reserve(named, time.time(), time.time() + 60.0)
        taken[number] = (time.perf_counter() - began) * 1e6
        if decision.outcome == "pass":
            engine.release(named.order_id)
        else:
            assert decision.reasons[0].code == BUSY, decision.reasons
            taken[number] = np.nan
    return taken


def asked_of(engine: Engine, orders: list[Asked]) -> np.ndarray:
    """Microseconds of questions that hold nothing."""
    taken = np.empty(len(orders))
    for number, asked in enumerate(orders):
        began = time.perf_counter()
        engine.check(asked, time.time())
        taken[number] = (time.perf_counter() - began) * 1e6
    return taken


def contend(address: str) -> None:
    """Another worker that holds and gives back until it is ended."""
    engine, orders = worker(address), made_up_book.orders(500, POSITIONS, seed=3)
    print("ready", flush=True)
    for turn in range(1_000_000):
        held(engine, orders, f"other/{turn}")


def beside(address: str, measure: Callable[[], np.ndarray]) -> np.ndarray:
    """What is measured while another process works on the same log."""
    with subprocess.Popen([sys.executable, __file__, "--contend", address], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = measure()
        other.kill()
    return found


def main() -> int:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--orders", type=int, default=2_000)
    asked.add_argument("--contend", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.contend:
        contend(given.contend)
        return 0
    print(machine())
    orders = made_up_book.orders(given.orders, POSITIONS)
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder))
        redis.start()
        try:
            measured(given.rounds, orders, Path(folder) / "reservations.log", f"redis://127.0.0.1:{redis.port}")
        finally:
            redis.stop()
    return 0


def measured(rounds: int, orders: list[Asked], file: Path, redis: str) -> None:
    """All ways, round by round."""
    engines: dict[str, Engine] = {
        "in memory": made_up_book.engine(POSITIONS), "file": worker(str(file)), "Redis": worker(redis),
    }  # fmt: skip
    found: dict[str, list[np.ndarray]] = {}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            rows = {f"hold, {name}": held(engine, orders, f"{number}"), f"ask, {name}": asked_of(engine, orders)}
            if isinstance(engine, SharedEngine):
                address = str(file) if name == "file" else redis
                working = partial(held, engine, orders, f"{number} beside")
                rows[f"hold, {name}, beside another"] = beside(address, working)
            for row, values in rows.items() if number else ():  # the first round warms
                found.setdefault(row, []).append(values)
    print(f"{POSITIONS:,} positions, all rules; microseconds, medians of {rounds} rounds of {len(orders):,} orders")
    for row, parts in sorted(found.items()):
        p50, p99 = (statistics.median(float(np.nanpercentile(part, at)) for part in parts) for at in (50, 99))
        busy = sum(int(np.isnan(part).sum()) for part in parts)
        print(f"  {row:32} p50 {shown(p50):>8}   p99 {shown(p99):>8}   not held, others were faster: {busy}")


if __name__ == "__main__":
    raise SystemExit(main())
