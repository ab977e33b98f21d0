"""Claim: when the primary of a replica set is killed in mid-stream, every acknowledged fill is there exactly once,
tables are what the journal comes to, and writers go on by themselves.

Starts three real mongods, lets writers record batches of fills, and kills the primary (SIGKILL) again and again. Prints
the seconds from each kill until every writer had its next batch acknowledged. Exit code 1 where anything is lost,
double or different. Run: `python benchmarks/recovery.py [--kills 10] [--writers 4] [--election-ms 10000]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines import mongod
from resources.mongo_ledger import MongoLedger
from trading.book.audit import findings
from trading.book.journal import PROJECTIONS, Event

BATCH = 10
SESSION = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 21, 0, tzinfo=UTC)
PATIENCE_S = 120.0
STREAMING_S = 1.0


def fill(strategy: str, number: int) -> Event:
    """The fill of that number in a book: one contract bought."""
    name = f"{strategy}-{number:06}"
    payload = {
        "fill_id": name, "order_id": f"order-{strategy}", "strategy": strategy, "instrument": "US10",
        "contract": 20220600, "session": SESSION.isoformat(), "quantity_contracts": 1,
        "price_points": 100.0 + number % 8, "commission_local": 0.25, "executed_at": None,
    }  # fmt: skip
    return Event(f"fill:{name}", "fill", SESSION, AT, "broker", payload)


class Writer(threading.Thread):
    """Records batch after batch into a book of its own, and remembers which were acknowledged, and when."""

    def __init__(self, uri: str, strategy: str, over: threading.Event) -> None:
        super().__init__(name=strategy, daemon=True)
        self.acknowledged: list[float] = []
        self.error: BaseException | None = None
        self._ledger, self._over = MongoLedger(uri), over

    def run(self) -> None:
        """Writes until told to stop. Whatever is raised is kept: a writer has to recover without help."""
        try:
            while not self._over.is_set():
                first = len(self.acknowledged) * BATCH
                self._ledger.record([fill(self.name, number) for number in range(first, first + BATCH)])
                self.acknowledged.append(time.monotonic())
        except BaseException as error:
            self.error = error
        finally:
            self._ledger.close()

    @property
    def fills(self) -> set[str]:
        """Ids of events that were acknowledged."""
        return {fill(self.name, number).event_id for number in range(len(self.acknowledged) * BATCH)}


def seconds_to_recover(servers: mongod.ReplicaSet, writers: Sequence[Writer]) -> float:
    """Kills the primary, and waits until every writer goes on; then the killed member comes back."""
    threading.Event().wait(STREAMING_S)
    port = mongod.primary(servers.ports, PATIENCE_S)
    assert port is not None, "no primary was elected"
    servers.kill(port)
    killed = time.monotonic()
    # One more may have been on its way when the primary was killed: the next one was begun after that.
    wanted = [len(writer.acknowledged) + 1 for writer in writers]
    while any(len(writer.acknowledged) <= want for writer, want in zip(writers, wanted, strict=True)):
        stopped = next((writer.error for writer in writers if writer.error), None)
        if stopped is not None or time.monotonic() - killed > PATIENCE_S:
            raise RuntimeError("a writer did not recover") from stopped
        threading.Event().wait(0.01)
    servers.start(port)
    assert mongod.settled(servers.ports, PATIENCE_S), "the killed member did not come back"
    return max(writer.acknowledged[want] for writer, want in zip(writers, wanted, strict=True)) - killed


def wrong(uri: str, writers: Sequence[Writer]) -> list[str]:
    """What is not as it has to be after all of it: nothing, or sentences."""
    ledger = MongoLedger(uri)
    entries = list(ledger.entries())
    count = Counter(entry.event.event_id for entry in entries)
    said = [f"{name} was acknowledged and is lost" for writer in writers for name in writer.fills if name not in count]
    said += [f"{name} is there {times} times" for name, times in count.items() if times > 1]
    for row in ledger.rows("positions"):
        fills = sum(entry.stream == f"book/{row['strategy']}" for entry in entries)
        if row["quantity_contracts"] != fills or fills % BATCH:
            said.append(f"{row['strategy']} holds {row['quantity_contracts']} contracts of {fills} fills of one")
    said += [f"{writer.name} stopped: {writer.error!r}" for writer in writers if writer.error]
    said += findings(entries, ledger.heads(), {name: ledger.rows(name) for name in PROJECTIONS})
    ledger.close()
    return said


def trial(program: str, folder: Path, kills: int, count: int, election_ms: int) -> tuple[list[float], int, list[str]]:
    """Seconds to recover from each kill, fills that were acknowledged, and what is wrong afterwards."""
    over = threading.Event()
    with mongod.ReplicaSet(program, folder, 3, election_ms) as servers:
        MongoLedger(servers.uri).health()
        writers = [Writer(servers.uri, f"book{number}", over) for number in range(count)]
        for writer in writers:
            writer.start()
        try:
            seconds = [seconds_to_recover(servers, writers) for _ in range(kills)]
        finally:
            over.set()
            for writer in writers:
                writer.join(PATIENCE_S)
        return seconds, sum(len(writer.fills) for writer in writers), wrong(servers.uri, writers)


def main() -> int:
    """Prints what was found; returns the exit code."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=10)
    asked.add_argument("--writers", type=int, default=4)
    asked.add_argument("--election-ms", type=int, default=10_000, help="MongoDB's own is 10000")
    given = asked.parse_args()
    program = mongod.mongod_program()
    if program is None:
        print(mongod.NO_MONGOD)
        return 1
    with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
        found = trial(program, Path(folder), given.kills, given.writers, given.election_ms)
    seconds, fills, said = found
    print(f"{given.kills} primaries killed while {given.writers} writers wrote; {fills:,} fills were acknowledged")
    print(f"seconds to recover (election after {given.election_ms / 1000:g} s without a primary): "
          f"{', '.join(f'{value:.1f}' for value in seconds)}")  # fmt: skip
    print("\n".join(said) or "every acknowledged fill is there exactly once; tables are what the journal comes to")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
