"""What every Ledger promises (trading.ports.Ledger), run against each adapter."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resources.memory import MemoryLedger
from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import Event
from trading.errors import EventConflict, LedgerError, UsageError
from trading.ports import Ledger, Recorded

THURSDAY, FRIDAY = date(2022, 2, 24), date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, 0, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "book" / "ledger.sqlite")


def order(number: int, quantity: int = 2, session: date = FRIDAY) -> Event:
    payload = {
        "order_id": f"o{number}", "strategy": "trend", "instrument": "US10", "contract": 20220600,
        "session": session.isoformat(), "quantity_contracts": quantity, "reason": "target", "reference_points": 127.5,
        "refusal": None,
    }  # fmt: skip
    return Event(f"order/o{number}", "order_placed", session, AT, "close", payload)


def fill(number: int, quantity: int = 2, contract: int = 20220600, session: date = FRIDAY) -> Event:
    payload = {
        "fill_id": f"f{number}", "order_id": f"o{number}", "strategy": "trend", "instrument": "US10",
        "contract": contract, "session": session.isoformat(), "quantity_contracts": quantity, "price_points": 127.25,
        "commission_local": 2.5,
    }  # fmt: skip
    return Event(f"fill/f{number}", "fill", session, AT, "broker", payload)


def positions(ledger: Ledger) -> dict[object, object]:
    return {row["contract"]: row["quantity_contracts"] for row in ledger.rows("positions")}


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.sequence() == 0
    assert list(ledger.entries()) == []
    assert ledger.rows("positions") == []
    assert ledger.content_hash() == MemoryLedger().content_hash()
    assert ledger.record([]) == Recorded(0, 0, 0)


def test_events_come_back_as_they_were_numbered_from_one(ledger: Ledger) -> None:
    events = [order(1), fill(1), order(2, session=THURSDAY)]
    assert ledger.record(events) == Recorded(new=3, repeated=0, sequence=3)
    found = list(ledger.entries())
    assert [entry.sequence for entry in found] == [1, 2, 3]
    assert [entry.event for entry in found] == events


def test_recording_again_changes_nothing(ledger: Ledger) -> None:
    ledger.record([order(1), fill(1)])
    before = ledger.content_hash()
    later = Event(**{**{name: getattr(fill(1), name) for name in ("event_id", "kind", "session", "payload")},
                     "at": datetime(2022, 3, 1, tzinfo=UTC), "actor": "rerun"})  # fmt: skip
    assert ledger.record([later, order(1)]) == Recorded(new=0, repeated=2, sequence=2)
    assert ledger.record([order(2), order(2)]) == Recorded(new=1, repeated=1, sequence=3)
    assert positions(ledger) == {20220600: 2}
    assert ledger.content_hash() != before


def test_an_id_with_other_content_stops_the_whole_batch(ledger: Ledger) -> None:
    ledger.record([order(1), fill(1)])
    before = (ledger.sequence(), ledger.content_hash(), ledger.rows("orders"))
    with pytest.raises(EventConflict, match=r"fill/f1 .*2022-02-25.* other content"):
        ledger.record([order(2), fill(1, quantity=3)])
    with pytest.raises(EventConflict, match="order/o3"):
        ledger.record([order(3), order(3, quantity=9)])
    assert (ledger.sequence(), ledger.content_hash(), ledger.rows("orders")) == before


def test_a_kind_nobody_knows_stops_the_whole_batch(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="kind gossip"):
        ledger.record([order(1), Event("x", "gossip", FRIDAY, AT, "close")])
    assert (ledger.sequence(), ledger.rows("orders")) == (0, [])


def test_projections_are_the_fold_of_the_journal(ledger: Ledger) -> None:
    ledger.record([order(1), order(2, -3)])
    ledger.record([fill(1), fill(2, -3), fill(3, 4, contract=20220900)])
    assert positions(ledger) == {20220600: -1, 20220900: 4}
    assert [(row["order_id"], row["status"]) for row in ledger.rows("orders")] == [
        ("o1", "filled"), ("o2", "filled"), ("o3", "filled")
    ]  # fmt: skip
    assert ledger.rows("orders", {"order_id": "o1"})[0]["reference_points"] == 127.5
    assert [row["fill_id"] for row in ledger.rows("fills", {"quantity_contracts": -3})] == ["f2"]


def test_a_row_has_every_column_and_none_where_nothing_was_said(ledger: Ledger) -> None:
    ledger.record([fill(1)])
    assert ledger.rows("orders") == [
        {
            "order_id": "o1", "strategy": None, "instrument": None, "contract": None, "session": None,
            "quantity_contracts": None, "reason": None, "status": "filled", "reference_points": None, "refusal": None,
        }
    ]  # fmt: skip
    assert ledger.rows("orders", {"strategy": None}) == ledger.rows("orders")


def test_a_price_that_is_not_a_number_is_none(ledger: Ledger) -> None:
    priced = order(1)
    payload = {**priced.payload, "reference_points": math.nan}
    ledger.record([Event(priced.event_id, priced.kind, FRIDAY, AT, "close", payload)])
    assert ledger.rows("orders")[0]["reference_points"] is None


def test_process_state_is_the_last_said(ledger: Ledger) -> None:
    for number, state in enumerate(("started", "done")):
        payload = {"process": "close", "session": "2022-02-25", "state": state, "run_id": "r1", "detail": ""}
        ledger.record([Event(f"p{number}", "process", FRIDAY, AT, "close", payload)])
    assert [row["state"] for row in ledger.rows("process_state")] == ["done"]


def test_entries_after_of_kinds_and_through(ledger: Ledger) -> None:
    ledger.record([order(1, session=THURSDAY), fill(1), order(2), fill(2, session=THURSDAY)])
    assert [entry.sequence for entry in ledger.entries(after=2)] == [3, 4]
    assert [entry.sequence for entry in ledger.entries(kinds=["fill"])] == [2, 4]
    assert [entry.sequence for entry in ledger.entries(through=THURSDAY)] == [1, 4]
    assert [entry.sequence for entry in ledger.entries(after=1, kinds=["fill"], through=THURSDAY)] == [4]
    assert list(ledger.entries(kinds=[])) == []


def test_the_content_hash_is_the_chain_over_all_contents(ledger: Ledger) -> None:
    """Worked without the ledger: SHA-256 of the hash before and the canonical JSON, twice."""
    first = '{"id":"a","kind":"process","payload":{"process":"x"},"session":"2022-02-25"}'
    second = '{"id":"b","kind":"process","payload":{"process":"y"},"session":"2022-02-24"}'
    expected = hashlib.sha256((hashlib.sha256(first.encode()).hexdigest() + second).encode()).hexdigest()
    ledger.record([Event("a", "process", FRIDAY, AT, "me", {"process": "x"})])
    ledger.record([Event("b", "process", THURSDAY, AT, "me", {"process": "y"})])
    assert ledger.content_hash() == expected


def test_replaying_the_entries_into_an_empty_ledger_restores_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([order(number) for number in range(1, 6)])
    ledger.record([fill(number, number) for number in range(1, 4)])
    for restored in (MemoryLedger(), SqliteLedger(tmp_path / "restored.sqlite")):
        restored.record([entry.event for entry in ledger.entries()])
        assert restored.content_hash() == ledger.content_hash()
        for projection in ("orders", "fills", "positions", "process_state"):
            assert restored.rows(projection) == ledger.rows(projection)


def test_unknown_projections_and_columns_are_named(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no projection trades"):
        ledger.rows("trades")
    with pytest.raises(UsageError, match="orders has no column colour"):
        ledger.rows("orders", {"colour": "red"})
