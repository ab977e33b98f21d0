"""A process of its own that puts one configuration after the other in force, for a test that kills it.

Run as `python configuration_writer.py FOLDER`. Belongs here: what the child does. Does not belong here: tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.compiled_files import CompiledFiles, Pointer
from trading.config.snapshot import Snapshot


def values(number: int) -> dict[str, dict[str, float]]:
    """What version `number` says, in every symbol."""
    return {symbol: {"max_position_contracts": number, "max_order_contracts": number} for symbol in ("GOLD", "US10")}


def main(folder: Path) -> None:
    """Goes on from the version in force, until it is killed."""
    files = CompiledFiles(folder, durable=False)
    number, snapshot = files.version()
    print("ready", flush=True)  # noqa: T201 - what the parent waits for
    while True:
        number += 1
        snapshot = changed(snapshot, number)
        files.point(Pointer(number, snapshot.configuration_hash, files.put(snapshot), "paper", f"{number}"), number - 1)


def changed(snapshot: Snapshot, number: int) -> Snapshot:
    """Version `number`."""
    return snapshot.with_symbols(values(number))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
