"""The reference to what is in force: read without a lock, swapped by one of those who want to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from benchmarks.torn_reads import first_snapshot
from trading.config.in_force import InForce, Version
from trading.errors import StaleVersion


def test_a_reader_keeps_the_version_it_took() -> None:
    first = first_snapshot()
    in_force = InForce(Version(1, first))
    taken = in_force.now
    new = in_force.swap(1, first.with_symbol("US10", {"max_position_contracts": 9}))
    assert (new.number, in_force.now) == (2, new)
    assert (taken.number, taken.snapshot.position_limit("US10")) == (1, 500)
    assert in_force.now.snapshot.position_limit("US10") == 9


def test_who_expects_another_version_changes_nothing() -> None:
    in_force = InForce(Version(7, first_snapshot()))
    now = in_force.now
    with pytest.raises(StaleVersion, match=r"version 6 was to be replaced, but version 7 is in force by now"):
        in_force.swap(6, first_snapshot())
    for number in (7, 3):
        with pytest.raises(StaleVersion, match=f"version {number} is not later than version 7"):
            in_force.swap(7, first_snapshot(), number)
    assert in_force.now is now
    assert in_force.swap(7, first_snapshot(), 12).number == 12


def test_nobody_sets_it_past_the_swap() -> None:
    in_force = InForce(Version(1, first_snapshot()))
    with pytest.raises(AttributeError, match="set by swap alone"):
        in_force.now = Version(2, first_snapshot())


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can, so that two of them meet in the middle of a swap."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_of_many_writers_one_wins_each_version() -> None:
    in_force = InForce(Version(0, first_snapshot()))
    won: list[tuple[int, int]] = []
    begin = threading.Barrier(8)

    def write(writer: int) -> None:
        begin.wait()
        for _ in range(200):
            expected = in_force.now
            try:
                new = in_force.swap(
                    expected.number, expected.snapshot.with_symbol("US10", {"max_position_contracts": writer})
                )
            except StaleVersion:
                continue
            won.append((new.number, writer))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(number for number, _ in won) == list(range(1, len(won) + 1))
    assert in_force.now.number == len(won) >= 200
    assert in_force.now.snapshot.position_limit("US10") == dict(won)[len(won)]
