"""Claim: a process that needs configuration has it within 1 s of being started; reads do not notice that versions are
swapped under them (99.9 of 100 reads: less than 3 times as long); and a saved file is in force soon.

1. Fresh processes, from start to end, interleaved: settings in force and a symbol's limit through `pipelines`; the
   snapshot alone; and peers that have only the table. Files are in memory.
2. Sixteen threads and four processes read while 10,000 versions are swapped, and while none is. Each decision reads two
   settings of one version, and is timed. Mixes are counted here too, on versions that say which they are; that a store
   changed where it lies gives mixes by the same test is `benchmarks/torn_reads.py`.
3. The shipped watcher, from the rename that saves a file until another thread sees the new version.

Run: `python benchmarks/configuration_reads.py [--rounds 7]`. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks import symbol_desk
from benchmarks.desks.bars import Bars, beside, interleaved, machine, percentile, shown
from benchmarks.peers import plain_configurations
from pipelines.configuration_watch import watching
from pipelines.place import Place, place
from pipelines.settings import read_settings
from resources.compiled_files import CompiledFiles, Follower, Pointer
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot

START_S, RATIO = 1.0, 3.0
SIZES = (10_000, 50_000)
THREADS, PROCESSES, VERSIONS = 16, 4, 10_000
BURST, REST_S = 50, 0.004  # decisions of a thread before it lets others run: sixteen share one interpreter
PROCESS_BURST = 2_000  # of a process
SYMBOL = "SYM000500"
PARTS = 1_000  # a version is so many contracts, and so many of these parts of capital
FILES_EVERY = 100  # versions between two that processes get to see
PATIENCE_S = 60.0

# --- processes that need configuration --------------------------------------------------------------------------------
PIPELINES = f"""
import sys
from pipelines.settings import place, read_settings
settings = read_settings(place(sys.argv[1], "local"))
assert settings.capital.capital_base > 0 and settings.symbol("{SYMBOL}").max_position_contracts >= 0
"""
SNAPSHOT = f"""
import sys
from pathlib import Path
from resources.compiled_files import Follower
version = Follower(Path(sys.argv[1]) / "config").now
assert version.snapshot.position_limit("{SYMBOL}") >= 0
"""
PEER = """
import sys
from pathlib import Path
from benchmarks.peers import plain_configurations as peers
found = peers.{read}(Path(sys.argv[1]) / "{file}")
assert found["{symbol}"].max_position_contracts >= 0
"""
DICTS = f"""
import pickle, sys
from pathlib import Path
assert pickle.loads((Path(sys.argv[1]) / "rows.pickle").read_bytes())["{SYMBOL}"]["max_position_contracts"] >= 0
"""


def starting(homes: dict[int, Path], bars: Bars, rounds: int) -> None:
    """Whole processes."""
    for count, home in homes.items():
        models = PEER.format(read="models_of_json", file="rows.json", symbol=SYMBOL)
        structs = PEER.format(read="structs_of_msgpack", file="rows.msgpack", symbol=SYMBOL)
        programs = {
            "Daybook: settings in force, a symbol's limit": PIPELINES,
            "Daybook: the snapshot in force, a symbol's limit": SNAPSHOT,
            "pydantic alone and msgspec imported; models of JSON": models,
            "pydantic alone and msgspec imported; structs": structs,
            "dict of dicts, pickle": DICTS,
            "nothing": "pass",
        }
        taken = interleaved({name: _process(text, home) for name, text in programs.items()}, rounds)
        beside(f"{count:,} symbols: a process from start to end, s", taken, 1, "s")
        for name in list(programs)[:2]:
            what = f"{count:,} symbols, start to end: {name.removeprefix('Daybook: ')}"
            bars.below(what, statistics.median(taken[name]), START_S, "s")


def _process(program: str, home: Path) -> Callable[[], object]:
    folder = Path(__file__).resolve().parents[1]
    return lambda: subprocess.run([sys.executable, "-c", program, str(home)], cwd=folder, check=True)


# --- reads while versions are swapped ---------------------------------------------------------------------------------
def swapping(home: Path, bars: Bars, rounds: int) -> None:
    """Threads and processes, without and with swaps, in turns."""
    found: dict[str, list[float]] = {}
    mixes = decisions = 0
    for _ in range(rounds):
        swapped, seconds = _read_while(home, VERSIONS, 0.0)
        quiet, _ = _read_while(home, 0, seconds)
        for label, readers in (("without swaps", quiet), ("with swaps", swapped)):
            for kind, (ordered, mixed) in readers.items():
                found.setdefault(f"{kind}, {label}", []).append(percentile(ordered, 999))
                mixes, decisions = mixes + mixed, decisions + len(ordered)
    print(
        f"  {VERSIONS:,} versions, last in {seconds:.1f} s; a process sees every {FILES_EVERY}th, and the read of it "
        f"that takes it up opens it: {statistics.median(_taken_up(home)) * 1000:.2f} ms"
    )
    beside(f"p99.9 of a decision that reads two settings, {VERSIONS:,} versions, us", found, 1e-3, "us")
    for kind in ("threads", "processes"):
        without, with_ = (statistics.median(found[f"{kind}, {label} swaps"]) for label in ("without", "with"))
        bars.below(f"p99.9 with swaps to that without, {kind}", with_ / without, RATIO, "times")
    bars.true(f"mixes of two versions in {decisions:,} decisions", f"{mixes}", mixes == 0)


def _read_while(home: Path, versions: int, seconds: float) -> tuple[dict[str, tuple[list[int], int]], float]:
    """What decisions took, sorted, and how many mixed versions, of threads and of processes, while so many versions
    were swapped, or none for so long; and how long that was."""
    files = CompiledFiles(home / "config", durable=False)
    first = _of_number(files.version().snapshot, 0)
    _pointed(files, first)
    in_force, stop, mine = InForce(Version(0, first)), threading.Event(), [Taken() for _ in range(THREADS)]
    readers = [
        threading.Thread(target=decide, args=(lambda: in_force.now, taken, stop.is_set, BURST)) for taken in mine
    ]
    with _processes(home) as processes:
        for reader in readers:
            reader.start()
        began = time.perf_counter()
        if versions:
            _swap(in_force, files, versions)
        else:
            stop.wait(seconds)
        lasted = time.perf_counter() - began
        stop.set()
        (home / "stop").touch()
        for reader in readers:
            reader.join()
        theirs = [_told(process) for process in processes]
    return {"threads": _together(mine), "processes": _together(theirs)}, lasted


def _swap(in_force: InForce, files: CompiledFiles, versions: int) -> None:
    for number in range(1, versions + 1):
        in_force.swap(number - 1, _of_number(in_force.now.snapshot, number))
        if number % FILES_EVERY == 0:
            _pointed(files, in_force.now.snapshot)
            files.forget(())


def _taken_up(home: Path) -> Iterator[float]:
    """Seconds of a follower's first look after a version was put in force."""
    files, follower = CompiledFiles(home / "config", durable=False), Follower(home / "config")
    for number in range(1, 31):
        _pointed(files, _of_number(follower.now.snapshot, number))
        files.forget(())
        began = time.perf_counter()
        follower.now.snapshot.position_limit(SYMBOL)
        yield time.perf_counter() - began


