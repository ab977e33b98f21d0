"""What is on the disk for good: the one way adapters wait for it.

Belongs here: flushing files and folders. Does not belong here: writing them.
"""

from __future__ import annotations

import os
from pathlib import Path


def synced(path: Path) -> None:
    """Waits until a file or folder is on the disk: a power cut after this loses nothing of it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
