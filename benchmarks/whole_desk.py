"""Claims: a load costs a few times what parsing its files costs; a close a few times what importing its libraries
costs; a backfilled session a few hundredths of a close, and most of a backfill is our own work, not the framework's.

Loads a desk, closes one session and backfills a year, each next to its limit in the same run, interleaved, and prints
medians and ratios. Real prices of ../shared where they are, else the simulated market. Run:
`python benchmarks/whole_desk.py [--rounds 3] [--years 1]`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(str(ROOT / name) for name in ("trading", "resources", "assets", "checks"))
SHARED = ROOT.parent / "shared" / "data" / "futures"
SAMPLE_S = 0.005


class Sampler(threading.Thread):
    """Looks at the main thread's stack many times a second and counts where our own code is on it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ours = self.all = 0
        self._main = threading.main_thread().ident
        self._over = threading.Event()

    def run(self) -> None:
        """Samples until stopped."""
        while not self._over.wait(SAMPLE_S):
            frame = sys._current_frames().get(self._main or 0)
            self.all += 1
            while frame is not None:
                if frame.f_code.co_filename.startswith(OURS):
                    self.ours += 1
                    break
                frame = frame.f_back

    def stop(self) -> float:
        """Ends sampling; the share of samples in which our code was at work."""
        self._over.set()
        self.join()
        return self.ours / max(self.all, 1)


def daybook(home: Path, *words: str) -> None:
    """One command in a process of its own; stops the benchmark where it fails."""
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli", "--home", str(home), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed: {done.stderr[-2000:]}")


def python(code: str) -> None:
    """A process that only does `code`: the limit that a command is held against."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=ROOT)


def parse() -> None:
    """Parses the files that a load reads, with the fastest reader there is, and keeps nothing."""
    files = sorted(
        str(file) for name in ("multiple", "adjusted", "fx") for file in SHARED.glob(f"{name}_prices_csv/*.csv")
    )
    python(f"import pyarrow.csv as c\nfor f in {files!r}: c.read_csv(f)")


def load(home: Path) -> None:
    """Loads a fresh home."""
    shutil.rmtree(home, ignore_errors=True)
    if SHARED.is_dir():
        daybook(home, "load", "--vendor", "pysystemtrade", "--source", str(SHARED), "--calendar", "weekdays")
    else:
        daybook(home, "load", "--vendor", "simulated", "--since", "2012-01-02", "--until", "2022-02-25")


def interleaved(tasks: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each task, all tasks in every round."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            found[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def backfilled(home: Path, first: str, last: str) -> tuple[float, float, int]:
    """Seconds of a backfill in this process, the share of it in our own code, and sessions closed."""
    from pipelines import closing
    from pipelines.settings import place

    sampler = Sampler()
    began = time.perf_counter()
    sampler.start()
    found = closing.backfill(place(home, "local"), date.fromisoformat(first), date.fromisoformat(last))
    if found["exit_code"]:
        sys.exit(f"the backfill failed: {found}")
    return time.perf_counter() - began, sampler.stop(), found["sessions"]


def show(rows: Sequence[tuple[str, float, str]]) -> None:
    """A table: what, seconds, ratio or remark."""
    for what, seconds, remark in rows:
        print(f"{what:<52}{seconds:9.2f} s   {remark}")


def main() -> None:
    """Runs all and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--years", type=int, default=1)
    given = words.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        limits = {"load": lambda: load(home)} | ({"parse": parse} if SHARED.is_dir() else {})
        loaded = interleaved(limits, given.rounds)
        first = f"{2022 - given.years}-01-01"
        seconds, share, sessions = backfilled(home, first, "2021-12-31")
        sessions_to_close = iter(["2022-01-04", "2022-01-05", "2022-01-06", "2022-01-07", "2022-01-10", "2022-01-11"])
        imports = "import pipelines.definitions, deltalake, matplotlib.figure, sqlalchemy"
        closed = interleaved(
            {
                "close": lambda: daybook(home, "close", "--session", next(sessions_to_close)),
                "imports": lambda: python(imports),
            },
            given.rounds,
        )
    over_imports = f"{closed['close'] / closed['imports']:.1f} x its imports"
    over_parse = f"{loaded['load'] / loaded['parse']:.1f} x parsing the files" if "parse" in loaded else "simulated"
    show(
        [
            ("load of all history, a process", loaded["load"], over_parse),
            ("close of one session, a process", closed["close"], over_imports),
            ("its imports alone, a process", closed["imports"], ""),
            (f"backfill of {sessions} sessions, one run", seconds, f"{1000 * seconds / sessions:.0f} ms a session"),
            ("  of it in our own code", seconds * share, f"{share:.0%}"),
            ("  of it outside: framework, event log", seconds * (1 - share), f"{1 - share:.0%}"),
        ]
    )


if __name__ == "__main__":
    main()
