"""A process of its own that takes a snapshot and dies in it, as kill -9 would have it.

Run as `python snapshot_child.py HOME BACKUPS MOMENT`: the MOMENT-th time that the backup says how far it is, or `blob`,
between the writing of a blob and going on. Belongs here: what a child does. Does not belong here: tests.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.delta_frames import DeltaFrames
from resources.disk_blobs import DiskBlobs
from resources.snapshots import Snapshots
from resources.sqlite_ledger import SqliteLedger
from trading.continuity.manifest import Identity


def die() -> None:
    """No clean-up, no locks released by us."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyBlobs(DiskBlobs):
    """Dies once its second blob is on the disk."""

    count = 0

    def put(self, content: bytes) -> str:
        """As the port, once."""
        digest = super().put(content)
        self.count += 1
        if self.count == 2:
            die()
        return digest


def main(home: Path, backups: Path, moment: str) -> None:
    """Takes a snapshot until the moment comes."""
    calls = 0

    def progress(done: int, total: int, what: str) -> None:
        nonlocal calls
        calls += 1
        if (moment.isdigit() and calls == int(moment)) or (moment == "hashes" and done == total):
            die()

    blobs = (DeadlyBlobs if moment == "blob" else DiskBlobs)(backups / "blobs")
    store = Snapshots(home, backups, blobs, DeltaFrames, SqliteLedger)
    store.take(Identity("c", "r", "1"), datetime(2022, 2, 26, tzinfo=UTC), progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
