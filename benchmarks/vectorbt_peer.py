"""Claim: the grids that vectorbt 1.2 is known for take Daybook's kernels a small part of the time of vectorbt's object
API, and no longer than its compiled kernels.

Two tasks: 4,851 pairs of moving averages (99 windows) on 2,600 bars, all cash in or out; and 1,000 orders in each of
1,000 columns. vectorbt runs in an environment of its own (`make .make/vectorbt`), as a child that is told what to do
line by line, so that both sides take turns in every round. Before anything is timed, final values must agree within
1e-9. Prints medians and ratios, our losses too. Run: `python benchmarks/vectorbt_peer.py [--rounds 5] [--peer PYTHON]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FEES, CASH, MUCH = 0.001, 100.0, 1e9
WITHIN = 1e-9
PEERS = {"pairs": "pairs", "orders": "orders", "recorded": "orders"}  # our tasks, and what the peer is told to do


def inputs() -> dict[str, np.ndarray]:
    """Prices that wander, all pairs of windows, and orders small beside the cash there is."""
    chance = np.random.default_rng(7)
    windows = np.arange(2, 101)
    first, second = np.array(list(combinations(range(len(windows)), 2))).T
    price = 100 * np.exp(chance.normal(0.0002, 0.01, 2600).cumsum())
    prices = 100 * np.exp(chance.normal(0, 0.01, (1000, 1000)).cumsum(axis=0))
    sizes = np.where(chance.random((1000, 1000)) < 0.5, 1.0, -1.0) * chance.uniform(0.5, 2.0, (1000, 1000))
    return {"price": price, "windows": windows, "first": first, "second": second, "prices": prices, "sizes": sizes}


class Peer:
    """vectorbt, in a process of its own."""

    def __init__(self, python: Path, file: Path) -> None:
        child = ROOT / "benchmarks" / "peers" / "vectorbt_child.py"
        command = [str(python), "-W", "ignore", str(child), str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._heard()["version"]

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the peer ended: see what it wrote above.")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, task: str) -> tuple[float, np.ndarray]:
        """Seconds as the peer measured them, and what it found."""
        assert self._process.stdin is not None
        self._process.stdin.write(task + "\n")
        self._process.stdin.flush()
        found = self._heard()
        return found["seconds"], np.load(found["values"])

    def end(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=60)


def ours(given: dict[str, np.ndarray]) -> dict[str, Callable[[], np.ndarray]]:
    """Our side of the two tasks."""
    from benchmarks.peers.cash_accounts import crossing_values, moving_averages, order_values, recorded_orders

    def pairs() -> np.ndarray:
        averages = moving_averages(given["price"], given["windows"])
        return crossing_values(given["price"], averages, given["first"], given["second"], FEES, CASH)

    def recorded() -> np.ndarray:
        return recorded_orders(given["prices"], given["sizes"], FEES, MUCH)[1]

    def orders() -> np.ndarray:
        return order_values(given["prices"], given["sizes"], FEES, MUCH)

    return {"pairs": pairs, "orders": orders, "recorded": recorded}


def agree(tasks: dict[str, Callable[[], np.ndarray]], peer: Peer) -> None:
    """Stops the benchmark unless both sides find the same; also compiles and loads everything on both."""
    for name, task in tasks.items():
        mine, its = task(), peer.run(f"{PEERS[name]}_object")[1]
        peer.run(f"{PEERS[name]}_kernel")
        worst = float(np.max(np.abs(mine / its - 1)))
        if not worst < WITHIN:
            sys.exit(f"{name}: values differ by {worst:.1e} of themselves; nothing was timed.")
        print(f"{name}: {len(mine):,} final values agree within {worst:.0e}")


def measured(tasks: dict[str, Callable[[], np.ndarray]], peer: Peer, rounds: int) -> dict[str, float]:
    """Median seconds of each row, all rows in every round."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            found.setdefault(name, []).append(time.perf_counter() - began)
            for way in ("object", "kernel"):
                found.setdefault(f"{name}_{way}", []).append(peer.run(f"{PEERS[name]}_{way}")[0])
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def show(found: dict[str, float], version: str) -> None:
    """The table: both ratios of both tasks."""
    what = {
        "pairs": "4,851 moving-average pairs, 2,600 bars",
        "orders": "1,000 x 1,000 orders, values only",
        "recorded": "the same, checked, each order recorded",
    }
    print(f"{'':<42}{'ours':>10}{'object API':>13}{'ratio':>9}{'raw kernel':>13}{'ratio':>9}   (vectorbt {version})")
    for name, title in what.items():
        mine, made, raw = (found[key] for key in (name, f"{name}_object", f"{name}_kernel"))
        print(f"{title:<42}{mine:>9.4f}s{made:>12.4f}s{made / mine:>8.1f}x{raw:>12.4f}s{raw / mine:>8.1f}x")
        if raw < mine:
            print(f"{'':<42}we lose to its raw kernel by {mine / raw:.1f}x")
    print("Of pairs and in the row of values only, ours gives final values and keeps no order. Its kernels check each")
    print("order against cash, sizes and stops that ours does not have, and record it, but give no values; its objects")
    print("do both, check and label their inputs in every call, and can be asked for much more than was timed here.")


def main() -> None:
    """Runs all and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--peer", type=Path, default=ROOT / ".make" / "vectorbt" / "bin" / "python")
    given = words.parse_args()
    if not given.peer.exists():
        sys.exit(f"no peer at {given.peer}: `make bench` installs it, or name a Python that has vectorbt with --peer.")
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        file, arrays = Path(folder) / "inputs.npz", inputs()
        np.savez(file, **arrays)
        peer, tasks = Peer(given.peer, file), ours(arrays)
        agree(tasks, peer)
        show(measured(tasks, peer, given.rounds), peer.version)
        peer.end()


if __name__ == "__main__":
    main()
