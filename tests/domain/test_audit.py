"""The audit of a ledger finds every kind of tampering, names where, and invents nothing.

Belongs here: journals in memory, tampered with by hand. Does not belong here: ledgers (`tests/days/
test_audit_commands.py` tampers with a real one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from trading.book.audit import findings
from trading.book.fold import folded
from trading.book.journal import Event, Head
from trading.ports import Entry

DAY = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, tzinfo=UTC)


def fill(number: int, contracts: int, price: float) -> Event:
    payload = {
        "fill_id": f"f{number}", "order_id": f"o{number}", "strategy": "trend", "instrument": "CORN",
        "contract": 20221200, "session": "2022-02-25", "quantity_contracts": contracts, "price_points": price,
        "commission_local": 2.0, "executed_at": None,
    }  # fmt: skip
    return Event(f"fill:f{number}", "fill", DAY, AT, "close", payload)


def moved(to: str, before: str | None) -> Event:
    payload = {
        "session": "2022-02-25", "from_state": before, "to_state": to, "run_id": "r", "overridden": None, "detail": "",
    }  # fmt: skip
    return Event(f"close:{to}", "close_moved", DAY, AT, "ann", payload)


@dataclass
class Kept:
    """A ledger as it is kept: entries, heads and rows."""

    entries: list[Entry] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def record(self, stream: str, *events: Event) -> None:
        """A batch of one stream, chained as the journal's module says."""
        head = self.heads.get(stream, Head())
        text = "\n".join([head.link, *(event.record_text() for event in events)])
        link = hashlib.sha256(text.encode()).hexdigest()
        for number, event in enumerate(events, head.number + 1):
            self.entries.append(Entry(stream, number, event, link if event is events[-1] else None))
        self.heads[stream] = Head(head.number + len(events), link)

    def found(self) -> list[str]:
        return findings(self.entries, self.heads, self.rows)

    def at(self, stream: str, number: int) -> int:
        return next(i for i, entry in enumerate(self.entries) if (entry.stream, entry.number) == (stream, number))


@pytest.fixture
def kept() -> Kept:
    """Five fills of one book in batches of two, two and one, and two moves of a close."""
    ledger = Kept()
    ledger.record("book/trend", fill(1, 2, 500.0), fill(2, 2, 504.0))
    ledger.record("book/trend", fill(3, -1, 510.0), fill(4, 1, 509.0))
    ledger.record("book/trend", fill(5, -4, 511.0))
    ledger.record("close", moved("collecting", None))
    ledger.record("close", moved("validated", "collecting"))
    tables = folded(entry.event for entry in ledger.entries).tables
    ledger.rows = {name: [dict(row) for row in table.values()] for name, table in tables.items()}
    return ledger


def test_an_intact_ledger_has_nothing_wrong(kept: Kept) -> None:
    assert kept.found() == []
    (position,) = kept.rows["positions"]
    # 2 at 500 and 2 at 504 are 4 at 502; -1 at 510 earns 8; +1 at 509 makes 4 at 503.75; -4 at 511 earns 29.
    assert (position["quantity_contracts"], position["realised_points"]) == (0, 37.0)


def test_an_empty_ledger_has_nothing_wrong() -> None:
    assert findings([], {}, {"fills": [], "orders": []}) == []


