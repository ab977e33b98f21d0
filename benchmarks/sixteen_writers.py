"""Claim: sixteen writers on one book, for a minute, lose no fill and double none, and whoever reads meanwhile sees
tables that are the fold of the journal.

Each writer has a ledger of its own, as a process would, and records batches of one to fifty fills; one batch in five
also tells fills that another writer has recorded before. A reader looks up to a hundred times a second: numbers without
gaps, no fill twice, and, whenever nobody wrote while it looked, positions equal to the sum of the fills so far. Exit
code 1 where anything is wrong.

Run: `python benchmarks/sixteen_writers.py [--seconds 60] [--store sqlite]`.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines import mongod
from resources.mongo_ledger import MongoLedger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from trading.book.audit import findings
from trading.book.booking import Entered
from trading.book.journal import PROJECTIONS, Event
from trading.book.orders import Fill
from trading.ports import Ledger

WRITERS, LARGEST = 16, 50
PAUSE_S = 0.01  # between two looks: a reader that never rests leaves writers of its own process no time
DAY = date(2022, 2, 25)
ENTRY = Entered(DAY, datetime(2022, 2, 25, 21, tzinfo=UTC), "broker")
STREAM = "book/trend"
CODES = ("BUND", "CORN", "GOLD", "US10")
NUMBERS = itertools.count(1)


def fill(writer: int, rolled: random.Random) -> Event:
    """A fill of a writer, in the one book: of a contract of its own, or, one in ten, of one that all of them trade,
    which then come out of order."""
    quantity, price = rolled.choice([-3, -2, -1, 1, 2, 3]), 100 + rolled.randrange(400) / 4
    code = rolled.choice(CODES) if rolled.random() < 0.1 else f"{CODES[writer % 4]}_{writer}"
    name = f"{next(NUMBERS):09}"
    return ENTRY.filled(Fill(name, f"order-{code}", "trend", code, 20220600, DAY, quantity, price, 0.25))


@dataclass
class Told:
    """What was acknowledged, by everyone, and how many batches told something again."""

    fills: set[str] = field(default_factory=set)
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=500))
    batches: int = 0
    repeats: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    errors: list[BaseException] = field(default_factory=list)


def write(ledger: Ledger, writer: int, told: Told, over: threading.Event) -> None:
    """Records batches until the time is over."""
    rolled = random.Random(writer)
    try:
        while not over.is_set():
            size = rolled.randint(1, LARGEST)
            batch = [fill(writer, rolled) for _ in range(size)]
            with told.lock:
                again = rolled.sample(list(told.recent), min(5, len(told.recent))) if told.batches % 5 == 4 else []
            recorded = ledger.record([*batch, *again])
            assert (recorded.new, recorded.repeated) == (size, len(again))
            with told.lock:
                told.fills |= {str(event.payload["fill_id"]) for event in batch}
                told.recent.extend(batch)
                told.batches, told.repeats = told.batches + 1, told.repeats + bool(again)
    except BaseException as cause:
        told.errors.append(cause)


def read(ledger: Ledger, over: threading.Event, seen: Counter[str], told: Told) -> None:
    """Looks at the ledger until the time is over, and counts what was seen."""
    held: Counter[str] = Counter()
    fills: set[str] = set()
    place = 0
    try:
        while not over.wait(PAUSE_S):
            before = ledger.heads()
            rows = {str(row["instrument"]): row["quantity_contracts"] for row in ledger.rows("positions")}
            after = ledger.heads()
            upto = {STREAM: before[STREAM].number} if STREAM in before else {}
            for entry in ledger.entries(after={STREAM: place}, upto=upto):
                place += 1
                name, payload = entry.event.event_id, entry.event.payload
                assert entry.number == place, f"entry {entry.number} follows {place - 1}"
                assert name not in fills, f"{name} is there twice"
                fills.add(name)
                held[str(payload["instrument"])] += int(payload["quantity_contracts"])  # type: ignore[arg-type]
            seen["looks"] += 1
            if before == after:
                seen["compared"] += 1
                assert rows == dict(held), f"positions {rows}, fills add up to {dict(held)}"
    except BaseException as cause:
        told.errors.append(cause)


def run(make: Callable[[], Ledger], seconds: float, writers: int = WRITERS) -> tuple[Told, Counter[str], list[str]]:
    """Lets them write and read, and returns what was acknowledged, what was seen, and what is wrong afterwards."""
    told, seen, over = Told(), Counter[str](), threading.Event()
    make().heads()  # tables are made before anybody writes
    threads = [threading.Thread(target=write, args=(make(), number, told, over)) for number in range(writers)]
    threads.append(threading.Thread(target=read, args=(make(), over, seen, told)))
    for thread in threads:
        thread.start()
    over.wait(seconds)
    over.set()
    for thread in threads:
        thread.join()
    ledger = make()
    wrong = [repr(error) for error in told.errors]
    wrong += findings(ledger.entries(), ledger.heads(), {name: ledger.rows(name) for name in PROJECTIONS})
    there = Counter(str(entry.event.payload["fill_id"]) for entry in ledger.entries(kinds=["fill"]))
    wrong += [f"{name} is lost" for name in sorted(told.fills - set(there))]
    wrong += [f"{name} is there {count} times" for name, count in there.items() if count != 1]
    wrong += [f"{name} was never acknowledged" for name in sorted(set(there) - told.fills)]
    return told, seen, wrong


# --- stores -----------------------------------------------------------------------------------------------------------
@contextmanager
def sqlite() -> Iterator[Callable[[], Ledger]]:
    """A file."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield lambda: SqliteLedger(Path(folder) / "ledger.sqlite")


def _mongods(folder: Path) -> mongod.ReplicaSet:
    program = mongod.mongod_program()
    if program is None:
        raise SystemExit(mongod.NO_MONGOD)
    return mongod.ReplicaSet(program, folder)


@contextmanager
def mongodb() -> Iterator[Callable[[], Ledger]]:
    """A replica set."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, _mongods(Path(folder)) as servers:
        yield lambda: MongoLedger(servers.uri)


@contextmanager
def postgresql() -> Iterator[Callable[[], Ledger]]:
    """A server."""
    from tests.conftest import postgres_server

    with postgres_server() as server:
        yield lambda: PostgresLedger(server.uri())


STORES = {"sqlite": sqlite, "mongodb": mongodb, "postgresql": postgresql}


def main() -> int:
    """Runs the stores asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--store", choices=STORES, action="append")
    asked = parser.parse_args()
    failed = 0
    for name in asked.store or STORES:
        with STORES[name]() as make:
            began = time.perf_counter()
            told, seen, wrong = run(make, asked.seconds)
            took = time.perf_counter() - began
        print(
            f"{name:10} {WRITERS} writers, {took:.0f} s: {len(told.fills):,} fills in {told.batches:,} batches, "
            f"{told.repeats:,} of them with repeats; {seen['looks']:,} looks, {seen['compared']:,} compared; "
            f"wrong: {len(wrong)}"
        )
        for sentence in wrong[:10]:
            print(f"    {sentence}")
        failed += bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