def _of_number(snapshot: Snapshot, number: int) -> Snapshot:
    """A version whose two settings both say its number."""
    return snapshot.with_symbol(SYMBOL, {"max_position_contracts": number, "max_exposure_fraction": number / PARTS})


def _pointed(files: CompiledFiles, snapshot: Snapshot) -> None:
    name, before = files.put(snapshot), files.pointer()
    number = before.number + 1 if before is not None else 1
    files.point(Pointer(number, snapshot.configuration_hash, name, snapshot.environment, "now"))


@dataclass
class Taken:
    """What decisions of a reader took, ns, and how many of them mixed versions."""

    ns: array[int] = field(default_factory=lambda: array("q"))
    mixes: int = 0


def decide(now: Callable[[], Version], taken: Taken, stopped: Callable[[], bool], burst: int) -> None:
    """Decides until told to stop: reads two settings of a version, and times it."""
    clock, rest = time.perf_counter_ns, threading.Event()
    while not stopped():
        for _ in range(burst):
            began = clock()
            snapshot = now().snapshot
            contracts, exposure = snapshot.position_limit(SYMBOL), snapshot.exposure_limit(SYMBOL)
            taken.ns.append(clock() - began)
            taken.mixes += round(exposure / snapshot.capital_base * PARTS) != contracts
        rest.wait(REST_S)


