"""A run's ledger that loses its server: what was said once is said again at once, and the server is asked no more."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from resources.lost_ledger import LosableLedger
from resources.memory import MemoryLedger
from trading.book.journal import Event
from trading.errors import EventConflict, StoreUnavailable


class Flaky(MemoryLedger):
    """A ledger whose server may be down, and that counts who asks."""

    down, asked = False, 0

    def sequence(self) -> int:
        """Fails while down."""
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the server is down. Start it.")
        return super().sequence()


def event(name: str, state: str = "done") -> Event:
    payload = {"process": name, "session": "2022-02-25", "state": state, "run_id": name, "detail": ""}
    return Event(name, "process", date(2022, 2, 25), datetime(2022, 2, 25, tzinfo=UTC), "ann", payload)


def test_answers_are_those_of_the_ledger() -> None:
    inner = Flaky()
    ledger = LosableLedger(inner)
    assert ledger.record([event("a"), event("b")]).new == 2
    assert [entry.event.event_id for entry in ledger.entries()] == ["a", "b"]
    assert list(ledger.entries(kinds=["fill"])) == []
    assert list(ledger.entries(upto={"processes": 1})) == list(inner.entries())[:1]
    assert (ledger.rows("process_runs"), ledger.heads()) == (inner.rows("process_runs"), inner.heads())
    assert (ledger.sequence(), ledger.content_hash()) == (2, inner.content_hash())
    assert ledger.search("ann") == inner.search("ann")
    assert ledger.health().well


def test_a_lost_server_is_asked_no_more() -> None:
    inner = Flaky()
    ledger = LosableLedger(inner)
    inner.down = True
    with pytest.raises(StoreUnavailable, match=r"the server is down. Start it."):
        ledger.sequence()
    inner.down = False
    for ask in (ledger.sequence, lambda: ledger.record([event("a")]), lambda: list(ledger.entries())):
        with pytest.raises(StoreUnavailable, match=r"the server is down. Start it."):
            ask()
    assert inner.asked == 1
    assert list(inner.entries()) == []
    assert LosableLedger(inner).sequence() == 0, "the next run asks again"


def test_a_refusal_loses_nothing() -> None:
    ledger = LosableLedger(MemoryLedger())
    ledger.record([event("a")])
    with pytest.raises(EventConflict):
        ledger.record([event("a", "failed")])
    assert ledger.record([event("b")]).new == 1
