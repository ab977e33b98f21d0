"""Claim: an apply killed with SIGKILL at any moment leaves the old configuration in force or the new one, whole.

A desk of 10,000 symbols on paper, whose files are changed in every row each time. Kills `daybook config apply` at a
random moment of the time it takes, and as soon as each of its steps shows on the disk, in turn. After each kill reads
what is in force (settings, every column of the snapshot, and a follower that was there before), then types the same
command again. Prints where the kills hit, and ends with an error unless what was in force was one or the other each
time, and the history has each version once. Run: `python benchmarks/killed_applies.py [--kills 50] [--symbols 10000]`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# A random moment is one of the work and not of Python's imports: processes are forked from one that has them.
IMPORTED = [
    "pipelines.cli", "pipelines.configuration", "pipelines.configuration_views", "resources.sqlite_ledger",
    "resources.csv_reference", "resources.symbol_csv", "rich.table",
]  # fmt: skip
POLL_S = 0.0002


def start(home: Path) -> BaseProcess:
    """The command in a process of its own."""
    program = "import os, sys; sys.stdout = open(os.devnull, 'w'); from pipelines.cli import main; main(words)"
    words = ["config", "apply", "--reason", "changed", "--home", str(home), "--json"]
    process = multiprocessing.get_context("forkserver").Process(target=exec, args=(program, {"words": words}))
    process.start()
    return process


def write(home: Path, number: int, symbols: int) -> None:
    """Files that say so many contracts, in settings and in every row of the table: half of a change would show."""
    home.mkdir(exist_ok=True)
    (home / "desk.toml").write_text(
        f'schema = 2\nenvironment = "paper"\n[symbols]\ntable = "symbols.csv"\n'
        f"[symbols.defaults]\nmax_position_contracts = {number}\n[trading.orders]\nmax_per_session = {number}\n"
    )
    rows = "\n".join(f"S{row:05},equity,CME,{number}" for row in range(symbols))
    (home / "symbols.csv").write_text(f"symbol,asset_class,exchange_group,max_position_contracts\n{rows}\n")


def in_force(home: Path) -> set[int]:
    """Every number that what is in force says: one, unless it is a mix."""
    from pipelines.configuration_history import compiled_files
    from pipelines.settings import place, read_settings

    settings, files = read_settings(place(home)), compiled_files(place(home))
    pointer = files.pointer()
    if pointer is None or pointer.configuration != settings.content_hash():
        return {-1, -2}
    columns = set(files.verify(pointer.snapshot).column("max_position_contracts").tolist())
    return {settings.symbols.defaults.max_position_contracts, settings.trading.orders.max_per_session, *columns}


# --- kills ------------------------------------------------------------------------------------------------------------
def size(file: Path) -> int:
    """Bytes; 0 where there is no such file."""
    return file.stat().st_size if file.exists() else 0


STEPS: dict[str, Callable[[Path], int]] = {  # what changes on the disk with each step
    "documents kept": lambda home: len(list((home / "config" / "documents").glob("??/*"))),
    "snapshot kept": lambda home: len(list((home / "config" / "snapshots").glob("*.snapshot"))),
    "in the journal": lambda home: size(home / "ledger.sqlite-wal"),
    "pointed at": lambda home: (home / "config" / "current").stat().st_ino,
    "followers told": lambda home: int.from_bytes((home / "config" / "generation").read_bytes(), "little"),
}


def state(home: Path) -> dict[str, int]:
    """What each step left so far."""
    return {step: look(home) for step, look in STEPS.items()}


def kill_at(home: Path, step: str | None, after_s: float) -> str | None:
    """Kills an apply when a step shows, or after so many seconds; says how far it came, None where it had ended."""
    before, process = state(home), start(home)
    if step is None:
        process.join(after_s)
    else:
        while process.is_alive() and STEPS[step](home) == before[step]:
            process.join(POLL_S)
    process.kill()
    process.join()
    if process.exitcode != -signal.SIGKILL:
        return None
    after = state(home)
    done = [name for name in STEPS if after[name] != before[name]]
    return done[-1] if done else "before anything was kept"


def main() -> int:
    """Runs the kills; 1 where one of them left anything but the old or the new configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--symbols", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)
    os.environ.pop("DAYBOOK_HOME", None)
    with tempfile.TemporaryDirectory() as name:
        return killed(Path(name) / "home", asked.kills, asked.symbols, random.Random(asked.seed))


def killed(home: Path, kills: int, symbols: int, chance: random.Random) -> int:
    """Applies undisturbed, then killed and again, until so many were killed."""
    from pipelines import configuration
    from pipelines.settings import place
    from resources.compiled_files import Follower

    write(home, 1, symbols)
    configuration.apply(place(home), "first")
    write(home, 2, symbols)
    began, first = time.monotonic(), start(home)
    first.join()
    takes, follower = time.monotonic() - began, Follower(home / "config")
    hits, came, wrong, number = Counter[str](), Counter[str](), 0, 2
    turns = cycle(turn for step in STEPS for turn in (None, step))
    print(f"undisturbed: {takes:.2f} s, {symbols:,} symbols", flush=True)
    while hits.total() < kills:
        number += 1
        write(home, number, symbols)
        how_far = kill_at(home, next(turns), chance.uniform(0, 1) * takes)
        found, seen = in_force(home), follower.now.snapshot.value("S00000", "max_position_contracts")
        again = configuration.apply(place(home), "changed").version
        if how_far is not None:
            hits[how_far] += 1
            came["the new one" if found == {number} else "the old one"] += 1
        good = found in ({number - 1}, {number}) and seen in (number - 1, number) and again.number == number
        wrong += not (good and in_force(home) == {number} and follower.now.number == number)
    whole = [version.number for version in configuration.history(place(home))] == list(range(1, number + 1))
    print(f"killed {kills} times, the last that was done: {', '.join(f'{name} {n}' for name, n in hits.most_common())}")
    print(
        f"in force afterwards: {', '.join(f'{name} {n}' for name, n in came.most_common())}; a mix or nothing: {wrong}"
    )
    print(f"versions in the history: {number}, each once: {whole}")
    return 1 if wrong or not whole else 0


def listed(counts: Counter[str]) -> str:
    """Names with how often, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
