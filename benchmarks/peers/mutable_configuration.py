"""The peer of a compiled configuration: settings that are changed where they lie, as a shared dictionary or a table in
shared memory is.

Belongs here: the store, as such stores are commonly written. Does not belong here: finding it out (`torn_reads.py`).
Every single value it gives was written by somebody; two of them need not be of one version.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path

Key = tuple[str, str]  # symbol, field


class MutableConfiguration:
    """Values by symbol and field, in a file that threads and processes have mapped; changed one after the other."""

    def __init__(self, file: Path, keys: tuple[Key, ...]) -> None:
        if not file.exists():
            file.write_bytes(bytes(8 * len(keys)))
        with file.open("r+b") as opened:
            self._values = memoryview(mmap.mmap(opened.fileno(), 0)).cast("d")
        self._places = {key: place for place, key in enumerate(keys)}

    def value(self, symbol: str, field: str) -> float:
        """A value, as it is now."""
        return self._values[self._places[symbol, field]]

    def update(self, changes: Mapping[Key, float], between: Callable[[], None]) -> None:
        """Changes values where they lie; `between` is what the scheduler does to a writer between two of them."""
        for key, value in changes.items():
            self._values[self._places[key]] = value
            between()
