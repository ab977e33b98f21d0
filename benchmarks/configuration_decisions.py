"""Claim: a decision at 50,000 symbols (position limit, limit of the book, order type, compared) takes less than 5
microseconds for 99 of 100 and never 5 ms, while files are saved and taken up back to back by the shipped watcher, whose
child process reads, checks and compiles them.

In every round, in this process: nothing changes; files change and what `daybook config watch` runs takes them up (its
child at lower priority); wrong files are saved twice a second, and refused; the child's work is done in this process by
a thread, as nobody should. Decisions are made back to back, and each is timed from the end of the one before, so that
no pause is missed. Symbols are drawn from all 50,000, or from the 1,000 that a desk trades. The collector runs as it
does in production, and nothing is frozen.

On a machine that others use, pauses are theirs too: see the phases without reloads, and what the longest decision of a
round took less the time that this thread was ready to run and had no processor (as the kernel counts it). Bars are held
against all of it. Run: `python benchmarks/configuration_decisions.py [--seconds 5] [--rounds 2]`. Exit code 1 where a
bar is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.desks import symbol_desk
from benchmarks.desks.bars import Bars, machine, percentile
from pipelines.configuration_examination import examined
from pipelines.configuration_history import compiled_files
from pipelines.configuration_watch import watching
from pipelines.place import Place, place
from resources.config_watcher import Watcher
from trading.config.in_force import InForce

SYMBOLS, TRADED = 50_000, 1_000
P99_US, MOST_MS = 5.0, 5.0
DRAWN = 65_536  # symbols drawn beforehand; a power of two
ROOM = 2_000_000  # decisions a second that there is room for
LONG_NS = 500_000  # it is asked of these what they waited for
PATIENCE_S = 120.0
REFUSED = "bad files refused by the child, all"
JUDGED = ("reloads in the child, all", "reloads in the child, traded", REFUSED)
PHASES = ("no reloads, all", "no reloads, traded", *JUDGED, "reloads in this process, all")
PACE = "debounce_seconds = 0.01\nmax_changes_per_minute = 10000\nmax_refusals_per_minute = 10000"


@dataclass
class Phase:
    """What decisions of one kind took, and what happened meanwhile."""

    name: str
    judged: bool
    decisions: int = 0
    reloads: int = 0
    refusals: int = 0
    waited_ms: float = 0.0  # for a processor
    seconds: float = 0.0
    over: int = 0  # decisions that took longer than the bar
    most_ns: list[int] = field(default_factory=list)  # by round
    own_ns: list[int] = field(default_factory=list)  # by round: the longest, less what it waited for a processor
    p50_ns: list[float] = field(default_factory=list)
    p99_ns: list[float] = field(default_factory=list)
    p999_ns: list[float] = field(default_factory=list)


def decided(in_force: InForce, asked: Sequence[str], seconds: float, phase: Phase) -> None:
    """Makes decisions for so long, and notes what each took."""
    ends = array("q", bytes(8 * int(ROOM * seconds)))
    waits = Waits()
    reloads, waited = in_force.now.number, waits.read()
    count, own = _decisions(in_force, asked, ends, seconds, waits)
    phase.waited_ms += (waits.read() - waited) / 1e6
    phase.reloads += in_force.now.number - reloads
    took = np.frombuffer(ends, np.int64)[:count]
    ordered = np.sort(took).tolist()
    phase.own_ns.append(own)
    phase.decisions += len(ordered)
    phase.seconds += seconds
    phase.over += int((took > MOST_MS * 1e6).sum())
    phase.most_ns.append(ordered[-1])
    for found, thousandths in ((phase.p50_ns, 500), (phase.p99_ns, 990), (phase.p999_ns, 999)):
        found.append(percentile(ordered, thousandths))


class Waits:
    """How long this thread was ready to run and another had the processor, as the kernel counts it, ns."""

    def __init__(self) -> None:
        self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def read(self) -> int:
        """So far."""
        return int(os.pread(self._file, 100, 0).split()[1])


def _decisions(
    in_force: InForce, asked: Sequence[str], took: array[int], seconds: float, waits: Waits
) -> tuple[int, int]:
    """Decides until time or room is used up, and puts what each decision took into `took`, ns. How many there were, and
    what the longest took less its wait for a processor."""
    clock, mask, refused, own = time.perf_counter_ns, DRAWN - 1, 0, 0
    waited, began = waits.read(), clock()
    last, end = began, began + int(seconds * 1e9)
    for number in range(len(took)):
        snapshot = in_force.now.snapshot
        limits = snapshot.order_limits(asked[number & mask])
        if limits.passed_by(3, 40, 75_000.0) is not None or snapshot.max_gross_exposure_base < 3e6:
            refused += 1
        elif limits.order_type == "limit":
            limits.limit_offset_fraction * 101.25
        now = clock()
        took[number] = spent = now - last
        last = now
        if spent > LONG_NS:
            before, waited = waited, waits.read()
            own = max(own, spent - (waited - before))
            last = clock()
            if now > end:
                return number + 1, own
        elif now > end:
            return number + 1, own
    return len(took), own


# --- reloads ----------------------------------------------------------------------------------------------------------
def saver(home: Path, wrong: bool) -> None:
    """What runs in a process of its own: saves the table with another limit as soon as the one before is in force; or
    with a limit that is wrong, twice a second."""
    files, file = compiled_files(place(home, "local")), home / symbol_desk.TABLE
    head, first, rest = file.read_text(encoding="utf-8").split("\n", 2)
    cells, end, number, waiting = first.split(","), time.monotonic() + PATIENCE_S, 0, threading.Event()
    while time.monotonic() < end:
        before, number = files.pointer(), number + 1
        cells[3] = f"-{number}" if wrong else f"{time.monotonic_ns() % 900_000 + number % 2}"
        symbol_desk.saved(file, "\n".join((head, ",".join(cells), rest)))
        if wrong:
            waiting.wait(0.5)
        while not wrong and files.pointer() == before and time.monotonic() < end:
            waiting.wait(0.01)


@contextmanager
def saving(where: Place, wrong: Callable[[], int] | None = None) -> Iterator[None]:
    """Files are saved back to back while the block runs, which begins when the first of them is taken up. `wrong`
    counts refusals: then what is saved is wrong, and is put right afterwards."""
    good = (where.home / symbol_desk.TABLE).read_text(encoding="utf-8")
    command = [sys.executable, __file__, "--save", str(where.home), *(["--wrong"] if wrong else [])]
    files = compiled_files(where)
    before, child = files.pointer(), subprocess.Popen(command)
    try:
        _await(wrong if wrong else lambda: files.pointer() != before)
        yield
    finally:
        child.kill()
        child.wait()
        if wrong:
            symbol_desk.saved(where.home / symbol_desk.TABLE, good)


def _await(true: Callable[[], object]) -> None:
    waiting, end = threading.Event(), time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"no saved file was taken up within {PATIENCE_S:g} s")
        waiting.wait(0.05)


@contextmanager
def in_process(where: Place, in_force: InForce) -> Iterator[None]:
    """The child's work, in a thread of this process."""
    files, stop = compiled_files(where), threading.Event()

    def work() -> None:
        while not stop.is_set():
            examined(where)
            found = files.version()
            if found.number > in_force.now.number:
                in_force.swap(in_force.now.number, found.snapshot, found.number)
            stop.wait(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- phases -----------------------------------------------------------------------------------------------------------
def run(where: Place, rounds: int, seconds: float) -> list[Phase]:
    """All phases, round by round."""
    names = symbol_desk.symbols(SYMBOLS)
    everything = random.Random(4).choices(names, k=DRAWN)
    traded = random.Random(5).choices(random.Random(6).sample(names, TRADED), k=DRAWN)
    found = {name: Phase(name, name in JUDGED) for name in PHASES}
    for _ in range(rounds):
        with watching(where) as watched:
            watched.watcher.look().result(PATIENCE_S)
            decided(watched.in_force, everything, seconds, found["no reloads, all"])
            decided(watched.in_force, traded, seconds, found["no reloads, traded"])
            with saving(where):
                decided(watched.in_force, everything, seconds, found["reloads in the child, all"])
                decided(watched.in_force, traded, seconds, found["reloads in the child, traded"])
            _while_refused(where, watched.watcher, watched.in_force, everything, seconds, found[REFUSED])
        alone = InForce(compiled_files(where).version())
        with in_process(where, alone), saving(where):
            decided(alone, everything, seconds, found["reloads in this process, all"])
    return list(found.values())


def _while_refused(
    where: Place, watcher: Watcher, in_force: InForce, asked: Sequence[str], seconds: float, phase: Phase
) -> None:
    began = time.monotonic()

    def refusals() -> int:
        return sum(instant >= began for instant in watcher.breaker.refusals)

    with saving(where, refusals):
        before = refusals()
        decided(in_force, asked, seconds, phase)
        phase.refusals += refusals() - before


def main() -> int:
    """Prints figures and bars; 1 where a bar is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--seconds", type=float, default=5.0)
    asked.add_argument("--save", metavar="HOME", help=argparse.SUPPRESS)
    asked.add_argument("--wrong", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.save:
        saver(Path(given.save), given.wrong)
        return 0
    bars = Bars()
    print(f"{SYMBOLS:,} symbols, {given.rounds} rounds of {given.seconds:g} s a phase; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        where = symbol_desk.made(Path(folder) / "home", symbol_desk.rows(SYMBOLS), PACE)
        phases = run(where, given.rounds, given.seconds)
    said(phases)
    for phase in phases:
        if phase.judged:
            bars.below(f"{phase.name}: p99", float(np.median(phase.p99_ns)) / 1000, P99_US, "us")
            bars.below(f"{phase.name}: longest of all", max(phase.most_ns) / 1e6, MOST_MS, "ms")
    print(f"{bars.short} bars missed; {machine()}")
    return int(bars.short > 0)


def said(phases: Sequence[Phase]) -> None:
    """The table of phases."""
    print(
        f"  {'':39} {'decisions':>11} {'changes':>7} {'p50 us':>7} {'p99 us':>7} {'p99.9':>7} {'longest, ms':>16} "
        f"{'less waits':>16} {'over 5 ms':>9}  waited for a processor"
    )
    for phase in phases:
        p50, p99, p999 = (float(np.median(found)) / 1000 for found in (phase.p50_ns, phase.p99_ns, phase.p999_ns))
        most, own = (" ".join(f"{each / 1e6:.1f}" for each in found) for found in (phase.most_ns, phase.own_ns))
        print(
            f"  {phase.name:39} {phase.decisions:11,} {phase.reloads or phase.refusals:7,} {p50:7.2f} {p99:7.2f} "
            f"{p999:7.2f} {most:>16} {own:>16} {phase.over:9,} {phase.waited_ms:8,.0f} ms of {phase.seconds:.0f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
