"""Claim: the reference's chapter 15 takes Daybook a small part of a second where the reference takes 10.3 s without its
risk overlay, and 150 s as shipped; in a small part of its memory, and a sweep costs milliseconds a variant.

Runs `daybook backtest chapter15` in cold processes (files read anew; panel kept from before), evaluates it warm in this
process with a parameter changed every round, and sweeps. The reference's seconds and megabytes were measured once, on a
quiet machine of two cores; both of its times are shown, never only the larger. Needs ../shared. Run:
`python benchmarks/chapter15.py [--rounds 5] [--variants 500]`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "futures"
REFERENCE_S = {"without its overlay": 10.3, "as shipped": 150.0}
REFERENCE_MB = 182.0
SWEPT = (
    "rules.*.weight=total:1", "rules.ewmac16_64.parameters.fast=4..32", "rules.ewmac16_64.parameters.slow=40..160",
    "buffer.fraction=0.0..0.3", "volatility_target_percent=10.0..30.5",
)  # fmt: skip


def cold(home: Path, *words: str) -> tuple[float, float]:
    """Seconds and peak megabytes of `daybook backtest chapter15` in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli", "--home", str(home), "backtest", "chapter15"]
    command += ["--vendor", "pysystemtrade", "--source", str(SOURCE), "--json", *words]
    began = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable, command, os.environ | {"PYTHONPATH": str(ROOT)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )  # fmt: skip
    _, status, used = os.wait4(pid, 0)
    if status:
        sys.exit(f"daybook backtest ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def warm_rounds(home: Path) -> Callable[[], float]:
    """A function that evaluates the strategy with another buffer and span each time it is called; its seconds."""
    from pipelines import sweeping
    from pipelines.backtest_request import Words, asked
    from pipelines.settings import place
    from trading.backtest.sweeps import Sweep, variants

    request = asked(place(home), Words("chapter15", "pysystemtrade", SOURCE))
    from pipelines.sweep_request import parsed_axis

    axes = [parsed_axis(text) for text in SWEPT]
    sweep = Sweep(backtest=request.backtest, axes=axes, search="random", trials=1000, seed=15)
    bench, _ = sweeping._opened(sweep, sweeping.Workshop(request.source))
    runner, changes = sweeping.prepared(bench), iter(variants(sweep).overrides)

    def once() -> float:
        began = time.perf_counter()
        sweeping.variant_row(runner, next(changes))
        return time.perf_counter() - began

    return once


def swept(home: Path, number: int) -> Any:
    """What a random sweep over all axes found."""
    from pipelines.backtest_request import Words
    from pipelines.settings import place
    from pipelines.sweep_request import SweepWords, run

    words = SweepWords(axes=SWEPT, random=number, seed=15)
    return run(place(home), Words("chapter15", "pysystemtrade", SOURCE), words, lambda text: None)


def show(what: str, seconds: float, megabytes: float | None = None) -> None:
    """A row: seconds, both ratios, and memory."""
    ratios = "   ".join(f"{name}: {reference / seconds:,.0f}x" for name, reference in REFERENCE_S.items())
    memory = "" if megabytes is None else f"   {megabytes:.0f} MB, the reference {REFERENCE_MB / megabytes:.1f}x"
    print(f"{what:<44}{seconds:>9.4f} s   reference {ratios}{memory}")


def main() -> None:
    """Runs all and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--variants", type=int, default=500)
    given = words.parse_args()
    sys.path.insert(0, str(ROOT))
    if not SOURCE.is_dir():
        print("skipped: no ../shared beside the project")
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cold(home)  # kernels are compiled and the panel is kept
        once = warm_rounds(home)
        fresh, kept, warm = [], [], []
        for place in range(given.rounds):
            fresh.append(cold(home, "--fresh"))
            kept.append(cold(home, "--set", f"buffer.fraction=0.1{place}1"))
            warm += [once() for _ in range(10)]
        for what, rows in (("cold process, CSV to curve", fresh), ("cold process, panel kept", kept)):
            show(what, statistics.median(s for s, _ in rows), statistics.median(m for _, m in rows))
        show("warm, panel to curve, costs, statistics", statistics.median(warm))
        found = swept(home, given.variants)
        each = 1000 * found["seconds"] / given.variants
        print(f"sweep of {given.variants:,} variants, {found['seconds']:.1f} s, {each:.1f} ms each", end="")
        print(f"; so 10,000 take {each * 10:.0f} s")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
