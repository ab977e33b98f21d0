"""The life of an order: the table of legal moves against every sequence of events, and instrument orders above."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.book import order_life
from trading.book.booking import Entered
from trading.book.fold import Tables, View, apply, folded
from trading.book.journal import Event
from trading.book.orders import Fill, Order
from trading.errors import IllegalMove

DAY = date(2022, 2, 25)
ENTRY = Entered(DAY, datetime(2022, 2, 25, 22, tzinfo=UTC), "test")
ORDER = Order("o", "trend", "GOLD", 20220400, DAY, 5, "target", 1800.0)

# Written out once more, by hand: from, event, to. Whatever is not here must be refused.
LEGAL = {
    ("new", "approved"): "approved", ("new", "refused"): "refused", ("new", "cancelled"): "cancelled",
    ("new", "expired"): "expired", ("new", "changed"): "new",
    ("approved", "sent"): "sent", ("approved", "refused"): "refused", ("approved", "cancelled"): "cancelled",
    ("approved", "expired"): "expired", ("approved", "changed"): "approved",
    ("sent", "cancelled"): "cancelled", ("sent", "expired"): "expired", ("sent", "rejected"): "rejected",
    ("sent", "changed"): "sent",
    ("part_filled", "cancelled"): "cancelled", ("part_filled", "expired"): "expired",
    ("part_filled", "changed"): "part_filled", ("part_filled", "rejected"): "rejected",
}  # fmt: skip
WORDS = ("approved", "refused", "sent", "changed", "cancelled", "expired", "rejected")


def moved(word: str, name: str = "o") -> Event:
    payload = {"order_id": name, "strategy": "trend"}
    payload |= {"quantity_contracts": 5} if word == "changed" else {}
    payload |= {"refusal": "why"} if word in ("refused", "rejected") else {}
    return Event(f"{word}:{name}", f"order_{word}", DAY, ENTRY.at, "test", payload)


def filled(quantity: int, number: int = 1, name: str = "o") -> Event:
    return ENTRY.filled(Fill(f"f{number}", name, "trend", "GOLD", 20220400, DAY, quantity, 1800.0))


def status_after(events: list[Event], name: str = "o") -> object:
    return folded(events).tables["orders"][name,]["status"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("path", [
    [], ["approved"], ["approved", "sent"], ["approved", "sent", 2], ["approved", "sent", 5], ["refused"],
    ["cancelled"], ["expired"], ["approved", "sent", "rejected"],
], ids=lambda path: "-".join(map(str, path)) or "new")  # fmt: skip
def test_every_move_from_every_state(path: list, word: str) -> None:
    events = [ENTRY.created(ORDER), *(filled(step) if isinstance(step, int) else moved(step) for step in path)]
    before = status_after(events)
    if (before, word) in LEGAL:
        assert status_after([*events, moved(word)]) == LEGAL[before, word]
    else:
        with pytest.raises(IllegalMove, match=f"order o is {before}"):
            folded([*events, moved(word)])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*WORDS, 1, 2, 3, -1]), max_size=12))
def test_whatever_is_tried_an_order_stays_in_a_state_it_could_reach(steps: list) -> None:
    """Refused moves change nothing; fills always count; who is filled or ended takes no more commands."""
    tables = Tables()
    number, count = 0, 0
    for step in [ENTRY.created(ORDER), *steps]:
        number += 1
        view = View(tables)
        before = tables.row("orders", ("o",))
        if isinstance(step, int):
            event, count = filled(step, number), count + step
        else:
            event = moved(step) if isinstance(step, str) else step
        try:
            apply(view, event)
        except IllegalMove:
            assert (before["status"], event.kind.removeprefix("order_")) not in LEGAL
            continue
        tables.take(view)
        row = tables.row("orders", ("o",))
        assert row["status"] in order_life.STATES
        assert row["filled_contracts"] == count
        assert (row["status"] == "filled") == (count >= 5)
        assert row["status"] != "part_filled" or count not in (0, 5)


def child(name: str, quantity: int) -> Order:
    return Order(name, "trend", "GOLD", 20220400, DAY, quantity, "target", 1800.0, "p")


def parent(quantity: int) -> Event:
    return ENTRY.created(Order("p", "trend", "GOLD", 20220400, DAY, quantity, "target"), "instrument")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], "sent"),
        ([filled(2, 1, "a")], "part_filled"),
        ([filled(2, 1, "a"), filled(3, 2, "b")], "filled"),
        ([filled(2, 1, "a"), moved("cancelled", "b")], "cancelled"),
        ([moved("cancelled", "a"), filled(3, 2, "b")], "cancelled"),
        ([moved("expired", "a"), moved("expired", "b")], "expired"),
        ([moved("cancelled", "a"), moved("cancelled", "b"), *ENTRY.placed(child("c", 5))], "sent"),
        ([moved("cancelled", "a"), moved("cancelled", "b"), *ENTRY.placed(child("c", 5)), filled(5, 9, "c")], "filled"),
    ],
)
def test_an_instrument_order_is_what_its_children_are(steps: list[Event], expected: str) -> None:
    events = [parent(5), *ENTRY.placed(child("a", 2)), *ENTRY.placed(child("b", 3)), *steps]
    assert status_after(events, "p") == expected


def test_a_roll_is_filled_when_both_legs_are() -> None:
    legs = [child("out", -4), child("in", 4)]
    events = [parent(0), *(event for leg in legs for event in ENTRY.placed(leg)), filled(-4, 1, "out")]
    assert status_after(events, "p") == "part_filled"
    assert status_after([*events, filled(4, 2, "in")], "p") == "filled"


def test_an_instrument_order_of_refused_children_is_refused() -> None:
    events = [parent(5), *ENTRY.refused(child("a", 2), "too large"), *ENTRY.refused(child("b", 3), "too large")]
    assert status_after(events, "p") == "refused"
