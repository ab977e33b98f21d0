"""Claim: while a writer puts 10,000 versions of a configuration in force, sixteen reader threads and four reader
processes never see a mix of two of them, also when a decision reads four values of two symbols; a store that is changed
where it lies, read by the same code, gives mixes.

Every value of version n says n, so that any mix shows. Threads read the reference of their process (`InForce`),
processes follow the files (`Follower`). The writer is interrupted between two changes every now and then, as any
scheduler would. Versions that a reader sees never go back. Exit code 1 where anything is wrong.

Run: `python benchmarks/torn_reads.py [--versions 10000]`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers.mutable_configuration import Key, MutableConfiguration
from resources.compiled_files import CompiledFiles, Follower, Pointer
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot

THREADS, PROCESSES, VERSIONS = 16, 4, 10_000
BURST = 20  # decisions of a reader before it lets others run: sixteen threads share one interpreter, and all two cores
REST_S = 0.01
INTERRUPTED_EVERY = 201  # changes: no multiple of those of one version
INTERRUPTION_S = 0.005
KEYS: tuple[Key, ...] = (
    ("US10", "max_position_contracts"),
    ("GOLD", "max_position_contracts"),
    ("US10", "max_exposure_fraction"),
    ("GOLD", "max_order_contracts"),
)
Decision = tuple[float, ...]  # what each value that was read says is the version
Decide = Callable[[], Decision]


@dataclass
class Seen:
    """What a reader saw: decisions made, how many of them mixed versions, how often a version was older than one seen
    before, and how many versions there were."""

    decisions: int = 0
    mixes: int = 0
    backwards: int = 0
    versions: int = 0
    last: float = field(default=-1.0, repr=False)

    def look(self, decision: Decision) -> None:
        """Judges a decision."""
        newest = max(decision)
        self.decisions += 1
        self.mixes += min(decision) != newest
        self.backwards += newest < self.last
        self.versions += newest > self.last
        self.last = max(self.last, newest)

    def __add__(self, other: Seen) -> Seen:
        names = ("decisions", "mixes", "backwards", "versions")
        return Seen(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Store(Protocol):
    """A configuration that a writer changes and readers read."""

    name: str
    folder: Path

    def decide(self) -> Decision:
        """A reader's decision, in this process."""
        ...

    def publish(self, number: int, between: Callable[[], None]) -> None:
        """Puts a version in force; `between` may interrupt the writer between two changes."""
        ...


# --- the two stores ---------------------------------------------------------------------------------------------------
class Compiled:
    """Ours: a snapshot a version, swapped in this process and in the files. `files_every`: versions between two that
    are put into files; 0: none is."""

    name = "compiled"

    def __init__(self, folder: Path, first: Snapshot, files_every: int = 1) -> None:
        self.folder, self._every = folder, files_every
        self._files = CompiledFiles(folder, durable=False)
        self._snapshot = _of_number(first, 0, lambda: None)
        self._in_force = InForce(Version(0, self._snapshot))
        self._point(0)

    def decide(self) -> Decision:
        """Of the reference of this process."""
        return _decision(self._in_force.now)

    def publish(self, number: int, between: Callable[[], None]) -> None:
        """A new snapshot, swapped; and then in the files, for other processes."""
        self._snapshot = _of_number(self._snapshot, number, between)
        self._in_force.swap(number - 1, self._snapshot)
        if self._every and number % self._every == 0:
            self._point(number)

    def _point(self, number: int) -> None:
        name = self._files.put(self._snapshot)
        self._files.point(Pointer(number + 1, self._snapshot.configuration_hash, name, "development", "now"))


def _of_number(snapshot: Snapshot, number: int, between: Callable[[], None]) -> Snapshot:
    for symbol, name in KEYS:
        snapshot = snapshot.with_symbol(symbol, {name: number / 100 if name == "max_exposure_fraction" else number})
        between()
    return snapshot


def _decision(version: Version) -> Decision:
    """Four reads of one version: that is all a reader has to do."""
    snapshot = version.snapshot
    first = snapshot.position_limit("US10")
    second = snapshot.position_limit("GOLD")
    third = round(snapshot.exposure_limit("US10") / snapshot.capital_base * 100)
    return first, second, third, snapshot.value("GOLD", "max_order_contracts")  # type: ignore[return-value]


class Mutable:
    """The peer's: changed where it lies, read by threads and processes alike."""

    name = "mutable"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._values = MutableConfiguration(folder / "values", KEYS)

    def decide(self) -> Decision:
        """The same four values."""
        return tuple(self._values.value(symbol, name) for symbol, name in KEYS)

    def publish(self, number: int, between: Callable[[], None]) -> None:
        """Changes the four values."""
        self._values.update(dict.fromkeys(KEYS, float(number)), between)


