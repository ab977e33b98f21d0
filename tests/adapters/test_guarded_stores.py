"""Breakers around the stores that the risk service uses while it answers: what is tried, what is not, and what is told.

Does not belong here: the breaker itself (`tests/domain`), or facts (`tests/days/test_risk_inputs.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from pipelines.risk_server.guarded import Guard, GuardedDecisions, GuardedJournal
from resources.memory import MemoryLedger
from resources.risk_memory import MemoryDecisionLog
from trading.book.journal import Event
from trading.errors import StoreError, StoreUnavailable, UsageError
from trading.risk.decision import Decision
from trading.risk.halts import Halt, new_halt
from trading.risk.kept import About


class Clock:
    """Seconds that a test lets pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Failing(MemoryLedger):
    """A ledger that may be gone, and counts who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.down = 0, True

    def _answer(self) -> None:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the ledger does not answer")

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        self._answer()
        return super().rows(projection, where)

    def record(self, events: Sequence[Event]) -> Any:
        self._answer()
        return super().record(events)


class FullDisk(MemoryDecisionLog):
    """A log of decisions on a full disk."""

    asked = 0

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        self.asked += 1
        raise StoreError("no space left on the disk")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def halt() -> Halt:
    from pipelines.wiring import utc_now

    return new_halt("everything", "", "nothing", "ann", "prices are wrong", utc_now())


def test_a_ledger_that_fails_is_asked_again_later_each_time(clock: Clock) -> None:
    ledger, guard = Failing(), Guard("halts", 2, 1.0, clock)
    journal = GuardedJournal(ledger, guard)
    for _ in range(10):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            journal.rows("halts")
    assert (ledger.asked, guard.state()) == (2, "open")
    assert guard.why().startswith("the halts failed 2 times in a row and is left alone for another 1.0 s: the ledger")
    clock.now = 1.5  # one attempt, and the next after twice the pause
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            journal.rows("halts")
    assert ledger.asked == 3
    clock.now, ledger.down = 3.6, False
    assert journal.rows("halts") == []
    assert (guard.state(), guard.why()) == ("closed", "")


def test_a_halt_is_tried_whatever_was_before(clock: Clock) -> None:
    ledger, guard = Failing(), Guard("halts", 1, 100.0, clock)
    journal = GuardedJournal(ledger, guard)
    with pytest.raises(StoreUnavailable):
        journal.rows("halts")
    ledger.down = False
    with pytest.raises(StoreUnavailable, match="left alone"):
        journal.rows("halts")
    journal.record([halt().set_event(date(2026, 11, 20))])
    assert len(journal.rows("halts")) == 1  # it answered, so it is asked again


def test_decisions_that_cannot_be_kept_are_refused_at_once_while_the_disk_is_full(clock: Clock) -> None:
    log, guard = FullDisk(), Guard("decisions", 3, 1.0, clock)
    decisions = GuardedDecisions(log, guard)
    for _ in range(20):
        with pytest.raises(StoreError):
            decisions.append([], None)  # type: ignore[arg-type]
    assert log.asked == 3
    assert list(decisions.read()) == []  # who looks is not kept waiting


def test_a_request_that_was_wrong_is_no_failure(clock: Clock) -> None:
    guard = Guard("halts", 1, 1.0, clock)

    def wrong() -> None:
        raise UsageError("no such table")

    for _ in range(3):
        with pytest.raises(UsageError):
            guard.call(wrong)
    assert guard.state() == "closed"


def test_of_many_who_ask_when_the_pause_is_over_one_tries(clock: Clock) -> None:
    guard, tried, begun = Guard("halts", 1, 1.0, clock), [], threading.Event()

    def slowly() -> None:
        tried.append(1)
        begun.wait(5.0)

    with pytest.raises(OSError, match="gone"):
        guard.call(lambda: (_ for _ in ()).throw(OSError("gone")))
    clock.now = 2.0
    first = threading.Thread(target=guard.call, args=(slowly,))
    first.start()
    while not tried:
        pass
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            guard.call(slowly)
    begun.set()
    first.join()
    assert len(tried) == 1
