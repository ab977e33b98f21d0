"""Claim: a close that is killed with SIGKILL at any moment and then run again signs the same hash as one left alone.

Loads four instruments of the simulated market and closes one session, so that the next one has fills. Then closes that
next session once undisturbed and, each time on a fresh copy of the desk, kills the close at a random moment of the time
it takes and types the same command again. Prints where the kills hit, and ends with an error unless every signed hash
is the undisturbed one, nothing is in the book twice, and the audit of each journal finds nothing. Run:
`python benchmarks/killed_closes.py [--kills 50] [--seed 1]`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FIRST, SECOND = "2020-12-28", "2020-12-29"
INSTRUMENTS = "BUND,CRUDE_W,GOLD,US10"
# A random moment is one of the work and not of Python's imports: processes are forked from one that has them.
IMPORTED = [
    "pipelines.cli", "pipelines.definitions", "pipelines.closing", "pipelines.loading", "pipelines.signing",
    "deltalake", "rich.table", "matplotlib.figure", "matplotlib.dates", "matplotlib.backends.backend_agg",
    "sqlalchemy.dialects.sqlite",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """What a home comes to: the signed hash of the session, its book, and what an audit finds."""

    hash: str
    book: tuple[str, ...]
    problems: tuple[str, ...]


def start(*words: str, quiet: Path) -> BaseProcess:
    """The command line in a process of its own."""
    program = "import sys; sys.stdout = sys.stderr = open(quiet, 'a'); from pipelines.cli import main; main(words)"
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=exec, args=(program, {"words": list(words), "quiet": str(quiet)}))
    process.start()
    return process


def done(*words: str, quiet: Path) -> float:
    """Runs a command to its end and returns the seconds it took; stops the benchmark where it fails."""
    began = time.monotonic()
    process = start(*words, quiet=quiet)
    process.join()
    if process.exitcode:
        raise SystemExit(f"{' '.join(words)} failed with {process.exitcode}:\n{quiet.read_text()[-3000:]}")
    return time.monotonic() - began


def close(home: Path) -> tuple[str, ...]:
    """The command that is killed."""
    return ("close", "--home", str(home), "--session", SECOND)


def came_to(home: Path) -> Ended:
    """Reads a home."""
    from assets.audited import audited
    from pipelines.settings import place
    from pipelines.wiring import ledger

    book = ledger(place(home))
    signed = [str(row["hash"]) for row in book.rows("signatures", {"session": SECOND})]
    rows = tuple(str(row) for name in ("orders", "fills", "positions") for row in book.rows(name))
    return Ended(" ".join(signed), rows, tuple(audited(book)))


def step_of(home: Path) -> str:
    """How far the killed close had come."""
    from pipelines.settings import place
    from pipelines.wiring import ledger

    rows = [row for row in ledger(place(home)).rows("process_runs") if row["session"] == SECOND]
    return "before its start was recorded" if not rows else str(rows[0]["step"] or "started")


def template(folder: Path, quiet: Path) -> Path:
    """A desk that has closed the session before."""
    home = folder / "template"
    words = ("--vendor", "simulated", "--instruments", INSTRUMENTS, "--since", "2020-01-02", "--until", "2020-12-30")
    done("load", "--home", str(home), *words, quiet=quiet)
    done("close", "--home", str(home), "--session", FIRST, quiet=quiet)
    return home


def killed(home: Path, after_s: float, quiet: Path) -> float | None:
    """None where a close was killed after so many seconds; the seconds it took where it had ended before."""
    began, process = time.monotonic(), start(*close(home), quiet=quiet)
    process.join(after_s)
    took = time.monotonic() - began
    process.kill()
    process.join()
    return None if process.exitcode == -signal.SIGKILL else took


def main() -> int:
    """Runs the kills; 1 where one of them changed anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory() as name:
        return compared(Path(name), asked.kills, random.Random(asked.seed))


def compared(folder: Path, kills: int, chance: random.Random) -> int:
    """Closes undisturbed, then killed and again, until so many were killed."""
    quiet = folder / "said.log"
    desk, alone, home = template(folder, quiet), folder / "undisturbed", folder / "home"
    shutil.copytree(desk, alone)
    seconds = done(*close(alone), quiet=quiet)
    wanted, hits, wrong, again_s = came_to(alone), Counter[str](), 0, []
    print(f"undisturbed: {seconds:.1f} s, signed hash {wanted.hash}", flush=True)
    while hits.total() < kills:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(desk, home)
        took = killed(home, chance.uniform(0.01, 0.98) * seconds, quiet)
        if took is not None:
            seconds = min(seconds, took)  # it was quicker this time: that is the measure from now on
            continue
        hits[step_of(home)] += 1
        again_s.append(done(*close(home), quiet=quiet))
        found = came_to(home)
        if found != wanted:
            wrong += 1
            print(f"kill {hits.total()}: {found.hash} {found.problems}", flush=True)
        if hits.total() % 10 == 0:
            print(f"killed {hits.total()} times, {wrong} with another end", flush=True)
    where = ", ".join(f"{step} {count}" for step, count in hits.most_common())
    print(f"killed {kills} times; last step recorded: {where}")
    print(f"same hash, same book, audit clean: {kills - wrong} of {kills}; again took {max(again_s):.1f} s at most")
    return 1 if wrong or wanted.problems or not wanted.hash else 0


if __name__ == "__main__":
    sys.exit(main())