# --- readers and the writer -------------------------------------------------------------------------------------------
def run(store: Store, versions: int, threads: int = THREADS, processes: int = PROCESSES) -> Seen:
    """What all readers saw while a writer published versions 1 to `versions`."""
    in_threads, in_processes = each_saw(store, versions, threads, processes)
    return sum((*in_threads, *in_processes), Seen())


def each_saw(store: Store, versions: int, threads: int, processes: int) -> tuple[list[Seen], list[Seen]]:
    """What every reader saw by itself: those in threads, and those in processes."""
    stop, seen = threading.Event(), [Seen() for _ in range(threads)]
    readers = [threading.Thread(target=_read, args=(store.decide, mine, stop)) for mine in seen]
    with _switching(1e-4), _children(store, processes) as children:
        for reader in readers:
            reader.start()
        try:
            _write(store, versions)
        finally:
            stop.set()
            (store.folder / "stop").touch()
        for reader in readers:
            reader.join()
        told = [Seen(**json.loads(child.communicate()[0])) for child in children]
    return seen, told


def _write(store: Store, versions: int) -> None:
    changes, pause = iter(range(1, sys.maxsize)), threading.Event()

    def between() -> None:
        if next(changes) % INTERRUPTED_EVERY == 0:
            pause.wait(INTERRUPTION_S)

    for number in range(1, versions + 1):
        store.publish(number, between)


def _read(decide: Decide, seen: Seen, stop: threading.Event) -> None:
    while True:
        for _ in range(BURST):
            seen.look(decide())
        if stop.wait(REST_S):
            return


@contextmanager
def _switching(interval_s: float) -> Iterator[None]:
    """Threads take turns this often, so that a test finds in seconds what a year of trading would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _children(store: Store, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, __file__, "--read", store.name, str(store.folder)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        while sum(1 for _ in store.folder.glob("ready-*")) < count and all(child.poll() is None for child in children):
            threading.Event().wait(0.01)
        yield children
    finally:
        for child in children:
            child.kill()
            child.wait()


def child(kind: str, folder: Path) -> None:
    """A reader process: reads until told to stop, and prints what it saw."""
    decide = Mutable(folder).decide
    if kind == Compiled.name:
        follower = Follower(folder)
        decide = lambda: _decision(follower.now)  # noqa: E731
    stop, seen, waiting = folder / "stop", Seen(), threading.Event()
    decide()
    (folder / f"ready-{id(seen)}-{time.monotonic_ns()}").touch()
    while not stop.exists():
        for _ in range(10 * BURST):
            seen.look(decide())
        waiting.wait(REST_S)
    print(json.dumps(asdict(seen)))


def first_snapshot() -> Snapshot:
    """Two symbols with the settings that are shipped."""
    import numpy as np

    from trading.config.compiled import compiled
    from trading.config.symbol_columns import DTYPES, SymbolColumns
    from trading.config.symbol_fields import FIELDS

    stored = {each.name: each.choices.index(str(each.default)) if each.choices else each.default for each in FIELDS}
    values = {each.name: np.full(2, stored[each.name], DTYPES[each.kind]) for each in FIELDS}
    classes = np.zeros(2, np.uint16)
    own = np.zeros(2, np.uint32)
    columns = SymbolColumns(("GOLD", "US10"), ("",), classes, ("",), classes, values, own, {})
    facts = {"configuration_hash": "0" * 64, "environment": "development", "base_currency": "USD"}
    money = {"capital_base": 1e6, "max_gross_exposure_fraction": 20.0, "max_daily_loss_fraction": 0.05}
    return Snapshot.open(compiled(columns, {}, {**facts, **money}))


def _store(kind: str, folder: Path, files_every: int) -> Store:
    return Compiled(folder, first_snapshot(), files_every) if kind == Compiled.name else Mutable(folder)


def main() -> int:
    """Both stores, the same readers; 0 where ours never mixed and the peer's did."""
    given = argparse.ArgumentParser()
    given.add_argument("--versions", type=int, default=VERSIONS)
    given.add_argument("--files-every", type=int, default=1, help="versions between two that processes get to see")
    given.add_argument("--read", nargs=2, metavar=("STORE", "FOLDER"))
    asked = given.parse_args()
    if asked.read:
        child(asked.read[0], Path(asked.read[1]))
        return 0
    found = {}
    for kind in (Compiled.name, Mutable.name):
        with tempfile.TemporaryDirectory() as folder:
            made = _store(kind, Path(folder), asked.files_every)
            began = time.perf_counter()
            found[kind] = run(made, asked.versions)
            print(f"{kind}: {asked.versions:,} versions in {time.perf_counter() - began:.1f} s, {found[kind]}")
    ours, theirs = found[Compiled.name], found[Mutable.name]
    return int(ours.mixes or ours.backwards or not theirs.mixes)


if __name__ == "__main__":
    sys.exit(main())