@contextmanager
def _processes(home: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Readers in processes of their own, which have the version in force."""
    command = [sys.executable, __file__, "--read", str(home)]
    found = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    try:
        for process in found:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit("a reader could not be started")
        yield found
    finally:
        for process in found:
            process.kill()
            process.wait()
        (home / "stop").unlink(missing_ok=True)


def child(home: Path) -> None:
    """A reader process: follows the files until told to stop; writes what decisions took and prints where."""
    follower, stop, taken = Follower(home / "config"), home / "stop", Taken()
    print("ready", flush=True)
    decide(lambda: follower.now, taken, stop.exists, PROCESS_BURST)
    file = home / f"taken-{os.getpid()}"
    file.write_bytes(taken.ns.tobytes())
    print(json.dumps({"file": str(file), "mixes": taken.mixes}))


def _told(process: subprocess.Popen[str]) -> Taken:
    found = json.loads(process.communicate()[0])
    file, taken = Path(found["file"]), Taken(mixes=found["mixes"])
    taken.ns.frombytes(file.read_bytes())
    file.unlink()
    return taken


def _together(found: list[Taken]) -> tuple[list[int], int]:
    return sorted(each for taken in found for each in taken.ns), sum(taken.mixes for taken in found)


# --- from a saved file to the swap ------------------------------------------------------------------------------------
def saving(where: Place, label: str, rounds: int) -> None:
    """The shipped watcher with the shipped settings of it: seconds from a rename to the version in force."""
    file = where.home / symbol_desk.TABLE
    found = []
    with watching(where) as watched:
        watched.watcher.look().result(PATIENCE_S)
        quiet = read_settings(where).operations.changes.debounce_seconds
        for number in range(rounds):
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            found.append(_in_force_after(where, watched.in_force, text, number))
    print(
        f"    {label:56} {shown(statistics.median(found) * 1000):>9} ms   longest {shown(max(found) * 1000)} ms, "
        f"{quiet * 1000:g} ms of it the wait for quiet files"
    )


def _in_force_after(where: Place, in_force: InForce, table: str, number: int) -> float:
    """Seconds until a saved file is in force: the table with another limit, or desk.toml where there is none."""
    before, waiting = in_force.now.number, threading.Event()
    if table:
        head, first, rest = table.split("\n", 2)
        cells = first.split(",")
        cells[3] = str(100 + number)
        file, text = where.home / symbol_desk.TABLE, "\n".join((head, ",".join(cells), rest))
    else:
        file, text = where.desk_file, f"schema = 2\n[symbols.defaults]\nmax_position_contracts = {100 + number}\n"
    symbol_desk.saved(file, text)
    began = time.perf_counter()
    while in_force.now.number == before:
        if time.perf_counter() - began > PATIENCE_S:
            raise SystemExit(f"{file.name} was saved and did not come into force")
        waiting.wait(0.001)
    return time.perf_counter() - began


def main() -> int:
    """Prints figures and bars; 1 where a bar is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--read", metavar="HOME", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.read:
        child(Path(given.read))
        return 0
    bars = Bars()
    print(f"medians of {given.rounds} rounds; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        places = {count: _prepared(Path(folder) / f"{count}", count) for count in SIZES}
        starting({count: where.home for count, where in places.items()}, bars, given.rounds)
        swapping(places[min(SIZES)].home, bars, max(1, given.rounds // 2))
        print("  from a saved file to the swap, shipped settings of the watcher (the issue sets no bar)")
        bare = place(Path(folder) / "bare", "local")
        bare.home.mkdir()
        symbol_desk.saved(bare.desk_file, "schema = 2\n")
        saving(bare, "desk.toml, the symbols that are shipped", given.rounds)
        for count in SIZES:
            where = symbol_desk.made(Path(folder) / f"watched-{count}", symbol_desk.rows(count))
            saving(where, f"a table of {count:,} symbols", given.rounds)
    print(f"{bars.short} bars missed; {machine()}")
    return int(bars.short > 0)


def _prepared(home: Path, count: int) -> Place:
    """A desk with its snapshot in force, and the same rows for its peers."""
    rows = symbol_desk.rows(count)
    where = symbol_desk.made(home, rows)
    plain_configurations.written(home, rows)
    _pointed(CompiledFiles(home / "config"), symbol_desk.loaded(where))
    return where


if __name__ == "__main__":
    sys.exit(main())
