"""Which snapshot is in force in this process: one reference, swapped by whoever names the version he replaces.

Belongs here: the reference and the swap. Does not belong here: what a snapshot says (`snapshot.py`), or the versions of
other processes (`resources/compiled_files.py`).

A reader takes `now` once for a decision and reads all of it from there:

    version = in_force.now
    limits = version.snapshot.order_limits("US10", "trend")
    refused = limits.passed_by(order_contracts, position_contracts, notional_base)
"""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

from trading.config.snapshot import Snapshot
from trading.errors import StaleVersion


class Version(NamedTuple):
    """A snapshot and its number: later versions have higher numbers."""

    number: int
    snapshot: Snapshot


class Pointer(NamedTuple):
    """Which version is in force: its number, the hash of the settings it is of, the content hash of its snapshot, its
    environment, and when it was put in force (ISO 8601)."""

    number: int
    configuration: str
    snapshot: str
    environment: str
    at: str


class InForce:
    """What is in force. `now` is one attribute: reading it takes no lock and never waits for a writer."""

    __slots__ = ("_writers", "now")

    _writers: Lock
    now: Version

    def __init__(self, first: Version) -> None:
        object.__setattr__(self, "now", first)
        object.__setattr__(self, "_writers", Lock())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is set by swap alone, which says which version it replaces.")

    def swap(self, expected: int, snapshot: Snapshot, number: int | None = None) -> Version:
        """Puts a snapshot in force in place of version `expected`, as `number` (the next one if none is given). Raises
        StaleVersion if another version is in force by now, or if the number is not a later one: of two writers who
        expect the same version, one wins."""
        with self._writers:
            held = self.now.number
            chosen = held + 1 if number is None else number
            if held != expected:
                raise StaleVersion(
                    f"version {expected} was to be replaced, but version {held} is in force by now: somebody else was "
                    "first, and nothing was changed. Look at what is in force, and decide again."
                )
            if chosen <= held:
                raise StaleVersion(f"version {chosen} is not later than version {held}, which is in force.")
            snapshot.remember(self.now.snapshot)
            new = Version(chosen, snapshot)
            object.__setattr__(self, "now", new)
        return new