CHANGES: dict[str, Callable[[Event], Event]] = {
    "the price": lambda e: replace(e, payload={**e.payload, "price_points": 510.5}),
    "the time": lambda e: replace(e, at=AT.replace(hour=21)),
    "the actor": lambda e: replace(e, actor="bob"),
    "the cause": lambda e: replace(e, cause="fill:f1"),
    "the correlation": lambda e: replace(e, correlation="r"),
    "the session": lambda e: replace(e, session=date(2022, 2, 24)),
    "the id": lambda e: replace(e, event_id="fill:f3x"),
    "another key": lambda e: replace(e, payload={**e.payload, "note": ""}),
    "not a number": lambda e: replace(e, payload={**e.payload, "commission_local": float("nan")}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_entry_is_found_with_its_batch(kept: Kept, change: str) -> None:
    place = kept.at("book/trend", 3)
    kept.entries[place] = kept.entries[place]._replace(event=CHANGES[change](kept.entries[place].event))
    found = [text for text in kept.found() if "not what was recorded" in text]
    assert len(found) == 1, "the batches after it are as they were"
    assert found[0].startswith("book/trend, entries 3 to 4: ")


def test_a_changed_entry_whose_table_was_changed_too_is_found(kept: Kept) -> None:
    place = kept.at("book/trend", 5)
    event = kept.entries[place].event
    kept.entries[place] = kept.entries[place]._replace(event=CHANGES["the price"](event))
    kept.rows["positions"][0]["realised_points"] = 35.0  # 4 x 0.5 less
    kept.rows["fills"][4]["price_points"] = 510.5
    (found,) = kept.found()
    assert found.startswith("book/trend, entry 5: not what was recorded.")


def test_an_entry_taken_out_is_found(kept: Kept) -> None:
    del kept.entries[kept.at("book/trend", 3)]
    found = kept.found()
    assert found[0] == "book/trend, entry 4: entry 3 is missing before it."
    assert found[1].startswith("book/trend, entries 3 to 4: not what was recorded.")
    assert any(text.startswith("fills of f3: is kept") for text in found)


def test_a_batch_taken_out_is_found(kept: Kept) -> None:
    del kept.entries[kept.at("book/trend", 3) : kept.at("book/trend", 5)]
    assert kept.found()[0] == "book/trend, entry 5: entries 3 to 4 are missing before it."


def test_the_newest_entries_taken_out_are_found_by_the_head(kept: Kept) -> None:
    del kept.entries[kept.at("book/trend", 5)]
    found = kept.found()
    assert found[0] == "book/trend, entry 4: is the last there is, and the head says 5."
    assert "the head's link is" in found[1]


def test_a_whole_stream_taken_out_is_found(kept: Kept) -> None:
    kept.entries = [entry for entry in kept.entries if entry.stream != "close"]
    assert "close, entry 0: is the last there is, and the head says 2." in kept.found()


def test_a_stream_without_a_head_is_found(kept: Kept) -> None:
    del kept.heads["close"]
    assert "close, entry 2: is the last there is, and the head says 0." in kept.found()


def test_an_entry_put_in_is_found(kept: Kept) -> None:
    kept.entries.insert(kept.at("book/trend", 4), Entry("book/trend", 3, fill(9, 7, 1.0)))
    found = kept.found()
    assert found[0] == "book/trend, entry 3: the number was used before."
    assert any("not what was recorded" in text for text in found)


def test_entries_that_changed_places_are_found(kept: Kept) -> None:
    one, two = kept.at("book/trend", 1), kept.at("book/trend", 2)
    first, second = kept.entries[one].event, kept.entries[two].event
    kept.entries[one] = kept.entries[one]._replace(event=second)
    kept.entries[two] = kept.entries[two]._replace(event=first)
    assert kept.found()[0].startswith("book/trend, entries 1 to 2: not what was recorded.")


def test_an_event_that_is_there_twice_is_found(kept: Kept) -> None:
    kept.record("book/trend", fill(2, 2, 504.0))
    assert "book/trend, entry 6: the event fill:f2 is there already: book/trend, entry 2." in kept.found()


def test_an_entry_in_the_wrong_stream_is_found(kept: Kept) -> None:
    kept.record("close", fill(6, 1, 500.0))
    assert "close, entry 3: the event fill:f6 belongs to stream book/trend." in kept.found()


def test_a_link_taken_away_is_found(kept: Kept) -> None:
    place = kept.at("close", 2)
    kept.entries[place] = kept.entries[place]._replace(link=None)
    assert kept.found()[0] == "close, entry 2: no link was kept with the last."


def test_a_changed_head_is_found(kept: Kept) -> None:
    kept.heads["close"] = Head(2, "0" * 64)
    (found,) = kept.found()
    assert found.startswith("close, entry 2: the head's link is 000000000000, the last entry's ")


def test_an_event_that_cannot_happen_is_found(kept: Kept) -> None:
    approved = Event("o", "order_approved", DAY, AT, "ann", {"order_id": "o99", "strategy": "trend"})
    kept.record("book/trend", approved)
    (found,) = kept.found()
    assert found.startswith("book/trend, entry 6: order_approved o cannot be folded: ")


@pytest.mark.parametrize(("table", "column", "value"), [
    ("positions", "quantity_contracts", 1), ("positions", "realised_points", 37.0000001), ("fills", "state", "busted"),
    ("closes", "state", "published"), ("orders", "filled_contracts", None),
])  # fmt: skip
def test_a_changed_row_is_found_with_the_entry_that_made_it(kept: Kept, table: str, column: str, value: Any) -> None:
    kept.rows[table][-1][column] = value
    (found,) = kept.found()
    last = "close, entry 2" if table == "closes" else "book/trend, entry 5"
    assert found.startswith(f"{table} of ")
    assert f"{column} is kept as {value!r}, the journal comes to " in found
    assert found.endswith(f"(last changed by {last}).")


def test_a_row_taken_out_or_put_in_is_found(kept: Kept) -> None:
    row = kept.rows["positions"].pop()
    assert kept.found() == ["positions of trend/CORN/20221200: is missing; book/trend, entry 5, makes it."]
    kept.rows["positions"] = [row, {**row, "instrument": "GOLD"}]
    assert kept.found() == ["positions of trend/GOLD/20221200: is kept, and no entry of the journal makes it."]
